//! Subscribers as a connection drives them: asked for events only when there is room for some.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

use greyhound_config::layer::Layer;
use greyhound_config::live::Live;
use greyhound_config::live::change::Cause;
use greyhound_config::load::{self, DefaultFile, Sources};
use greyhound_config::place::Place;
use greyhound_proto::datadog::model::v1::config_event::Event;
use greyhound_proto::datadog::model::v1::{ConfigEvent, ConfigSetting};
use greyhound_telemetry::{Registry, Snapshot};
use prost::Message;

use super::*;

fn live() -> Live {
    let sources = Sources {
        default_file: DefaultFile::None,
        ..Sources::default()
    };
    Live::new(load::load(&sources).expect("defaults"), sources)
}

fn set(live: &Live, key: &str, text: &str) {
    live.set(key, Layer::Cli, text, by(), Cause::Api)
        .expect("a right value");
}

fn by() -> Place {
    Place::Other {
        name: "a test".to_owned(),
    }
}

/// Changes that differ: `tags` becomes this.
fn nth_value(n: usize) -> String {
    format!("[\"n:{n}\"]")
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a client knows after the events it took, checking that their numbers are right.
#[derive(Default)]
struct Client {
    last: Option<i32>,
    settings: BTreeMap<String, ConfigSetting>,
    snapshots: usize,
    updates: usize,
}

impl Client {
    fn take(&mut self, mut messages: &[u8]) {
        while !messages.is_empty() {
            assert_eq!(messages[0], 0, "not compressed");
            let len = u32::from_be_bytes(messages[1..5].try_into().expect("four bytes"));
            let (message, rest) = messages[5..].split_at(len as usize);
            messages = rest;
            let event = ConfigEvent::decode(message).expect("a message");
            match event.event.expect("an event") {
                Event::Snapshot(snapshot) => {
                    assert!(self.last < Some(snapshot.sequence_id), "numbers rise");
                    self.last = Some(snapshot.sequence_id);
                    self.snapshots += 1;
                    self.settings = snapshot
                        .settings
                        .into_iter()
                        .map(|setting| (setting.key.clone(), setting))
                        .collect();
                }
                Event::Update(update) => {
                    let last = self.last.expect("a snapshot first");
                    assert_eq!(update.sequence_id, last + 1);
                    self.last = Some(update.sequence_id);
                    self.updates += 1;
                    let mut setting = update.setting.expect("a setting");
                    setting.unset_source.clear();
                    self.settings.insert(setting.key.clone(), setting);
                }
            }
        }
    }

    /// Takes all there is for now.
    fn drain(&mut self, subscriber: &mut Subscriber, bell: &Arc<Bell>) {
        let waker = Arc::clone(bell).into();
        let mut context = Context::from_waker(&waker);
        while let Poll::Ready(Some(messages)) = subscriber.poll_next(&mut context) {
            self.take(&messages);
        }
    }
}

/// What a new subscriber would be told.
fn truth(stream: &ConfigStream) -> BTreeMap<String, ConfigSetting> {
    let mut client = Client::default();
    let mut subscriber = stream.subscribe().expect("room");
    client.drain(&mut subscriber, &Arc::default());
    client.settings
}

#[test]
fn a_snapshot_comes_first_then_every_update() {
    let live = live();
    let stream = ConfigStream::new(live.feed(), "datadog.yaml");
    set(&live, "log_level", "debug");
    let mut subscriber = stream.subscribe().expect("room");
    let (mut client, bell) = (Client::default(), Arc::<Bell>::default());
    client.drain(&mut subscriber, &bell);
    assert_eq!((client.snapshots, client.updates), (1, 0));
    assert!(client.last > Some(0), "0 is refused by old clients");
    assert_eq!(client.settings["log_level"].source, "cli");

    set(&live, "log_level", "warn");
    live.unset("log_level", Layer::Cli, Cause::Api)
        .expect("a known key");
    assert_eq!(
        bell.0.load(Ordering::Relaxed),
        1,
        "woken once, until it asks again"
    );
    client.drain(&mut subscriber, &bell);
    assert_eq!((client.snapshots, client.updates), (1, 2));
    assert_eq!(client.settings["log_level"].source, "default");
    assert_eq!(client.settings, truth(&stream));
}

#[test]
fn an_update_says_which_layer_went_away() {
    let live = live();
    set(&live, "log_level", "debug");
    let stream = ConfigStream::new(live.feed(), "core-agent");
    let mut subscriber = stream.subscribe().expect("room");
    Client::default().drain(&mut subscriber, &Arc::default());
    live.unset("log_level", Layer::Cli, Cause::Api)
        .expect("a known key");
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(message)) = subscriber.poll_next(&mut context) else {
        panic!("no update");
    };
    let event = ConfigEvent::decode(&message[5..]).expect("a message");
    let Some(Event::Update(update)) = event.event else {
        panic!("not an update");
    };
    let setting = update.setting.expect("a setting");
    assert_eq!(setting.unset_source, "cli");
    assert_eq!(setting.source, "default");
    assert_eq!(update.origin, "core-agent");
}

#[test]
fn a_subscriber_that_fell_behind_gets_a_snapshot_and_is_right_again() {
    let live = live();
    let stream = ConfigStream::new(live.feed(), "datadog.yaml");
    let registry = Registry::new();
    registry.register(stream.telemetry()).expect("free names");
    let mut subscriber = stream.subscribe().expect("room");
    let (mut client, bell) = (Client::default(), Arc::default());
    client.drain(&mut subscriber, &bell);
    for n in 0..=log::UPDATES_MAX {
        set(&live, "tags", &nth_value(n));
    }
    client.drain(&mut subscriber, &bell);
    assert_eq!((client.snapshots, client.updates), (2, 0));
    assert_eq!(client.settings, truth(&stream));
    // And goes on with updates.
    set(&live, "log_level", "debug");
    client.drain(&mut subscriber, &bell);
    assert_eq!((client.snapshots, client.updates), (2, 1));

    let counted = registry.snapshot();
    let both = |name: &str| {
        let one = counted.get(&format!("configstream.{name}"), &[]);
        assert_eq!(one, counted.get(&format!("configstream_{name}"), &[]));
        one.expect("counted")
    };
    assert_eq!(both("subscribers"), 1.0);
    assert_eq!(both("discontinuities"), 1.0);
    assert_eq!(both("dropped_updates"), log::UPDATES_MAX as f64 + 1.0);
    assert_eq!(both("snapshots_sent"), 3.0, "with the one `truth` took");
    assert_eq!(both("updates_sent"), 1.0);
    drop(subscriber);
    assert_eq!(value(&registry.snapshot(), "configstream.subscribers"), 0.0);
}

fn value(snapshot: &Snapshot, name: &str) -> f64 {
    snapshot.get(name, &[]).expect("counted")
}

#[test]
fn the_number_of_subscribers_is_bounded_and_seats_are_given_back() {
    let live = live();
    let stream = ConfigStream::new(live.feed(), "datadog.yaml");
    let all: Vec<_> = (0..SUBSCRIBERS_MAX)
        .map(|_| stream.subscribe().expect("room"))
        .collect();
    assert!(stream.subscribe().is_err());
    drop(all);
    assert_eq!(stream.subscribers(), 0);
    assert!(stream.subscribe().is_ok());
}

#[test]
fn streams_end_when_the_port_closes() {
    let live = live();
    let stream = ConfigStream::new(live.feed(), "datadog.yaml");
    let mut subscriber = stream.subscribe().expect("room");
    let bell = Arc::<Bell>::default();
    Client::default().drain(&mut subscriber, &bell);
    stream.stop();
    assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(
        subscriber.poll_next(&mut context),
        Poll::Ready(None)
    ));
}

/// Two hundred subscribers on a few threads, ten of which stand still, while settings change ten thousand
/// times. Prints what `docs` quote.
#[test]
fn everybody_ends_with_the_exact_configuration() {
    const SUBSCRIBERS: usize = 200;
    const STALLED: usize = 10;
    const UPDATES: usize = 10_000;
    const THREADS: usize = 4;

    let live = live();
    let stream = ConfigStream::new(live.feed(), "datadog.yaml");
    let stop_at = live.feed().sequence() + UPDATES as u64;
    let stop_at = i32::try_from(stop_at).expect("fits until 2094");
    let mut seats: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| (stream.subscribe().expect("room"), Client::default()))
        .collect();
    for (subscriber, client) in &mut seats {
        client.drain(subscriber, &Arc::default());
    }
    let mut stalled = seats.split_off(SUBSCRIBERS - STALLED);
    let moving: Vec<_> = thread::scope(|scope| {
        let share = seats.len().div_ceil(THREADS);
        let mut workers = Vec::new();
        while !seats.is_empty() {
            let mut own = seats.split_off(seats.len().saturating_sub(share));
            workers.push(scope.spawn(move || {
                let deadline = Instant::now() + Duration::from_secs(120);
                let bell = Arc::default();
                while own.iter().any(|(_, client)| client.last < Some(stop_at)) {
                    assert!(Instant::now() < deadline, "an update never came");
                    for (subscriber, client) in &mut own {
                        client.drain(subscriber, &bell);
                    }
                    thread::yield_now();
                }
                own
            }));
        }
        let began = Instant::now();
        for n in 0..UPDATES {
            set(&live, "tags", &nth_value(n));
        }
        println!("{UPDATES} changes in {:?}", began.elapsed());
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no failure in a worker"))
            .collect()
    });
    // Bounded whatever happened: one log for all.
    assert!(stream.shared.state().log.len() <= log::UPDATES_MAX);

    let truth = truth(&stream);
    assert_eq!(truth["tags"].source, "cli");
    let bell = Arc::default();
    for (subscriber, client) in &mut stalled {
        assert_eq!((client.snapshots, client.updates), (1, 0));
        client.drain(subscriber, &bell);
        // The snapshot may be one that was made for another, and what came since then follows it.
        assert_eq!(client.snapshots, 2, "one snapshot sets it right");
        assert!(client.updates <= log::UPDATES_MAX, "{}", client.updates);
    }
    for (_, client) in moving.iter().chain(&stalled) {
        assert_eq!(client.last, Some(stop_at));
        assert_eq!(client.settings, truth);
    }
}

/// What a snapshot, an update and a subscriber cost, against what the Agent's authors wrote down of theirs:
/// 1-2 ms, 10-50 µs, 100 KB. Prints the figures.
#[test]
fn it_costs_less_than_it_is_known_for() {
    const ROUNDS: u32 = 200;
    const SUBSCRIBERS: u32 = 1000;

    let live = live();
    let stream = ConfigStream::new(live.feed(), "datadog.yaml");
    let settings = live.feed().snapshot();
    let began = Instant::now();
    let len = (0..ROUNDS)
        .map(|_| encode::snapshot("datadog.yaml", &settings).len())
        .max();
    let snapshot = began.elapsed() / ROUNDS;

    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
        let pages = statm.split(' ').nth(1).expect("the second number");
        pages.parse::<u64>().expect("a number") * 4096
    };
    let before = resident();
    let bell = Arc::<Bell>::default();
    let waker = Arc::clone(&bell).into();
    let mut context = Context::from_waker(&waker);
    let mut all: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| stream.subscribe().expect("room"))
        .collect();
    let mut wait = |all: &mut Vec<Subscriber>| {
        for subscriber in all {
            while subscriber.poll_next(&mut context).is_ready() {}
        }
    };
    wait(&mut all);
    let memory = resident().saturating_sub(before) / u64::from(SUBSCRIBERS);

    let update = Arc::new(Update {
        sequence: live.feed().sequence() + 1,
        key: "log_level",
        value: "debug".into(),
        source: "cli",
        unset_source: None,
    });
    let began = Instant::now();
    stream.shared.follow(&update);
    let woken = began.elapsed() / SUBSCRIBERS;
    let began = Instant::now();
    wait(&mut all);
    let taken = began.elapsed() / SUBSCRIBERS;

    println!(
        "{} settings, {len:?} bytes: snapshot {snapshot:?}; per subscriber: wake {woken:?}, hand out {taken:?}, {memory} bytes",
        settings.settings.len()
    );
    assert_eq!(bell.0.load(Ordering::Relaxed), SUBSCRIBERS as usize);
    assert!(snapshot < Duration::from_millis(1), "{snapshot:?}");
    assert!(
        woken + taken < Duration::from_micros(10),
        "{woken:?} {taken:?}"
    );
    assert!(memory < 10_000, "{memory}");
}
