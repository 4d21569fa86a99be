//! The other side: its address, headers, and how a request is halved.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::Uri;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::packer::{self, Version};
use super::version;
use super::{RemoteWriteConfig, RemoteWriteError, SHARDS};
use crate::client::Whole;
use crate::datadog::proto;
use crate::delivery::{Judgement, Payload, Target};
use crate::destination;

const PROTOCOL: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const SNAPPY: HeaderValue = HeaderValue::from_static("snappy");
const ONE: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const TWO: HeaderValue =
    HeaderValue::from_static("application/x-protobuf;proto=io.prometheus.write.v2.Request");

/// More than a request ever unpacks to.
const RAW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where requests go.
pub(super) struct Receiver {
    uri: Uri,
    address: String,
    headers: HeaderMap,
    /// Whether it has confirmed the second version.
    is_two: AtomicBool,
}

// === impl Receiver ===

impl Receiver {
    pub(super) fn new(config: &RemoteWriteConfig) -> Result<Self, RemoteWriteError> {
        let address = destination::shown(&config.url);
        let uri = destination::parse(&config.url).ok_or_else(|| RemoteWriteError::Url {
            url: address.clone(),
        })?;
        let mut headers = destination::headers(&config.headers)
            .map_err(|name| RemoteWriteError::Header { name })?;
        destination::authorize(&mut headers, &config.authorization)
            .map_err(|_| RemoteWriteError::Authorization)?;
        headers.insert(CONTENT_ENCODING, SNAPPY);
        Ok(Self {
            uri,
            address,
            headers,
            is_two: AtomicBool::new(false),
        })
    }

    /// The version it understands, as far as is known.
    pub(super) fn version(&self) -> Version {
        match self.is_two.load(Ordering::Relaxed) {
            true => Version::Two,
            false => Version::One,
        }
    }

    /// Notes whether it understands the second version, and gives what was known before.
    pub(super) fn set_two(&self, is_two: bool) -> bool {
        self.is_two.swap(is_two, Ordering::Relaxed)
    }
}

impl Target for Receiver {
    fn classes(&self) -> &'static [&'static str] {
        &SHARDS
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn request(&self, _: u8, encoding: u8) -> (Uri, HeaderMap) {
        let mut headers = self.headers.clone();
        if encoding == Version::Two as u8 {
            headers.insert(CONTENT_TYPE, TWO);
            headers.insert(PROTOCOL, HeaderValue::from_static("2.0.0"));
        } else {
            headers.insert(CONTENT_TYPE, ONE);
            headers.insert(PROTOCOL, HeaderValue::from_static("0.1.0"));
        }
        (self.uri.clone(), headers)
    }

    fn split(&self, payload: &Payload) -> Option<[Payload; 2]> {
        let raw = packer::unpack(&payload.body, RAW_BYTES_MAX)?;
        let series = match payload.encoding == Version::Two as u8 {
            true => 5,
            false => 1,
        };
        let count = proto::fields(&raw)
            .filter(|field| field.0 == series)
            .count();
        if count < 2 {
            return None;
        }
        let mut halves = [Vec::new(), Vec::new()];
        let mut index = 0;
        for (number, whole, _) in proto::fields(&raw) {
            if number == series {
                halves[usize::from(index >= count / 2)].extend_from_slice(whole);
                index += 1;
            } else {
                halves
                    .iter_mut()
                    .for_each(|half| half.extend_from_slice(whole));
            }
        }
        // A point may be several series, so this is a share and not a count; the sum is right.
        let first = payload.points / 2;
        let points = [first, payload.points - first];
        let half = |index: usize| Payload {
            points: points[index],
            body: packer::pack(&halves[index]),
            ..payload.clone()
        };
        Some([half(0), half(1)])
    }

    /// An answer that does not confirm a request of the second version is none, whatever its status.
    fn judge(&self, encoding: u8, answer: &Whole) -> Option<Judgement> {
        let is_lost = match answer.status {
            200..=299 => !version::confirms(&answer.headers),
            415 => true,
            _ => false,
        };
        if encoding != Version::Two as u8 || !is_lost {
            return None;
        }
        self.set_two(false);
        Some(Judgement::Rewrite)
    }

    fn rewrite(&self, payload: &Payload) -> Option<Payload> {
        version::to_one(payload, RAW_BYTES_MAX)
    }

    /// Receivers refuse a sample older than the last one of its series.
    fn is_ordered(&self) -> bool {
        true
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
