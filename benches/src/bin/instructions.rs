//! A fixed amount of work for an instruction counter: `instructions wire|ingest PASSES`.
//!
//! Run it under callgrind with two pass counts: the difference is the work of a pass, start-up left
//! out. Same binary, same seed, same count of instructions, however busy the machine is.

use std::process::ExitCode;

use greyhound_benches::corpus::{Corpus, Shape};
use greyhound_benches::lane::Lane;
use greyhound_pipeline::config::RulesConfig;
use greyhound_wire::{Message, Options, frame};

/// Messages of one pass; `benches/instructions` divides by it.
const MESSAGES: usize = 50_000;

/// Built with this variable, one packet in sixteen is worked on twice: a loss of speed of 6 %, which the
/// gate has to catch. `benches/instructions --prove` does so.
const SLOWED: bool = option_env!("GREYHOUND_PROVE_SLOWER").is_some();
const SLOWED_EVERY: usize = 16;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let passes: Option<usize> = arguments.next().and_then(|text| text.parse().ok());
    let mut packets = Corpus::new(Shape::Standard, 10_000, 1).packets(1432, MESSAGES, 2);
    if SLOWED {
        packets.extend_from_within(..packets.len() / SLOWED_EVERY);
    }
    match (what.as_str(), passes) {
        ("wire", Some(passes)) => wire(&packets, passes),
        ("ingest", Some(passes)) => ingest(&packets, passes),
        _ => {
            eprintln!("usage: instructions wire|ingest PASSES");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

fn wire(packets: &[Vec<u8>], passes: usize) {
    let mut values = 0;
    for line in (0..passes)
        .flat_map(|_| packets)
        .flat_map(|packet| frame::lines(packet, false))
    {
        if let Ok(Message::Metric(metric)) = greyhound_wire::parse(line, Options::default()) {
            values += std::hint::black_box(metric).values.len();
        }
    }
    std::hint::black_box(values);
}

fn ingest(packets: &[Vec<u8>], passes: usize) {
    let mut lane = Lane::new(&RulesConfig::default());
    // Every context once, so that passes meet known spellings and open cells.
    lane.process(1.0, packets);
    for _ in 0..passes {
        for batch in packets.chunks(64) {
            lane.process(2.0, batch);
        }
    }
    std::hint::black_box(lane.samples());
}
