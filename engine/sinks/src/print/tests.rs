//! Tables as people see them, and writers that fail.

use greyhound_model::context::{Context, Host};
use greyhound_model::series::{Point, Points, SeriesKind};

use super::*;
use crate::fixtures::{self as f, counter, distribution, flush, gauge};

fn printed(batch: &FlushBatch, color: bool) -> String {
    let mut out = Vec::new();
    PrintSink::new(&mut out, PrintConfig { color })
        .print(batch)
        .expect("memory takes everything");
    String::from_utf8(out).expect("a table is text")
}

fn mixed() -> FlushBatch {
    let mut batch = flush([
        counter("page.views", "env:prod,canary", 12.0),
        gauge("queue.depth", "", 7.5),
        f::series(
            Context::new(b"load", Host::Named(b"web-1"), [&b"a:1"[..]]),
            SeriesKind::Gauge,
            0.25,
        ),
    ]);
    batch.series.extend(f::aggregates("db.time", "", &[4.0]));
    batch.sketches = vec![distribution("req.size", "", &[1.0, 2.0, 3.0])];
    batch.events = vec![f::event(b"deploy", b"it\nworked")];
    batch.service_checks = vec![f::service_check(b"db.up", b"no answer")];
    batch
}

#[test]
fn a_flush_is_a_table() {
    assert_eq!(
        printed(&mixed(), false),
        r"2023-11-14 22:13:35 UTC  8 points
  page.views     counter  12 (1.2/s)             canary,env:prod
  queue.depth    gauge    7.5
  load           gauge    0.25                   a:1  @web-1
  db.time.max    gauge    4
  db.time.count  counter  1 (0.1/s)
  req.size       sketch   n=3 min=1 p50=2.0091 p95=3 max=3 sum=6
  deploy         event    warning: it\x0aworked  a:1  @agent-host
  db.up          check    critical: no answer    @agent-host
"
    );
}

#[test]
fn colour_only_when_told() {
    assert!(!printed(&mixed(), false).contains('\x1b'));
    let colored = printed(&mixed(), true);
    assert!(colored.contains("\x1b[36mpage.views\x1b[0m"));
    let plain: String = ["\x1b[1m", "\x1b[36m", "\x1b[2m", "\x1b[0m"]
        .iter()
        .fold(colored, |text, code| text.replace(code, ""));
    assert_eq!(plain, printed(&mixed(), false));
}

#[test]
fn samples_with_their_own_time_show_it() {
    let mut series = gauge("g", "", 1.0);
    series.points = Points::Many(vec![
        Point {
            unix_seconds: 0,
            value: 1.0,
        },
        Point {
            unix_seconds: 60,
            value: 2.0,
        },
    ]);
    let mut batch = flush([series]);
    batch.cause = FlushCause::Timestamped;
    assert_eq!(
        printed(&batch, false),
        "2023-11-14 22:13:35 UTC  2 points with their own time\n  \
         g  gauge  1 at 1970-01-01 00:00:00 UTC, 2 at 1970-01-01 00:01:00 UTC\n"
    );
}

#[test]
fn nothing_a_client_sends_reaches_the_terminal_raw() {
    let evil = b"\x1b]0;owned\x07\x9b31m\r\n\xff";
    let context = Context::new(evil, Host::Named(evil), [&evil[..]]);
    let mut batch = flush([f::series(context, SeriesKind::Gauge, f64::NAN)]);
    batch.events = vec![f::event(evil, evil)];
    batch.service_checks = vec![f::service_check(evil, evil)];
    let text = printed(&batch, false);
    assert!(
        text.lines().all(|line| !line.chars().any(char::is_control)),
        "{text:?}"
    );
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn one_long_name_does_not_move_the_others() {
    let long = "x".repeat(300);
    let text = printed(&flush([gauge(&long, "", 1.0), gauge("a", "", 1.0)]), false);
    let last = text.lines().last().expect("two rows");
    assert_eq!(last, "  a  gauge  1");
    assert!(text.contains('…'), "long text is cut");
}

/// Takes some bytes, then fails like a pipe whose reader has gone.
struct Pipe(usize);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_gone_costs_points_and_nothing_else() {
    let mut sink = PrintSink::new(Pipe(100), PrintConfig::default());
    let batch = Arc::new(mixed());
    for _ in 0..3 {
        let receipt = sink.accept(&batch);
        assert_eq!(receipt.dropped(Reason::Write), batch.point_count());
    }
}

#[test]
fn an_empty_flush_prints_nothing() {
    let mut out = Vec::new();
    let mut sink = PrintSink::new(&mut out, PrintConfig::default());
    assert_eq!(sink.accept(&Arc::new(f::batch())).total(), 0);
    assert!(out.is_empty());
}
