//! What `greyhound send` sends: typed, read, or put together; and the check before it leaves.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;

use anyhow::bail;
use greyhound_model::event::{AlertType, Priority};
use greyhound_model::service_check::Status;
use greyhound_wire::format::{self, EventText, ServiceCheckText};
use greyhound_wire::{Options, OriginFields};

use super::{AlertTypeArg, Args, PriorityArg, plural};
use crate::cli::{Failure, colours_wanted};
use crate::explain::text::{self, Palette};

/// A message longer than this fits into no packet.
const MESSAGE_LEN_BYTES_MAX: u64 = 64 * 1024;
/// Everything optional is read, so that a mistake in any field is found before it is sent.
const STRICT: Options = Options {
    timestamps: true,
    client_origin: true,
};

/// What there is to send, from wherever it comes.
pub(super) fn of(args: &Args) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut built = Vec::new();
    if let Some(event) = &args.event {
        built.push(event_message(args, &event[0], &event[1]));
    }
    if let Some(check) = &args.check {
        built.push(check_message(args, &check[0], &check[1])?);
    }
    let from_stdin = args.messages == ["-"] || (args.messages.is_empty() && built.is_empty());
    if from_stdin {
        read_lines(&mut io::stdin().lock(), &mut built)?;
    } else {
        built.extend(
            args.messages
                .iter()
                .map(|message| message.as_bytes().to_vec()),
        );
    }
    if built.is_empty() {
        bail!("there is nothing to send");
    }
    Ok(built)
}

fn read_lines(input: &mut dyn BufRead, messages: &mut Vec<Vec<u8>>) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        if input
            .take(MESSAGE_LEN_BYTES_MAX)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(());
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        if !line.is_empty() {
            messages.push(line.to_vec());
        }
    }
}

fn event_message(args: &Args, title: &str, text: &str) -> Vec<u8> {
    let tags: Vec<&[u8]> = args.tag.iter().map(String::as_bytes).collect();
    let mut message = Vec::new();
    let event = EventText {
        title: title.as_bytes(),
        text: text.as_bytes(),
        timestamp: args.timestamp,
        host: args.hostname.as_bytes(),
        aggregation_key: args.aggregation_key.as_bytes(),
        priority: args.priority.map(|priority| match priority {
            PriorityArg::Normal => Priority::Normal,
            PriorityArg::Low => Priority::Low,
        }),
        source_type: b"",
        alert_type: args.alert_type.map(|alert_type| match alert_type {
            AlertTypeArg::Info => AlertType::Info,
            AlertTypeArg::Success => AlertType::Success,
            AlertTypeArg::Warning => AlertType::Warning,
            AlertTypeArg::Error => AlertType::Error,
        }),
        tags: &tags,
        origin: OriginFields::default(),
    };
    format::write_event(&mut message, &event);
    message
}

fn check_message(args: &Args, name: &str, status: &str) -> anyhow::Result<Vec<u8>> {
    let status = match status.to_ascii_lowercase().as_str() {
        "0" | "ok" => Status::Ok,
        "1" | "warning" => Status::Warning,
        "2" | "critical" => Status::Critical,
        "3" | "unknown" => Status::Unknown,
        other => bail!("{other:?} is no status; use ok, warning, critical or unknown"),
    };
    let tags: Vec<&[u8]> = args.tag.iter().map(String::as_bytes).collect();
    let mut message = Vec::new();
    let check = ServiceCheckText {
        name: name.as_bytes(),
        status,
        timestamp: args.timestamp,
        host: args.hostname.as_bytes(),
        tags: &tags,
        message: args.message.as_bytes(),
        origin: OriginFields::default(),
    };
    format::write_service_check(&mut message, &check);
    Ok(message)
}

/// Explains every message the server would refuse. Whether there is one.
pub(super) fn refuse(messages: &[Vec<u8>], out: &mut dyn Write) -> Result<bool, Failure> {
    let palette = Palette::new(colours_wanted(io::stderr().is_terminal()));
    let mut refused = 0u64;
    for line in messages
        .iter()
        .flat_map(|message| greyhound_wire::frame::lines(message, false))
    {
        if let Err(error) = greyhound_wire::parse(line, STRICT) {
            text::write_refused(out, palette, line, error)?;
            refused += 1;
        }
    }
    if refused > 0 {
        writeln!(
            out,
            "nothing was sent: {} would be refused; --force sends all the same",
            plural(refused, "message")
        )?;
    }
    Ok(refused > 0)
}
