//! Damage of every kind, and what is left after it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn config(folder: &Path) -> SpoolConfig {
    SpoolConfig {
        folder: folder.to_owned(),
        bytes_max: 1024 * 1024,
        disk_share_max: 1.0,
        sync: SyncPolicy::Never,
        segment_len_bytes: 4096,
    }
}

fn open(folder: &Path) -> (Spool, Recovery) {
    Spool::open(config(folder)).expect("the folder is ours")
}

fn meta(points: u32) -> Meta {
    Meta {
        class: 1,
        encoding: 2,
        points,
        made_at: 1_700_000_000,
    }
}

fn append(spool: &mut Spool, body: &[u8]) -> Place {
    let mut evicted = Vec::new();
    let points = body.len() as u32;
    let place = spool.append(&meta(points), body, &mut evicted);
    assert_eq!(evicted, []);
    place.expect("the disk works")
}

fn bodies(spool: &Spool, recovery: &Recovery) -> Vec<Vec<u8>> {
    recovery
        .records
        .iter()
        .map(|(place, meta)| {
            let (stored, body) = spool.read(place).expect("recovered ones can be read");
            assert_eq!((&stored, meta.points as usize), (meta, body.len()));
            body.to_vec()
        })
        .collect()
}

/// The one file with this ending.
fn file(folder: &Path, ending: &str) -> std::path::PathBuf {
    let mut found = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(ending));
    found.next().expect("there is one")
}

#[test]
fn what_is_not_settled_comes_back_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut spool, recovery) = open(folder.path());
    assert_eq!(recovery, Recovery::default());
    let places: Vec<Place> = [&b"one"[..], b"two", b"", b"four"]
        .into_iter()
        .map(|body| append(&mut spool, body))
        .collect();
    assert_eq!(spool.read(&places[1]).expect("there").1, "two");
    spool.settle(&places[1]);
    drop(spool);
    let (mut spool, recovery) = open(folder.path());
    assert_eq!(
        bodies(&spool, &recovery),
        [&b"one"[..], b"", b"four"].map(<[u8]>::to_vec)
    );
    let next = append(&mut spool, b"five");
    assert!(next.id > places[3].id, "ids are never used twice");
    for (place, _) in &recovery.records {
        spool.settle(place);
    }
    spool.settle(&next);
    spool.close().expect("the disk works");
    assert_eq!(spool.bytes(), 0);
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 1, "only the lock stays");
}

#[test]
fn the_oldest_segment_goes_when_the_bound_is_reached() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bounded = config(folder.path());
    bounded.bytes_max = 20_000;
    let (mut spool, _) = Spool::open(bounded).expect("the folder is ours");
    let mut evicted = Vec::new();
    let places: Vec<Place> = (0..50)
        .map(|_| {
            let place = spool.append(&meta(1), &[7; 1000], &mut evicted);
            assert!(spool.bytes() <= 20_000);
            place.expect("there is room once something went")
        })
        .collect();
    for place in &places {
        let is_gone = evicted.iter().any(|one| Spool::is_gone(place, *one));
        assert_eq!(spool.read(place).is_none(), is_gone);
    }
    assert!(spool.read(&places[49]).is_some() && spool.read(&places[0]).is_none());
    let whole = spool.append(&meta(1), &[0; 30_000], &mut evicted);
    assert!(matches!(whole, Err(SpoolError::TooLarge)));
}

#[test]
fn a_full_file_system_is_left_to_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut strict = config(folder.path());
    strict.disk_share_max = 0.0;
    let (mut spool, _) = Spool::open(strict).expect("the folder is ours");
    let refused = spool.append(&meta(1), b"body", &mut Vec::new());
    assert!(matches!(refused, Err(SpoolError::Reserve)), "{refused:?}");
}

#[test]
fn a_folder_that_vanished_switches_writing_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("queue");
    let (mut spool, _) = open(&inside);
    fs::remove_dir_all(&inside).expect("ours to remove");
    let mut evicted = Vec::new();
    let first = spool.append(&meta(1), b"body", &mut evicted);
    assert!(matches!(first, Err(SpoolError::Disk(_))), "{first:?}");
    let second = spool.append(&meta(1), b"body", &mut evicted);
    assert!(matches!(second, Err(SpoolError::Off)), "{second:?}");
}

#[test]
fn two_processes_never_share_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_first, _) = open(folder.path());
    let second = Spool::open(config(folder.path()));
    assert!(matches!(second, Err(SpoolError::Locked(_))));
}

#[test]
fn what_is_not_understood_is_left_alone_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut spool, _) = open(folder.path());
    append(&mut spool, b"good");
    drop(spool);
    let path = |name: &str| folder.path().join(name);
    let good = file(folder.path(), ".seg");
    // A copy under another number, a later version, a link, a folder, a stranger.
    fs::copy(&good, path("00000000000000000077.seg")).expect("a copy");
    let mut newer = fs::read(&good).expect("a segment");
    newer[8] = 2;
    fs::write(path("00000000000000000078.seg"), newer).expect("a file");
    symlink(&good, path("00000000000000000079.seg")).expect("a link");
    fs::create_dir(path("00000000000000000080.seg")).expect("a folder");
    fs::write(path("notes.txt"), "mine").expect("a file");
    // Unfinished and empty ones are ours to remove.
    fs::write(path("00000000000000000081.seg.tmp"), "draft").expect("a file");
    fs::write(path("00000000000000000082.seg"), "").expect("a file");
    fs::write(path("00000000000000000083.ack"), "orphan").expect("a file");
    let (mut spool, recovery) = open(folder.path());
    assert_eq!(bodies(&spool, &recovery), [b"good".to_vec()]);
    assert_eq!(recovery.quarantined, 5);
    assert_eq!(recovery.corrupt_records, 0);
    for kept in ["00000000000000000078.seg", "notes.txt"] {
        assert!(path(kept).exists(), "{kept}");
    }
    for removed in [
        "00000000000000000081.seg.tmp",
        "00000000000000000082.seg",
        "00000000000000000083.ack",
    ] {
        assert!(!path(removed).exists(), "{removed}");
    }
    let place = append(&mut spool, b"more");
    assert!(place.id > 82, "no name of those left alone is wanted");
}

#[test]
fn damage_is_counted_once_over_all_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut spool, _) = open(folder.path());
    let places: Vec<Place> = (0..3).map(|_| append(&mut spool, &[5; 100])).collect();
    drop(spool);
    let segment = file(folder.path(), ".seg");
    let mut bytes = fs::read(&segment).expect("a segment");
    bytes[places[1].offset as usize + record::HEAD_LEN + 50] ^= 4;
    fs::write(&segment, bytes).expect("ours");
    let (spool, recovery) = open(folder.path());
    assert_eq!(recovery.records.len(), 2);
    assert_eq!(
        (recovery.corrupt_records, recovery.corrupt_points),
        (1, 100)
    );
    drop(spool);
    let (_, recovery) = open(folder.path());
    assert_eq!((recovery.records.len(), recovery.corrupt_records), (2, 0));
}

/// What a disk does to a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip { at: usize, bit: u8 },
    Cut { at: usize },
    Zero { at: usize, len: usize },
    Garbage { at: usize, bytes: Vec<u8> },
    Append { bytes: Vec<u8> },
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || proptest::collection::vec(any::<u8>(), 1..200);
    prop_oneof![
        (any::<usize>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        any::<usize>().prop_map(|at| Damage::Cut { at }),
        (any::<usize>(), 1..300_usize).prop_map(|(at, len)| Damage::Zero { at, len }),
        (any::<usize>(), bytes()).prop_map(|(at, bytes)| Damage::Garbage { at, bytes }),
        bytes().prop_map(|bytes| Damage::Append { bytes }),
    ]
}

/// Carries the damage out, and says from where to where bytes changed.
fn apply(damage: &Damage, bytes: &mut Vec<u8>) -> std::ops::Range<usize> {
    let len = bytes.len();
    match damage {
        Damage::Flip { at, bit } => {
            bytes[at % len] ^= 1 << bit;
            at % len..at % len + 1
        }
        Damage::Cut { at } => {
            bytes.truncate(at % len);
            at % len..len
        }
        Damage::Zero { at, len: count } => {
            let (start, end) = (at % len, (at % len + count).min(len));
            bytes[start..end].fill(0);
            start..end
        }
        Damage::Garbage { at, bytes: garbage } => {
            let (start, end) = (at % len, (at % len + garbage.len()).min(len));
            bytes[start..end].copy_from_slice(&garbage[..end - start]);
            start..end
        }
        Damage::Append { bytes: more } => {
            bytes.extend_from_slice(more);
            len..len
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens to a segment, records outside the damage come back whole, damaged ones
    /// never do, and all of them are accounted for.
    #[test]
    fn only_damaged_records_are_lost(
        lengths in proptest::collection::vec(0..120_usize, 1..12),
        damage in damage(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut spool, _) = open(folder.path());
        let places: Vec<(Place, Vec<u8>)> = lengths
            .iter()
            .enumerate()
            .map(|(index, len)| {
                let body = vec![index as u8; *len];
                (append(&mut spool, &body), body)
            })
            .collect();
        drop(spool);
        let segment = file(folder.path(), ".seg");
        let mut bytes = fs::read(&segment).expect("a segment");
        let hit = apply(&damage, &mut bytes);
        fs::write(&segment, &bytes).expect("ours");

        let (spool, recovery) = open(folder.path());
        let found = bodies(&spool, &recovery);
        if hit.start < record::SEGMENT_HEAD_LEN && hit.end > hit.start {
            // Without its head a segment is either left alone or, when nothing is left, removed.
            if found.is_empty() {
                return Ok(());
            }
        }
        for (place, body) in &places {
            let span = place.offset as usize..place.offset as usize + place.len_bytes as usize;
            let is_hit = hit.start < span.end && span.start < hit.end;
            let came_back = recovery.records.iter().any(|(other, _)| other.id == place.id);
            prop_assert!(is_hit || came_back, "{place:?} of {} bytes", body.len());
        }
        let expected: Vec<Vec<u8>> = places
            .iter()
            .filter(|(place, _)| recovery.records.iter().any(|(other, _)| other.id == place.id))
            .map(|(_, body)| body.clone())
            .collect();
        prop_assert_eq!(found, expected);
        let lost = places.len() - recovery.records.len();
        // How many records a damaged tail held is not known; one is assumed.
        let last = places.last().expect("at least one");
        let reaches_tail = hit.end > last.0.offset as usize;
        prop_assert!(recovery.corrupt_records <= places.len() as u64 + 1);
        prop_assert!(reaches_tail || recovery.corrupt_records >= lost as u64);
        let is_cut = matches!(damage, Damage::Cut { .. });
        prop_assert!(lost == 0 || recovery.corrupt_records > 0 || is_cut);
    }

    /// Acknowledgements that are damaged send again, never lose.
    #[test]
    fn damaged_acknowledgements_lose_nothing(
        settled in proptest::collection::vec(any::<bool>(), 2..20),
        damage in damage(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut spool, _) = open(folder.path());
        let places: Vec<Place> = settled.iter().map(|_| append(&mut spool, b"body")).collect();
        let open_places: Vec<u64> = places
            .iter()
            .zip(&settled)
            .filter(|(_, settled)| !**settled)
            .map(|(place, _)| place.id)
            .collect();
        for (place, settled) in places.iter().zip(&settled) {
            if *settled {
                spool.settle(place);
            }
        }
        drop(spool);
        if open_places.len() < places.len() && !open_places.is_empty() {
            let acks = file(folder.path(), ".ack");
            let mut bytes = fs::read(&acks).expect("acknowledgements");
            apply(&damage, &mut bytes);
            fs::write(&acks, &bytes).expect("ours");
        }
        let (_, recovery) = open(folder.path());
        let found: Vec<u64> = recovery.records.iter().map(|(place, _)| place.id).collect();
        for id in &open_places {
            prop_assert!(found.contains(id));
        }
        prop_assert_eq!(recovery.corrupt_records, 0);
    }
}
