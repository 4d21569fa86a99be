//! A daemon that is killed again and again under load, while its intake comes and goes: whatever had reached
//! the disk queue whole when the process died arrives in the end, at least once.
//!
//! `GREYHOUND_CRASH_ROUNDS` sets the number of kills (20), `GREYHOUND_CRASH_SEED` where chance starts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::disk_queue;
use greyhound_tests::intake::{Intake, Reply};
use greyhound_tests::sink_end::SinkEnd;
use greyhound_tests::wait;

use crate::datadog::{delivery, setup, wait_drained};
use crate::send;

const ROUNDS: u64 = 20;

/// The intake is in one mood for so long.
const MOOD: Duration = Duration::from_millis(250);

/// Latest moment of a kill, from the start or from the second the daemon flushes at.
const KILL_WITHIN: Duration = Duration::from_millis(1_200);
const KILL_AFTER_FLUSH: Duration = Duration::from_millis(60);

/// Xorshift: chance that can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn within(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.below(span.as_micros() as u64))
    }
}

fn number_of(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// Good, busy, silent, forgetful or gone, in turn.
fn flap(intake: &Intake) {
    let begun = Instant::now();
    intake.reply_with(
        move |_| match begun.elapsed().as_millis() / MOOD.as_millis() % 6 {
            0 | 3 => Reply::Accept,
            1 => Reply::Status(503),
            2 => Reply::LoseAnswer,
            4 => Reply::ResetEarly,
            _ => Reply::After(Duration::from_millis(300), Box::new(Reply::Accept)),
        },
    );
}

fn start(intake: &Intake, queue: &std::path::Path) -> Daemon {
    let setup: Setup = setup(intake)
        .with("forwarder_storage_path", queue.to_string_lossy())
        .with("greyhound.ndjson.path", "")
        // Many small payloads: more moments to be killed at.
        .with("serializer_max_series_points_per_payload", 20)
        .with("serializer_max_payload_size", 2_000);
    setup.start()
}

/// Loads the daemon and kills it at the moment chance picks.
fn load_and_kill(daemon: Daemon, chance: &mut Chance) {
    let over = AtomicBool::new(false);
    let socket = send::udp_socket(daemon.udp());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u64;
            while !over.load(Ordering::Relaxed) {
                let line = format!(
                    "load:1|c|#n:{}\nload.d:{number}|d|#n:{}",
                    number % 300,
                    number % 50
                );
                // Refused once nobody is there any more.
                if socket.send(line.as_bytes()).is_err() {
                    break;
                }
                number += 1;
                if number.is_multiple_of(64) {
                    std::thread::yield_now();
                }
            }
        });
        // Not a wait for something: the moment is what is tried out.
        let moment = match chance.below(2) {
            0 => chance.within(KILL_WITHIN),
            _ => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let next = Duration::from_nanos(u64::from(1_000_000_000 - now.subsec_nanos()));
                next + chance.within(KILL_AFTER_FLUSH)
            }
        };
        std::thread::sleep(moment);
        // Dropped without a stop, it is killed with SIGKILL.
        drop(daemon);
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_reached_the_disk_arrives_however_often_we_are_killed() {
    let rounds = number_of("GREYHOUND_CRASH_ROUNDS", ROUNDS);
    let seed = number_of("GREYHOUND_CRASH_SEED", 0x5eed_1234_5678_9abc);
    let mut chance = Chance(seed | 1);
    let intake = Intake::start();
    intake.rules(|rules| rules.keeps_payloads = false);
    flap(&intake);
    let queue = tempfile::tempdir().unwrap();
    // Payloads that lay on disk whole at some kill, and their points.
    let mut owed: BTreeMap<[u64; 2], u64> = BTreeMap::new();
    for round in 0..rounds {
        if chance.below(4) == 0 {
            intake.close();
        }
        load_and_kill(start(&intake, queue.path()), &mut chance);
        for record in disk_queue::records(queue.path()) {
            owed.insert(record.digest, record.points);
        }
        if round % 4 == 3 {
            intake.open();
        }
    }
    intake.open();
    intake.reply(Reply::Accept);
    let daemon = start(&intake, queue.path());
    wait::within(
        Duration::from_secs(120),
        "everything on disk to arrive",
        || intake.look(|records| owed.keys().all(|digest| records.has(*digest)).then_some(())),
    );
    wait_drained(&daemon, "datadog");
    let corrupt = delivery(&daemon, "corrupt_records", &[]);
    let end = SinkEnd::of(&daemon.stop(), "datadog");
    assert_eq!((end.dropped, end.kept), (0, 0), "{end:?}");
    // A record that was being written when the process died is the only thing that can be torn.
    assert!(
        corrupt <= 1.0,
        "{corrupt} records of the last run are damaged"
    );
    let (payloads, points) = intake.look(|records| records.duplicates());
    let arrived = intake.look(|records| records.arrivals.len());
    println!(
        "{rounds} kills, seed {seed}: {} payloads of {} points were on disk at a kill and arrived; \
         {arrived} payloads arrived in all, {payloads} of {points} points more than once",
        owed.len(),
        owed.values().sum::<u64>(),
    );
    assert!(
        owed.len() as u64 >= rounds,
        "too little was on disk for a proof: {}",
        owed.len()
    );
    assert_eq!(disk_queue::records(queue.path()), [], "nothing is left");
}
