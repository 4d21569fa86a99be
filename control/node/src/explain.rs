//! What the engine understands of bytes, without an engine.
//!
//! ```text
//!  bytes ─▶ Reader: cut, frames ─▶ lines ─▶ greyhound_wire::parse ─▶ Outcome ─▶ text    for people
//!                                                                          └▶ JSON    for programs, tests
//! ```
//!
//! The same parser and the same settings as `run`, so an answer from here is what a running engine
//! does. Nothing is lost: every line comes out as understood, refused or unterminated.

pub(crate) mod hint;
pub mod json;
pub(crate) mod note;
pub(crate) mod show;
pub mod text;
mod vector;

use greyhound_pipeline::config::Config as PipelineConfig;
use greyhound_pipeline::ledger::Transport;
use greyhound_wire::frame::{self, StreamDecoder, StreamEnd};
use greyhound_wire::{Message, Options, ParseError};

pub use vector::vector_json;

/// How packets are cut into messages and read: what the settings say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Which optional fields are read.
    pub options: Options,
    /// Longest datagram or frame, in bytes (`dogstatsd_buffer_size`).
    pub packet_len_bytes_max: usize,
    /// A last line over UDP needs its newline.
    pub eol_required_udp: bool,
    /// A last line over Unix sockets needs its newline.
    pub eol_required_unix: bool,
}

/// What became of one line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// It is a message.
    Understood(Message<'a>),
    /// It breaks the grammar.
    Refused(ParseError),
    /// It is the last of its packet and has no newline, where one is asked for.
    Unterminated,
}

// === impl Reader ===

impl Reader {
    /// What the engine with this configuration does.
    pub fn new(config: &PipelineConfig) -> Self {
        Self {
            options: Options {
                timestamps: config.rules.timestamps,
                client_origin: config.rules.client_origin,
            },
            packet_len_bytes_max: config.listen.packet_len_bytes_max,
            eol_required_udp: config.listen.eol_required_udp,
            eol_required_unix: config.listen.eol_required_unix,
        }
    }

    /// Reads one datagram, cut to the longest length if need be.
    pub fn datagram<'a>(
        &self,
        packet: &'a [u8],
        transport: Transport,
        on_line: &mut dyn FnMut(&'a [u8], Outcome<'a>),
    ) {
        let packet = &packet[..packet.len().min(self.packet_len_bytes_max)];
        let eol_required = match transport {
            Transport::Udp => self.eol_required_udp,
            Transport::Unixgram | Transport::UnixStream => self.eol_required_unix,
        };
        let mut lines = frame::lines(packet, eol_required);
        for line in &mut lines {
            on_line(
                line,
                match greyhound_wire::parse(line, self.options) {
                    Ok(message) => Outcome::Understood(message),
                    Err(error) => Outcome::Refused(error),
                },
            );
        }
        if lines.unterminated() {
            let line = packet.rsplit(|&byte| byte == b'\n').next();
            on_line(line.unwrap_or_default(), Outcome::Unterminated);
        }
    }

    /// Reads everything a client writes on one stream before it closes, and says how that ended.
    pub fn stream(&self, bytes: &[u8], on_line: &mut dyn FnMut(&[u8], Outcome<'_>)) -> StreamEnd {
        let mut decoder = StreamDecoder::new(self.packet_len_bytes_max);
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = decoder.space();
            let len = space.len().min(rest.len());
            space[..len].copy_from_slice(&rest[..len]);
            decoder.advance(len);
            rest = &rest[len..];
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => self.datagram(frame, Transport::UnixStream, on_line),
                    Ok(None) => break,
                    Err(_) => return decoder.finish(),
                }
            }
        }
        decoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Reader {
        Reader::new(&PipelineConfig::default())
    }

    fn outcomes(reader: Reader, packet: &[u8], transport: Transport) -> Vec<String> {
        let mut seen = Vec::new();
        reader.datagram(packet, transport, &mut |line, outcome| {
            let word = match outcome {
                Outcome::Understood(_) => "ok",
                Outcome::Refused(error) => error.kind.as_str(),
                Outcome::Unterminated => "unterminated",
            };
            seen.push(format!("{} {word}", show::printable(line)));
        });
        seen
    }

    #[test]
    fn every_line_comes_out_once() {
        let packet = b"a:1|c\n\nbad\r\nb:2|g";
        assert_eq!(
            outcomes(reader(), packet, Transport::Udp),
            ["a:1|c ok", "bad metric_format", "b:2|g ok"]
        );
        let strict = Reader {
            eol_required_unix: true,
            ..reader()
        };
        assert_eq!(
            outcomes(strict, packet, Transport::Unixgram),
            ["a:1|c ok", "bad metric_format", "b:2|g unterminated"]
        );
    }

    #[test]
    fn a_stream_is_read_frame_by_frame() {
        let mut count = 0;
        let end = reader().stream(b"\x05\0\0\0a:1|c\x05\0\0\0b:2", &mut |_, _| count += 1);
        assert_eq!((count, end), (1, StreamEnd::EofInPayload));
    }
}
