//! Series into requests within limits, in either version of the protocol.
//!
//! ```text
//!  1: timeseries { labels*, samples*, histograms* }*                    → snappy
//!  2: timeseries { numbers of texts, samples*, histograms*, type }*, texts* → snappy
//! ```
//!
//! Labels come as the messages version 1 wants and are copied there; version 2 numbers their texts.

use bytes::Bytes;
use greyhound_model::series::Unit;
use hashbrown::HashMap;

use super::families::{FamilyType, unit_name};
use super::native;
use crate::datadog::proto;
use crate::delivery::Payload;
use crate::exponential::Exponential;

/// The protocol, by the number payloads carry on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One = 0,
    Two = 1,
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples.
    pub samples: usize,
    /// Bytes before compression.
    pub raw_bytes: usize,
}

/// A value and its time in milliseconds.
pub(super) type Sample = (f64, i64);

/// What version 2 says with each series.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) kind: FamilyType,
    pub(super) unit: Unit,
}

/// A native histogram at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct NativePoint<'a> {
    pub(super) buckets: &'a Exponential,
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) unix_ms: i64,
}

/// Makes requests of one class.
#[derive(Debug)]
pub(super) struct Packer {
    class: u8,
    version: Version,
    limits: Limits,
    raw: Vec<u8>,
    samples: usize,
    points: u32,
    texts: Texts,
    done: Vec<Payload>,
    scratch: Vec<u8>,
}

/// Texts of a request of version 2, each once. Number 0 is the empty one.
#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    /// As fields.
    raw: Vec<u8>,
}

// === impl Packer ===

impl Packer {
    pub(super) fn new(class: u8, version: Version, limits: Limits) -> Self {
        Self {
            class,
            version,
            limits,
            raw: Vec::new(),
            samples: 0,
            points: 0,
            texts: Texts::default(),
            done: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Makes room for so many samples that belong together, closing the request when they do not fit.
    pub(super) fn reserve(&mut self, samples: usize) {
        let is_full = self.samples + samples > self.limits.samples
            || self.raw.len() + self.texts.raw.len() >= self.limits.raw_bytes;
        if is_full && self.samples > 0 {
            self.close();
        }
    }

    /// Counts points of the flush that went in.
    pub(super) fn add_points(&mut self, points: usize) {
        self.points += points as u32;
    }

    /// Adds a series.
    pub(super) fn series(&mut self, labels: &[u8], about: About, samples: &[Sample]) {
        if samples.is_empty() {
            return;
        }
        self.samples += samples.len();
        self.message(labels, about, |out, _| {
            for &(value, unix_ms) in samples {
                proto::message(out, 2, |out| {
                    proto::double(out, 1, value);
                    proto::integer(out, 2, unix_ms);
                });
            }
        });
    }

    /// Adds a native histogram.
    pub(super) fn native(&mut self, labels: &[u8], about: About, points: &[NativePoint<'_>]) {
        // Counts for as much as its buckets weigh.
        let buckets = points
            .iter()
            .map(|point| 1 + (point.buckets.positive.len() + point.buckets.negative.len()) / 16);
        self.samples += buckets.sum::<usize>();
        self.message(labels, about, |out, version| {
            let field = histogram_field(version);
            for point in points {
                proto::message(out, field, |out| native::write(out, point));
            }
        });
    }

    /// Adds the end of a native histogram.
    pub(super) fn native_end(&mut self, labels: &[u8], about: About, marker: f64, unix_ms: i64) {
        self.samples += 1;
        self.message(labels, about, |out, version| {
            let field = histogram_field(version);
            proto::message(out, field, |out| native::write_end(out, marker, unix_ms));
        });
    }

    /// Adds what is said of a family: a message of version 1.
    pub(super) fn metadata(&mut self, message: &[u8]) {
        self.raw.extend_from_slice(message);
        self.samples += 1;
    }

    /// Closes the last request and gives all of them.
    pub(super) fn finish(mut self) -> Vec<Payload> {
        self.close();
        self.done
    }

    fn message(&mut self, labels: &[u8], about: About, write: impl FnOnce(&mut Vec<u8>, Version)) {
        let Self {
            raw,
            texts,
            scratch,
            version,
            ..
        } = self;
        match version {
            Version::One => {
                scratch.clear();
                write(scratch, *version);
                proto::start_of_bytes(raw, 1, labels.len() + scratch.len());
                raw.extend_from_slice(labels);
            }
            Version::Two => {
                scratch.clear();
                proto::message(scratch, 1, |out| {
                    for text in proto::fields(labels).flat_map(|(.., label)| proto::fields(label)) {
                        proto::varint(out, texts.number(text.2).into());
                    }
                });
                write(scratch, *version);
                proto::message(scratch, 5, |out| {
                    proto::integer(out, 1, about.kind as i64);
                    if let Some(unit) = unit_name(about.unit) {
                        proto::integer(out, 4, texts.number(unit.as_bytes()).into());
                    }
                });
                proto::start_of_bytes(raw, 5, scratch.len());
            }
        }
        raw.extend_from_slice(scratch);
    }

    fn close(&mut self) {
        if self.samples == 0 {
            return;
        }
        let mut raw = std::mem::take(&mut self.raw);
        if self.version == Version::Two {
            // The empty text is the first.
            let mut all = Vec::with_capacity(raw.len() + self.texts.raw.len() + 2);
            proto::bytes(&mut all, 4, b"");
            all.append(&mut self.texts.raw);
            all.append(&mut raw);
            self.texts.numbers.clear();
            raw = all;
        }
        self.done.push(Payload {
            class: self.class,
            encoding: self.version as u8,
            points: self.points,
            body: pack(&raw),
        });
        (self.samples, self.points) = (0, 0);
    }
}

fn histogram_field(version: Version) -> u32 {
    match version {
        Version::One => 4,
        Version::Two => 3,
    }
}

// === impl Texts ===

impl Texts {
    fn number(&mut self, text: &[u8]) -> u32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.numbers.len() as u32 + 1;
        self.numbers.insert(text.into(), number);
        proto::bytes(&mut self.raw, 4, text);
        number
    }
}

/// Snappy, its block form.
pub(super) fn pack(raw: &[u8]) -> Bytes {
    let packed = snap::raw::Encoder::new().compress_vec(raw);
    Bytes::from(packed.expect("requests are far below the 4 GiB of a block"))
}

/// The raw bytes of a request, at most so many; `None` when it is damaged or longer.
pub(super) fn unpack(body: &[u8], raw_bytes_max: usize) -> Option<Vec<u8>> {
    let len = snap::raw::decompress_len(body).ok()?;
    if len > raw_bytes_max {
        return None;
    }
    snap::raw::Decoder::new().decompress_vec(body).ok()
}
