//! The scenarios, as data: what is sent, how it travels, and what is asked of the server.

use super::measure::Pace;
use super::server::Transport;
use crate::corpus::Shape;

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// How messages get there.
    pub transport: Transport,
    /// Datagrams a Unix socket queues (`net.unix.max_dgram_qlen`).
    pub unix_queue: u32,
    /// What is sent, in words of `greyhound bench`.
    pub load: &'static [&'static str],
    /// The same for the lane in memory; `None` where that floor says nothing.
    pub floor: Option<(Shape, usize, usize)>,
    /// What is done.
    pub work: Work,
}

/// What is asked of the server.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Processor time a message, at these rates (messages a second) and at the top.
    Rates {
        /// Messages a second.
        fixed: &'static [f64],
        /// The last rate.
        top: Top,
    },
    /// Share of a core at one pace, flushes inside.
    Share(Pace),
    /// Share refused when messages come in bursts, by messages a second and milliseconds.
    Bursts(&'static [(f64, f64)]),
    /// Loss beside a busy loop on the server's core.
    Noisy(f64),
    /// Memory and processor time with nothing to do, after so many contexts.
    Idle(usize),
    /// Memory under load, flushes inside.
    Resident(Pace),
    /// What is taken when twice the largest rate is offered.
    Flood,
    /// Memory and processor time, bucket by bucket, while contexts come and go.
    Churn {
        /// Messages a second.
        rate: f64,
        /// New contexts in each bucket.
        new: usize,
    },
    /// Loss and the longest queue while a flush falls into the load: half of the largest rate.
    Flush,
    /// Two lanes on one socket against one, sender on the same cores.
    TwoLanes,
    /// From the start of the process to ready; size of the binary.
    Start,
}

/// Where [`Work::Rates`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// At the largest rate without loss.
    LossFree,
    /// Flat out: the sender waits, nothing can be lost.
    FlatOut,
    /// At the fixed rates.
    None,
}

const STANDARD_10K: &[&str] = &["--contexts", "10000", "--pack", "1432"];
const STANDARD_100K: &[&str] = &["--contexts", "100000", "--pack", "1432"];
const STANDARD_1M: &[&str] = &["--contexts", "1000000", "--pack", "1432"];
const UNIX_10K: &[&str] = &["--contexts", "10000", "--pack", "8192"];
/// Packets as large as the server takes: one core cannot flood another with small ones.
const FLOOD_10K: &[&str] = &["--contexts", "10000", "--pack", "8192"];
/// Lines of the suite of the Agent Data Plane: 2 KB, three a packet.
macro_rules! suite {
    ($contexts:literal) => {
        &[
            "--contexts",
            $contexts,
            "--pack",
            "8192",
            "--kinds",
            "c=208,g=66,d=72,s=9,h=1",
            "--tags",
            "2..50",
            "--tag-len",
            "3..150",
            "--name-len",
            "1..200",
            "--new-tags",
            "11",
        ]
    };
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;

/// Usual queue of a Unix datagram socket.
const QUEUE: u32 = 10;

/// All scenarios, in the order they run.
pub const ALL: &[Scenario] = &[
    udp("start", STANDARD_10K, None, Work::Start),
    udp("idle", STANDARD_10K, None, Work::Idle(0)),
    udp("idle_10k", STANDARD_10K, None, Work::Idle(10_000)),
    udp(
        "udp_single_10k",
        &["--contexts", "10000"],
        Some((Shape::Standard, 10_000, 0)),
        Work::Rates {
            fixed: &[100e3],
            top: Top::LossFree,
        },
    ),
    udp(
        "udp_packed_10k",
        STANDARD_10K,
        Some((Shape::Standard, 10_000, 1432)),
        Work::Rates {
            fixed: &[500e3, 2e6],
            top: Top::LossFree,
        },
    ),
    udp(
        "udp_lean_10k",
        &["--shape", "lean", "--contexts", "10000", "--pack", "1432"],
        Some((Shape::Lean, 10_000, 1432)),
        Work::Rates {
            fixed: &[],
            top: Top::LossFree,
        },
    ),
    unixgram(
        "uds_packed_10k",
        UNIX_10K,
        QUEUE,
        Some((Shape::Standard, 10_000, 8192)),
        Work::Rates {
            fixed: &[500e3],
            top: Top::FlatOut,
        },
    ),
    unixgram(
        "uds_packed_10k_q512",
        &["--contexts", "10000", "--pack", "8192", "--sources", "8"],
        512,
        Some((Shape::Standard, 10_000, 8192)),
        Work::Rates {
            fixed: &[500e3],
            top: Top::FlatOut,
        },
    ),
    stream("uds_stream_10k", UNIX_10K),
    stream(
        "uds_stream_10k_single",
        &["--contexts", "10000", "--pack", "8192", "--gather", "0"],
    ),
    udp(
        "udp_packed_100k",
        STANDARD_100K,
        Some((Shape::Standard, 100_000, 1432)),
        Work::Rates {
            fixed: &[500e3, 1.5e6],
            top: Top::None,
        },
    ),
    udp(
        "udp_packed_1m",
        STANDARD_1M,
        Some((Shape::Standard, 1_000_000, 1432)),
        Work::Rates {
            fixed: &[500e3, 1.5e6],
            top: Top::None,
        },
    ),
    udp(
        "udp_skewed_100k",
        &[
            "--contexts",
            "100000",
            "--pack",
            "1432",
            "--popularity",
            "skewed",
        ],
        None,
        Work::Rates {
            fixed: &[],
            top: Top::LossFree,
        },
    ),
    unixgram(
        "uds_burst",
        UNIX_10K,
        QUEUE,
        None,
        Work::Bursts(&[
            (500e3, 1.0),
            (500e3, 5.0),
            (500e3, 10.0),
            (2e6, 1.0),
            (2e6, 5.0),
            (2e6, 10.0),
        ]),
    ),
    udp(
        "udp_noisy",
        &["--contexts", "10000"],
        None,
        Work::Noisy(200e3),
    ),
    udp(
        "rss_10k",
        STANDARD_10K,
        None,
        Work::Resident(Pace::Messages(500e3)),
    ),
    udp(
        "rss_100k",
        STANDARD_100K,
        None,
        Work::Resident(Pace::Messages(500e3)),
    ),
    udp(
        "rss_1m",
        STANDARD_1M,
        None,
        Work::Resident(Pace::Messages(500e3)),
    ),
    udp("flood", FLOOD_10K, None, Work::Flood),
    udp("flush_1m", STANDARD_1M, None, Work::Flush),
    udp(
        "churn",
        STANDARD_100K,
        None,
        Work::Churn {
            rate: 500e3,
            new: 10_000,
        },
    ),
    unixgram("uds_two_lanes", UNIX_10K, QUEUE, None, Work::TwoLanes),
    unixgram(
        "dsd_uds_1mb_3k",
        suite!("3000"),
        QUEUE,
        None,
        Work::Share(Pace::Bytes(MIB)),
    ),
    unixgram(
        "dsd_uds_100mb_3k",
        suite!("3000"),
        QUEUE,
        None,
        Work::Share(Pace::Bytes(100.0 * MIB)),
    ),
    unixgram(
        "dsd_uds_500mb_3k",
        suite!("3000"),
        QUEUE,
        None,
        Work::Share(Pace::Bytes(500.0 * MIB)),
    ),
    unixgram(
        "quality_low",
        suite!("3000"),
        QUEUE,
        None,
        Work::Resident(Pace::Bytes(MIB)),
    ),
    unixgram(
        "quality_medium",
        suite!("10000"),
        QUEUE,
        None,
        Work::Resident(Pace::Bytes(10.0 * MIB)),
    ),
    unixgram(
        "quality_heavy",
        suite!("100000"),
        QUEUE,
        None,
        Work::Resident(Pace::Bytes(50.0 * MIB)),
    ),
    unixgram(
        "quality_ultra",
        suite!("250000"),
        QUEUE,
        None,
        Work::Resident(Pace::Bytes(100.0 * MIB)),
    ),
];

const fn udp(
    name: &'static str,
    load: &'static [&'static str],
    floor: Option<(Shape, usize, usize)>,
    work: Work,
) -> Scenario {
    Scenario {
        name,
        transport: Transport::Udp,
        unix_queue: QUEUE,
        load,
        floor,
        work,
    }
}

const fn unixgram(
    name: &'static str,
    load: &'static [&'static str],
    unix_queue: u32,
    floor: Option<(Shape, usize, usize)>,
    work: Work,
) -> Scenario {
    Scenario {
        name,
        transport: Transport::Unixgram,
        unix_queue,
        load,
        floor,
        work,
    }
}

const fn stream(name: &'static str, load: &'static [&'static str]) -> Scenario {
    Scenario {
        name,
        transport: Transport::UnixStream,
        unix_queue: QUEUE,
        load,
        floor: Some((Shape::Standard, 10_000, 8192)),
        work: Work::Rates {
            fixed: &[],
            top: Top::FlatOut,
        },
    }
}

// === impl Scenario ===

impl Scenario {
    /// The one with that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|scenario| scenario.name == name)
    }

    /// What is sent, for a command line.
    pub fn arguments(&self) -> Vec<String> {
        self.load.iter().map(|&word| word.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (index, scenario) in ALL.iter().enumerate() {
            assert_eq!(
                ALL.iter().position(|other| other.name == scenario.name),
                Some(index)
            );
            assert!(Scenario::named(scenario.name).is_some());
            assert_eq!(scenario.load.len() % 2, 0, "{}", scenario.name);
        }
        assert!(Scenario::named("nothing").is_none());
    }
}
