//! Pages of many chunks, and what happens between two of them.

use super::*;

fn many(names: usize, series: usize) -> FlushBatch {
    flush((0..names).flat_map(|name| {
        (0..series).map(move |at| gauge(&format!("m{name:04}"), &format!("id:{at:05}"), 1.0))
    }))
}

#[test]
fn a_page_of_many_chunks_is_whole_and_sorted() {
    let mut rig = rig();
    let mut batch = many(3, 1500);
    batch.series.reverse();
    rig.take(batch);
    rig.take(many(700, 1));
    let samples = rig.samples();
    assert_eq!(samples.len(), 4500 + 697 + 3 - 3);
    assert!(samples.is_sorted(), "families and series in order");
}

#[test]
fn a_flush_between_two_chunks_does_not_spoil_the_page() {
    let mut rig = Rig::new(|config| config.expiry_seconds = 30);
    rig.take(many(2, 1200));
    let mut scrape = rig.exposition.scrape(Format::OPEN_METRICS);
    let mut page = Vec::new();
    assert!(scrape.next_chunk(&mut page));
    // New series before and behind the place the page has reached, and a new family.
    rig.take(flush([
        gauge("m0000", "id:00000,a:1", 1.0),
        gauge("m0001", "id:9", 1.0),
        gauge("a", "", 1.0),
        gauge("z", "", 1.0),
    ]));
    assert!(scrape.next_chunk(&mut page));
    // All but the new ones expire; their family comes back as something else.
    rig.wait(25);
    rig.take(flush([gauge("z", "", 1.0)]));
    rig.wait(25);
    rig.take(flush([counter("m0000", "", 1.0), gauge("z", "", 2.0)]));
    while scrape.next_chunk(&mut page) {}
    let page = String::from_utf8(page).expect("text");
    strict::check(&page, true);
    assert!(page.contains("\nz 2\n"), "{page}");
}

#[test]
fn the_same_flushes_make_the_same_page_in_any_order() {
    let mut forward = rig();
    let mut backward = rig();
    let mut batch = many(20, 20);
    forward.take(batch.clone());
    batch.series.reverse();
    backward.take(batch);
    assert_eq!(forward.page(), backward.page());
}
