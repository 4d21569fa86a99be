//! The destination: paths, headers, the key, and how a payload is halved.

use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock};

use hyper::Uri;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::packer::{self, Compression};
use super::{CLASSES, DatadogConfig, DatadogError, EVENTS, SERIES, SERVICE_CHECKS, SKETCHES};
use super::{events, join, proto};
use crate::delivery::{Payload, Target};

const API_KEY: HeaderName = HeaderName::from_static("dd-api-key");
const AGENT_PAYLOAD: HeaderName = HeaderName::from_static("dd-agent-payload");
const AGENT_VERSION: HeaderName = HeaderName::from_static("dd-agent-version");
const ARBITRARY_TAGS: HeaderName = HeaderName::from_static("allow-arbitrary-tag-value");

/// Version of the payload definitions that are followed.
const PAYLOAD_VERSION: HeaderValue = HeaderValue::from_static("4.87.0");

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Characters of a key that may be shown: the last ones.
const SHOWN_OF_KEY: usize = 4;

/// One destination as requests see it.
pub(super) struct Intake {
    base: String,
    uris: [Uri; 4],
    version: HeaderValue,
    arbitrary_tag_values: bool,
    raw_bytes_max: usize,
    key: RwLock<HeaderValue>,
    /// What the check of the key said; `None` = nothing wrong.
    key_remark: Mutex<Option<String>>,
}

// === impl Intake ===

impl Intake {
    pub(super) fn new(config: &DatadogConfig) -> Result<Self, DatadogError> {
        let uri = |path| {
            join(&config.url, path).ok_or_else(|| DatadogError::Url {
                url: without_credentials(&config.url),
            })
        };
        Ok(Self {
            base: without_credentials(&config.url),
            uris: [
                uri("/api/v2/series")?,
                uri("/api/beta/sketches")?,
                uri("/intake/")?,
                uri("/api/v1/check_run")?,
            ],
            version: HeaderValue::from_str(&config.version)
                .unwrap_or(HeaderValue::from_static("0")),
            arbitrary_tag_values: config.arbitrary_tag_values,
            raw_bytes_max: config
                .series_limits
                .raw_bytes
                .max(config.other_limits.raw_bytes),
            key: RwLock::new(header_of_key(&config.api_key)?),
            key_remark: Mutex::new(None),
        })
    }

    pub(super) fn set_key(&self, api_key: &str) -> Result<(), DatadogError> {
        let key = header_of_key(api_key)?;
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        self.note_key(None);
        Ok(())
    }

    /// The key as a header.
    pub(super) fn key(&self) -> HeaderValue {
        self.key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn key_header() -> HeaderName {
        API_KEY
    }

    /// The end of the key, to tell keys apart.
    pub(super) fn key_end(&self) -> String {
        let key = self.key();
        let bytes = key.as_bytes();
        let from = bytes.len().saturating_sub(SHOWN_OF_KEY);
        // A key as short as that is none; showing it would show all of it.
        match from >= SHOWN_OF_KEY {
            true => bytes[from..].escape_ascii().to_string(),
            false => String::new(),
        }
    }

    pub(super) fn note_key(&self, remark: Option<String>) {
        *self
            .key_remark
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = remark;
    }
}

impl Target for Intake {
    fn classes(&self) -> &'static [&'static str] {
        CLASSES
    }

    fn address(&self) -> String {
        self.base.clone()
    }

    fn request(&self, class: u8, encoding: u8) -> (Uri, HeaderMap) {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(API_KEY, self.key());
        headers.insert(AGENT_VERSION, self.version.clone());
        if matches!(class, SERIES | SKETCHES) {
            headers.insert(CONTENT_TYPE, PROTOBUF);
            headers.insert(AGENT_PAYLOAD, PAYLOAD_VERSION);
        } else {
            headers.insert(CONTENT_TYPE, JSON);
        }
        if let Some(token) = Compression::token(encoding) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(token));
        }
        if self.arbitrary_tag_values {
            headers.insert(ARBITRARY_TAGS, HeaderValue::from_static("true"));
        }
        let index = usize::from(class).min(self.uris.len() - 1);
        (self.uris[index].clone(), headers)
    }

    fn split(&self, payload: &Payload) -> Option<[Payload; 2]> {
        let raw = packer::unpack(payload, self.raw_bytes_max)?;
        let (halves, points) = match payload.class {
            SERIES => halve_messages(&raw, 4)?,
            SKETCHES => halve_messages(&raw, 7)?,
            SERVICE_CHECKS => halve_array(&raw)?,
            EVENTS => events::halve(&raw)?,
            _ => return None,
        };
        let [first, second] = halves;
        Some([
            packer::repack(payload, &first, points[0])?,
            packer::repack(payload, &second, points[1])?,
        ])
    }

    fn remark(&self) -> Option<String> {
        self.key_remark
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Halves a message of repeated field 1, whose points are the repeated field `point`; everything else
/// goes into both. With the number of points in each.
fn halve_messages(raw: &[u8], point: u32) -> Option<([Vec<u8>; 2], [u32; 2])> {
    let count = proto::fields(raw).filter(|field| field.0 == 1).count();
    if count < 2 {
        return None;
    }
    let mut halves = [Vec::new(), Vec::new()];
    let mut points = [0; 2];
    let mut index = 0;
    for (number, whole, content) in proto::fields(raw) {
        if number == 1 {
            let half = usize::from(index >= count / 2);
            halves[half].extend_from_slice(whole);
            points[half] += proto::fields(content)
                .filter(|field| field.0 == point)
                .count() as u32;
            index += 1;
        } else {
            halves
                .iter_mut()
                .for_each(|half| half.extend_from_slice(whole));
        }
    }
    Some((halves, points))
}

fn halve_array(raw: &[u8]) -> Option<([Vec<u8>; 2], [u32; 2])> {
    let mut items: Vec<serde_json::Value> = serde_json::from_slice(raw).ok()?;
    if items.len() < 2 {
        return None;
    }
    let second = items.split_off(items.len() / 2);
    let points = [items.len() as u32, second.len() as u32];
    let halves = [
        serde_json::to_vec(&items).ok()?,
        serde_json::to_vec(&second).ok()?,
    ];
    Some((halves, points))
}

fn header_of_key(api_key: &str) -> Result<HeaderValue, DatadogError> {
    let mut key = HeaderValue::from_str(api_key.trim()).map_err(|_| DatadogError::Key)?;
    key.set_sensitive(true);
    Ok(key)
}

/// `https://user:password@host/x` without what stands before the `@`.
fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.find('/').unwrap_or(rest.len());
    let start = rest[..host].rfind('@').map_or(0, |at| at + 1);
    match scheme {
        "" => rest[start..].to_owned(),
        scheme => format!("{scheme}://{}", &rest[start..]),
    }
}
