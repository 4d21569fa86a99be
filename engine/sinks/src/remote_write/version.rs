//! Which version of the protocol the receiver understands.
//!
//! A receiver that knows the first version only answers 204 to a request of the second and throws it away. So it is
//! asked with an empty request, at the start and once in a while, and only one that answers with the header of
//! the second gets requests of it. Should one of those come back without the header, it is written anew in the
//! first version and sent again.

use std::sync::Weak;
use std::time::Duration;

use hyper::header::HeaderMap;
use tracing::info;

use super::packer::{self, Version};
use super::receiver::Receiver;
use crate::client::{Answer, Client, Whole};
use crate::datadog::proto;
use crate::delivery::{Payload, Target};

/// Only the second version has it.
const WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// The receiver is asked anew this often; sooner when it did not answer.
const INTERVAL: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(15);

/// Whether an answer is one of the second version.
pub(super) fn confirms(headers: &HeaderMap) -> bool {
    headers.contains_key(WRITTEN)
}

/// Asks until the sink is gone.
pub(super) async fn ask(receiver: Weak<Receiver>, client: Client) {
    loop {
        let Some(receiver) = receiver.upgrade() else {
            return;
        };
        let (uri, headers) = receiver.request(0, Version::Two as u8);
        let mut empty = Vec::new();
        proto::bytes(&mut empty, 4, b"");
        let (answer, whole) = client
            .post_whole(&uri, &headers, packer::pack(&empty))
            .await;
        let wait = match (answer, whole) {
            (Answer::Status { status, .. }, Some(Whole { headers, .. })) if status < 500 => {
                let is_two = status < 300 && confirms(&headers);
                if receiver.set_two(is_two) != is_two {
                    let version = if is_two { "2.0" } else { "1" };
                    info!(address = %receiver.address(), version, "remote write version agreed");
                }
                INTERVAL
            }
            _ => SOON,
        };
        drop(receiver);
        tokio::time::sleep(wait).await;
    }
}

/// A request of the second version as one of the first; `None` when it is damaged.
pub(super) fn to_one(payload: &Payload, raw_bytes_max: usize) -> Option<Payload> {
    let raw = packer::unpack(&payload.body, raw_bytes_max)?;
    let texts: Vec<&[u8]> = proto::fields(&raw)
        .filter(|field| field.0 == 4)
        .map(|field| field.2)
        .collect();
    let mut out = Vec::with_capacity(raw.len() * 2);
    for (_, _, series) in proto::fields(&raw).filter(|field| field.0 == 5) {
        let mut content = Vec::with_capacity(256);
        for (number, _, bytes) in proto::fields(series) {
            match number {
                1 => write_labels(&mut content, bytes, &texts)?,
                2 => proto::bytes(&mut content, 2, bytes),
                3 => proto::bytes(&mut content, 4, bytes),
                _ => {}
            }
        }
        proto::bytes(&mut out, 1, &content);
    }
    Some(Payload {
        encoding: Version::One as u8,
        body: packer::pack(&out),
        ..payload.clone()
    })
}

fn write_labels(out: &mut Vec<u8>, mut numbers: &[u8], texts: &[&[u8]]) -> Option<()> {
    while !numbers.is_empty() {
        let name = next_text(&mut numbers, texts)?;
        let value = next_text(&mut numbers, texts)?;
        proto::message(out, 1, |out| {
            proto::bytes(out, 1, name);
            proto::bytes(out, 2, value);
        });
    }
    Some(())
}

fn next_text<'t>(numbers: &mut &[u8], texts: &[&'t [u8]]) -> Option<&'t [u8]> {
    let (number, rest) = proto::read_varint(numbers)?;
    *numbers = rest;
    texts.get(usize::try_from(number).ok()?).copied()
}
