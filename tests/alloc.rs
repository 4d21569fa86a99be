//! No allocation per message once contexts exist: the promise of the hot path, counted.
//!
//! The allocator of this binary counts per thread, so the test runner's own work does not disturb. It is the
//! one unsafe trait outside `engine/sys` and `engine/queue`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write;
use std::sync::Arc;

use greyhound_model::origin::Sender;
use greyhound_model::time::{BucketWidth, Stamp};
use greyhound_pipeline::config::RulesConfig;
use greyhound_pipeline::context::hash::Seed;
use greyhound_pipeline::ledger::{Ledger, ListenerId, ListenerInfo, Transport};
use greyhound_pipeline::process::{Packet, Processor, ProcessorParts};
use greyhound_pipeline::rules::Rules;

/// Hands everything to the system and counts what this thread asked for.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

const LISTENER: ListenerId = ListenerId(0);
const CONTEXTS: usize = 100;
const ROUNDS: usize = 1_000;

// === impl Counting ===

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with; counting touches a
// thread-local cell that is initialised at compile time, needs no destructor and so allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `alloc`, which are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `alloc_zeroed`, which are the system's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from the system's allocator, because all ours do; the rest is the caller's
        // promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from the system's allocator, because all ours do.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn processor(config: &RulesConfig) -> Processor {
    let listener = ListenerInfo {
        id: "udp".into(),
        address: "memory".into(),
        transport: Transport::Udp,
        eol_required: false,
    };
    Processor::new(ProcessorParts {
        lane: 0,
        ledger: Arc::new(Ledger::new(vec![listener], 1)),
        rules: Arc::new(Rules::compile(config).0),
        origins: Arc::default(),
        width: BucketWidth::AGENT,
        usage: Arc::default(),
        seed: Seed::fixed(1, 2),
        hostname: Arc::from(&b"memory"[..]),
    })
}

/// Allocations while the same packets come [`ROUNDS`] times, after they came once.
fn allocations(config: &RulesConfig, message: impl Fn(usize) -> String) -> u64 {
    let packets: Vec<String> = (0..CONTEXTS).map(message).collect();
    let mut processor = processor(config);
    let mut round = || {
        let packets = packets.iter().map(|text| Packet {
            bytes: text.as_bytes(),
            sender: Sender::default(),
        });
        processor.process(LISTENER, Stamp::at_unix_seconds(1_700_000_001.0), packets);
    };
    round();
    let before = ALLOCATIONS.with(Cell::get);
    (0..ROUNDS).for_each(|_| round());
    ALLOCATIONS.with(Cell::get) - before
}

fn tagged(name: &str, id: usize, rest: &str) -> String {
    let mut text = String::new();
    write!(
        text,
        "{name}.{id}:{rest}|#env:prod,service:web,id:{id},version:1.2.3"
    )
    .expect("a string takes all text");
    text
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.with(Cell::get);
    drop(std::hint::black_box(Box::new(1_u8)));
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 1);
}

#[test]
fn counters_gauges_and_sets_allocate_nothing() {
    let config = RulesConfig::default();
    for (kind, rest) in [
        ("counter", "1|c"),
        ("sampled", "1|c|@0.1"),
        ("packed", "1:2:3:4:5|c"),
        ("gauge", "21.5|g"),
        ("set", "somebody|s"),
        (
            "origin",
            "1|c|c:ci-0123456789abcdef|e:it-false,cn-web,pu-1234|card:low",
        ),
    ] {
        assert_eq!(
            allocations(&config, |id| tagged(kind, id, rest)),
            0,
            "{kind}"
        );
    }
}

#[test]
fn samples_that_are_kept_cost_no_allocation_each() {
    // Their stores grow by doubling and fold: a few steps per context and bucket, whatever the traffic.
    let messages = (CONTEXTS * ROUNDS) as u64;
    for (kind, rest) in [
        ("histogram", "1.5|h"),
        ("timing", "12|ms"),
        ("distribution", "7.25|d"),
    ] {
        let found = allocations(&RulesConfig::default(), |id| tagged(kind, id, rest));
        assert!(
            found * 50 < messages,
            "{kind}: {found} allocations for {messages} messages"
        );
    }
}

#[test]
fn many_messages_in_one_packet_allocate_nothing() {
    let config = RulesConfig::default();
    let found = allocations(&config, |id| {
        let lines = (0..20).map(|line| tagged("line", id * 20 + line, "1|c"));
        lines.collect::<Vec<_>>().join("\n")
    });
    assert_eq!(found, 0);
}

#[test]
fn what_is_refused_allocates_nothing() {
    let config = RulesConfig::default();
    for message in [
        "nonsense", "a:x|c", "a:1|q", "a:1|c|@x", "_e{1,1}:", "_sc|a|9", "a:nan|c",
    ] {
        assert_eq!(allocations(&config, |_| message.to_owned()), 0, "{message}");
    }
}
