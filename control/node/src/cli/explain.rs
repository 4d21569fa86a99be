//! `greyhound explain`.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use greyhound_pipeline::ledger::Transport;
use greyhound_wire::Options;
use serde_json::json;

use crate::admission::Admission;
use crate::cli::settings::SettingsArgs;
use crate::cli::{Exit, Failure, colours_wanted, simulate};
use crate::explain::text::{self, Palette};
use crate::explain::{Outcome, Reader, json, note};
use crate::wiring;

/// A line of standard input longer than this is cut there: more fits into no packet.
const LINE_LEN_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a stream read from standard input.
const STREAM_LEN_BYTES_MAX: u64 = 64 << 20;

/// Say what the engine understands of messages, or why it refuses them.
///
/// Uses the parser and the settings of `greyhound run`, so the answer is what a running engine does.
/// Exit code 0: everything was understood; 1: something was refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound explain 'page.views:1|c|@0.5|#env:dev'
  greyhound explain 'page.views:one|c'                       a caret shows what is wrong
  tcpdump -l -A udp port 8125 | grep '|' | greyhound explain -
  greyhound explain --json 'rpc:1:2|ms'                      for programs
  greyhound explain --set statsd_metric_namespace=corp 'a:1|c'
  greyhound explain --simulate steps.jsonl                   timed lines in, flushes out")]
pub(super) struct Args {
    /// Messages; `-` or nothing reads them from standard input, one per line
    #[arg(value_name = "MESSAGE")]
    messages: Vec<OsString>,

    /// One JSON object per message, in the schema of the conformance vectors
    #[arg(long)]
    json: bool,

    /// How the bytes arrive: decides about line ends and frames
    #[arg(long, value_enum, default_value_t = TransportArg::Udp)]
    transport: TransportArg,

    /// Run timed lines from FILE through the whole engine and print the flushes
    ///
    /// One JSON object per line: {"at": 1700000001, "lines": ["a:1|c"]}, {"flush": 1700000015} or
    /// {"stop": 1700000020}; or whole cases {"config": {...}, "steps": [...]}. `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["messages", "transport"])]
    simulate: Option<PathBuf>,

    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TransportArg {
    /// UDP datagrams
    Udp,
    /// Unix datagrams
    Uds,
    /// A Unix stream: the bytes are frames, each after its 4-byte little-endian length
    #[value(name = "uds_stream", alias = "uds-stream")]
    UdsStream,
}

/// Prints outcomes one after the other.
struct Printer<'a> {
    out: &'a mut dyn Write,
    json: bool,
    palette: Palette,
    options: Options,
    admission: Admission,
    refused: u64,
    seen: u64,
    /// The first failure to write; nothing is printed after it.
    failed: io::Result<()>,
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = args.settings.load()?.settings;
    if let Some(file) = &args.simulate {
        return simulate::run(file, &settings, args.json, out);
    }
    let config = wiring::pipeline::config(&settings, "localhost")?;
    let reader = Reader::new(&config);
    let mut printer = Printer {
        out,
        json: args.json,
        palette: Palette::new(colours_wanted(io::stdout().is_terminal())),
        options: reader.options,
        admission: Admission::new(&config.rules)
            .with_routing(wiring::sinks::routing::offline(&settings), "localhost"),
        refused: 0,
        seen: 0,
        failed: Ok(()),
    };
    let from_stdin = args.messages.is_empty() || args.messages == ["-"];
    match args.transport {
        TransportArg::UdsStream => {
            let bytes = if from_stdin {
                let mut bytes = Vec::new();
                io::stdin()
                    .lock()
                    .take(STREAM_LEN_BYTES_MAX)
                    .read_to_end(&mut bytes)?;
                bytes
            } else {
                args.messages
                    .iter()
                    .flat_map(|message| message.as_bytes().to_vec())
                    .collect()
            };
            let end = reader.stream(&bytes, &mut |line, outcome| printer.print(line, outcome));
            printer.connection(end.as_str())?;
        }
        transport @ (TransportArg::Udp | TransportArg::Uds) => {
            let transport = match transport {
                TransportArg::Udp => Transport::Udp,
                _ => Transport::Unixgram,
            };
            let mut explain = |packet: &[u8]| {
                reader.datagram(packet, transport, &mut |line, outcome| {
                    printer.print(line, outcome);
                });
                printer.failed.is_ok()
            };
            if from_stdin {
                each_line(&mut io::stdin().lock(), &mut explain)?;
            } else {
                args.messages
                    .iter()
                    .all(|message| explain(message.as_bytes()));
            }
        }
    }
    printer.failed?;
    Ok(if printer.refused > 0 {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// Hands on every line with its newline, until there are no more or `explain` has enough.
fn each_line(input: &mut dyn BufRead, explain: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let len = input
            .take(LINE_LEN_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if len == 0 || !explain(&line) {
            return Ok(());
        }
    }
}

// === impl Printer ===

impl Printer<'_> {
    fn print(&mut self, line: &[u8], outcome: Outcome<'_>) {
        if self.failed.is_err() {
            return;
        }
        if !matches!(outcome, Outcome::Understood(_)) {
            self.refused += 1;
        }
        self.failed = if self.json {
            self.print_json(outcome)
        } else {
            self.print_text(line, outcome)
        };
        self.seen += 1;
    }

    fn print_json(&mut self, outcome: Outcome<'_>) -> io::Result<()> {
        let value = match outcome {
            Outcome::Understood(message) => json::message(&message),
            Outcome::Refused(error) => json::refusal(error),
            Outcome::Unterminated => json!({ "error": "unterminated" }),
        };
        writeln!(self.out, "{value}")
    }

    fn print_text(&mut self, line: &[u8], outcome: Outcome<'_>) -> io::Result<()> {
        if self.seen > 0 {
            writeln!(self.out)?;
        }
        match outcome {
            Outcome::Understood(message) => {
                let notes = note::notes(line, &message, self.options);
                let later = self.admission.rows(&message);
                text::write_understood(self.out, self.palette, line, &message, &later, &notes)
            }
            Outcome::Refused(error) => text::write_refused(self.out, self.palette, line, error),
            Outcome::Unterminated => text::write_unterminated(self.out, self.palette, line),
        }
    }

    /// How a stream ended.
    fn connection(&mut self, end: &str) -> io::Result<()> {
        if end != "eof" {
            self.refused += 1;
        }
        if self.json {
            writeln!(self.out, "{}", json!({ "connection": end }))
        } else {
            writeln!(self.out, "connection: {end}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whole_and_bounded() {
        let long = vec![b'a'; LINE_LEN_BYTES_MAX as usize + 1];
        let input = [b"a:1|c\n\nb:2|c", &long[..]].concat();
        let mut lines = Vec::new();
        each_line(&mut input.as_slice(), &mut |line| {
            lines.push(line.len());
            true
        })
        .expect("memory");
        assert_eq!(lines, [6, 1, LINE_LEN_BYTES_MAX as usize, 6]);
    }
}
