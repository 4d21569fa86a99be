//! OTLP over gRPC: one call for each request, written by hand on the HTTP/2 client.
//!
//! ```text
//!  body:   | compressed: 1 | length | gzip of the request |
//!  answer: headers, | 0 | length | response |, trailers with grpc-status
//! ```

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::client::Whole;
use crate::datadog::proto;
use crate::delivery::Judgement;

/// The one method.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// The flag and the length.
const FRAME_LEN: usize = 5;

/// Status codes.
const CANCELLED: u32 = 1;
const DEADLINE_EXCEEDED: u32 = 4;
const PERMISSION_DENIED: u32 = 7;
const RESOURCE_EXHAUSTED: u32 = 8;
const ABORTED: u32 = 10;
const OUT_OF_RANGE: u32 = 11;
const UNAVAILABLE: u32 = 14;
const DATA_LOSS: u32 = 15;
const UNAUTHENTICATED: u32 = 16;

/// Puts a compressed request into its frame.
pub(super) fn frame(packed: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(FRAME_LEN + packed.len());
    out.put_u8(1);
    // Requests are far below 4 GiB.
    out.put_u32(packed.len() as u32);
    out.put_slice(packed);
    out.freeze()
}

/// What stands in a frame.
pub(super) fn unframe(body: &[u8]) -> Option<&[u8]> {
    body.get(FRAME_LEN..)
}

/// What an answer means; `None` when it is none of gRPC, so that its HTTP status counts.
pub(super) fn judge(answer: &Whole) -> Option<Judgement> {
    let header = |name: &str| {
        answer
            .trailers
            .get(name)
            .or_else(|| answer.headers.get(name))
    };
    let code: u32 = header("grpc-status")?.to_str().ok()?.parse().ok()?;
    let said = header("grpc-message").map_or(&b""[..], |message| message.as_bytes());
    let words = format!("answered gRPC status {code}: {}", said.escape_ascii());
    match code {
        0 => {
            let response = unframe(&answer.body).unwrap_or_default();
            let (rejected, words) = super::collector::partial_success(response).unwrap_or_default();
            Some(Judgement::Partly { rejected, words })
        }
        CANCELLED | DEADLINE_EXCEEDED | ABORTED | OUT_OF_RANGE | UNAVAILABLE | DATA_LOSS => {
            let details = header("grpc-status-details-bin");
            let wait = details.and_then(|details| retry_info(details.as_bytes()));
            Some(Judgement::Later(wait.flatten(), words))
        }
        RESOURCE_EXHAUSTED => {
            // Only one that says when may be tried again.
            let details = header("grpc-status-details-bin");
            Some(
                match details.and_then(|details| retry_info(details.as_bytes())) {
                    Some(wait) => Judgement::Later(wait, words),
                    None => Judgement::Refused(words),
                },
            )
        }
        PERMISSION_DENIED | UNAUTHENTICATED => Some(Judgement::Unauthorized(words)),
        _ => Some(Judgement::Refused(words)),
    }
}

/// The delay of a `RetryInfo` among the details, when there is one: `Status { 3 details* { 1 type, 2 value {
/// 1 delay { 1 seconds, 2 nanoseconds } } } }`, in base64.
fn retry_info(details: &[u8]) -> Option<Option<Duration>> {
    let raw = from_base64(details)?;
    let info = proto::fields(&raw)
        .filter(|field| field.0 == 3)
        .find_map(|(_, _, any)| {
            let (_, _, kind) = proto::fields(any).find(|field| field.0 == 1)?;
            kind.ends_with(b"/google.rpc.RetryInfo").then_some(any)
        })?;
    let value = proto::fields(info).find(|field| field.0 == 2);
    let value = value.map_or(&[][..], |field| field.2);
    let delay = proto::fields(value).find(|field| field.0 == 1);
    Some(delay.map(|(_, _, delay)| {
        let number = |wanted: u32| {
            let field = proto::fields(delay).find(|field| field.0 == wanted);
            field
                .and_then(|field| proto::read_varint(field.2))
                .map_or(0, |read| read.0)
        };
        // Clamped by whoever waits.
        Duration::from_secs(number(1).min(u64::from(u32::MAX)))
            + Duration::from_nanos(number(2).min(1_000_000_000))
    }))
}

/// Bytes of base64, padded or not.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.iter().filter(|byte| **byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderMap;

    fn answer(code: &str, details: Option<&str>) -> Option<Judgement> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.parse().expect("a value"));
        if let Some(details) = details {
            trailers.insert("grpc-status-details-bin", details.parse().expect("a value"));
        }
        judge(&Whole {
            status: 200,
            trailers,
            ..Whole::default()
        })
    }

    #[test]
    fn codes_mean_what_otlp_says() {
        let well = Judgement::Partly {
            rejected: 0,
            words: String::new(),
        };
        assert_eq!(answer("0", None), Some(well));
        for code in ["1", "4", "10", "11", "14", "15"] {
            let words = format!("answered gRPC status {code}: ");
            assert_eq!(answer(code, None), Some(Judgement::Later(None, words)));
        }
        for code in ["2", "3", "5", "6", "8", "9", "12", "13", "99"] {
            let words = format!("answered gRPC status {code}: ");
            assert_eq!(answer(code, None), Some(Judgement::Refused(words)));
        }
        for code in ["7", "16"] {
            let words = format!("answered gRPC status {code}: ");
            assert_eq!(answer(code, None), Some(Judgement::Unauthorized(words)));
        }
        assert_eq!(answer("x", None), None);
        assert_eq!(judge(&Whole::default()), None);
    }

    #[test]
    fn an_exhausted_resource_is_tried_again_when_it_says_when() {
        // Status { code: 8, details: [Any(RetryInfo { retry_delay: 7 s })] }
        let mut raw = Vec::new();
        proto::integer(&mut raw, 1, 8);
        proto::message(&mut raw, 3, |out| {
            proto::bytes(out, 1, b"type.googleapis.com/google.rpc.RetryInfo");
            proto::message(out, 2, |out| {
                proto::message(out, 1, |out| proto::integer(out, 1, 7));
            });
        });
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for three in raw.chunks(3) {
            let mut number = 0;
            for index in 0..3 {
                number = number << 8 | u32::from(three.get(index).copied().unwrap_or(0));
            }
            for digit in 0..=three.len() {
                text.push(char::from(
                    DIGITS[(number >> (18 - 6 * digit)) as usize & 63],
                ));
            }
        }
        let words = || "answered gRPC status 8: ".to_owned();
        let later = Judgement::Later(Some(Duration::from_secs(7)), words());
        assert_eq!(answer("8", Some(&text)), Some(later));
        for none in ["CAg", "!"] {
            let refused = Judgement::Refused(words());
            assert_eq!(answer("8", Some(none)), Some(refused));
        }
    }

    #[test]
    fn a_frame_is_opened_again() {
        let framed = frame(b"abc");
        assert_eq!(&framed[..5], [1, 0, 0, 0, 3]);
        assert_eq!(unframe(&framed), Some(&b"abc"[..]));
        assert_eq!(unframe(b"abc"), None);
    }
}
