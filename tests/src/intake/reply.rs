//! What an intake does with a request, from an orderly answer to every way a connection can end.

use std::io;
use std::time::{Duration, Instant};

use super::door::Wire;

/// Bytes of an answer that does not end; the other side has to give up long before.
const ENDLESS_LEN_BYTES: usize = 256 * 1024 * 1024;

/// A step of a slow answer.
const DRIP: Duration = Duration::from_millis(200);

/// An answer, or what comes instead.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 202.
    Accept,
    /// This status with an empty body.
    Status(u16),
    /// This status, with headers and body.
    Full {
        /// 200 and so on.
        status: u16,
        /// Further headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// The same after a while.
    After(Duration, Box<Reply>),
    /// Reads everything, then says nothing until the other side goes away.
    Silence,
    /// 202, one byte at a time.
    Drip,
    /// Reads the head only, then resets the connection.
    ResetEarly,
    /// Takes the payload over, then resets the connection instead of answering.
    LoseAnswer,
    /// This status, and a body that does not end.
    EndlessBody(u16),
    /// Headers that do not end.
    EndlessHead,
    /// `100 Continue` without end.
    EndlessContinue,
    /// No HTTP.
    Garbage,
}

// === impl Reply ===

impl Reply {
    /// Whether the intake takes the payload over.
    pub(super) fn takes_over(&self) -> bool {
        match self {
            Self::Accept | Self::LoseAnswer => true,
            Self::Status(status) | Self::Full { status, .. } | Self::EndlessBody(status) => {
                (200..300).contains(status)
            }
            Self::After(_, reply) => reply.takes_over(),
            // Never answered in time, or not in HTTP: who sent it cannot take it for accepted.
            _ => false,
        }
    }

    /// Carries it out. Gives whether the connection can be used on.
    pub(super) fn send(&self, wire: &mut dyn Wire) -> io::Result<bool> {
        match self {
            Self::Accept => answer(wire, 202, &[], r#"{"status":"ok"}"#),
            Self::Status(status) => answer(wire, *status, &[], ""),
            Self::Full {
                status,
                headers,
                body,
            } => answer(wire, *status, headers, body),
            Self::After(wait, reply) => {
                if is_gone_within(wire, *wait)? {
                    return Ok(false);
                }
                reply.send(wire)
            }
            Self::Silence => {
                while wire.read(&mut [0; 1024])? > 0 {}
                Ok(false)
            }
            Self::Drip => {
                for byte in b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n" {
                    wire.write_all(&[*byte])?;
                    wire.flush()?;
                    if is_gone_within(wire, DRIP)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::ResetEarly | Self::LoseAnswer => {
                wire.reset_on_close();
                Ok(false)
            }
            Self::EndlessBody(status) => {
                write!(
                    wire,
                    "HTTP/1.1 {status} X\r\nContent-Length: {ENDLESS_LEN_BYTES}\r\n\r\n"
                )?;
                endless(wire, &[b'x'; 4096])
            }
            Self::EndlessHead => {
                wire.write_all(b"HTTP/1.1 202 Accepted\r\n")?;
                endless(wire, b"x-more: and more and more and more\r\n")
            }
            Self::EndlessContinue => endless(wire, b"HTTP/1.1 100 Continue\r\n\r\n"),
            Self::Garbage => {
                wire.write_all(b"220 mail.example ESMTP\r\n\r\n")?;
                Ok(false)
            }
        }
    }
}

fn answer(
    wire: &mut dyn Wire,
    status: u16,
    headers: &[(&'static str, String)],
    body: &str,
) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.push_str(body);
    wire.write_all(head.as_bytes())?;
    wire.flush()?;
    Ok(true)
}

/// Writes the same again and again until the other side has enough, which it should soon.
fn endless(wire: &mut dyn Wire, piece: &[u8]) -> io::Result<bool> {
    let deadline = Instant::now() + crate::wait::PATIENCE;
    for _ in 0..ENDLESS_LEN_BYTES / piece.len() {
        if wire.write_all(piece).is_err() || Instant::now() > deadline {
            break;
        }
    }
    Ok(false)
}

/// Waits; a side that goes away meanwhile ends the wait.
fn is_gone_within(wire: &mut dyn Wire, wait: Duration) -> io::Result<bool> {
    wire.set_patience(Some(wait))?;
    let read = wire.read(&mut [0; 1]);
    wire.set_patience(None)?;
    match read {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Ok(false)
        }
        // Nobody sends a second request before the answer to the first.
        Ok(_) | Err(_) => Ok(true),
    }
}
