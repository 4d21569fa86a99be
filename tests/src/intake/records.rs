//! What an intake took in, and questions a test has about it. Payloads that came twice count once, but are
//! known: that is the difference between at least once and exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;

use super::payload::{Event, Payload, Series, Sketch, SketchPoint};
use super::request::{Class, Request};

/// Rules broken that are listed; more say nothing new.
const LISTED_MAX: usize = 10;

/// Everything since the start.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Payloads that came, whatever became of them.
    pub requests: u64,
    /// The same, and questions about keys, by class.
    pub requests_by_class: BTreeMap<Class, u64>,
    /// When each of them came, and its class.
    pub times: Vec<(Class, Instant)>,
    /// Payloads with a key that is not taken.
    pub refused_keys: u64,
    /// Points in payloads that were not taken over, each time they came.
    pub turned_away: u64,
    /// Payloads taken over, in order.
    pub arrivals: Vec<Arrival>,
    /// What broke a rule.
    pub broken: Vec<String>,
    digests: BTreeSet<[u64; 2]>,
}

/// A payload the intake took over.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What it carries.
    pub class: Class,
    /// The key it came with.
    pub key: String,
    /// Tells payloads apart.
    pub digest: [u64; 2],
    /// Whether the same bytes came before.
    pub is_again: bool,
    /// Points in it.
    pub points: u64,
    /// Bytes as sent.
    pub len: usize,
    /// Bytes unpacked.
    pub raw_len: usize,
    /// The content, where it is kept.
    pub payload: Arc<Payload>,
}

// === impl Records ===

impl Records {
    /// Fails when a rule was broken.
    ///
    /// # Panics
    /// Then.
    pub fn check(&self) {
        assert!(
            self.broken.is_empty(),
            "the intake's rules were broken {} times:\n  {}",
            self.broken.len(),
            self.broken[..self.broken.len().min(LISTED_MAX)].join("\n  ")
        );
    }

    pub(super) fn arrive(
        &mut self,
        request: &Request,
        body: &[u8],
        raw_len: usize,
        payload: Payload,
        keeps: bool,
    ) {
        let digest = digest(request.class, body);
        self.arrivals.push(Arrival {
            class: request.class,
            key: request.header("dd-api-key").to_owned(),
            is_again: !self.digests.insert(digest),
            digest,
            points: payload.points(),
            len: body.len(),
            raw_len,
            payload: Arc::new(if keeps { payload } else { Payload::Nothing }),
        });
    }

    /// Whether a payload of this class with these bytes arrived.
    pub fn has(&self, digest: [u64; 2]) -> bool {
        self.digests.contains(&digest)
    }

    /// Payloads of this class that arrived, each once.
    pub fn payloads(&self, class: Class) -> usize {
        self.once().filter(|arrival| arrival.class == class).count()
    }

    /// Points that arrived, each once.
    pub fn points(&self) -> u64 {
        self.once().map(|arrival| arrival.points).sum()
    }

    /// Payloads and points that arrived once more than they had to.
    pub fn duplicates(&self) -> (u64, u64) {
        let again = self.arrivals.iter().filter(|arrival| arrival.is_again);
        again.fold((0, 0), |(payloads, points), arrival| {
            (payloads + 1, points + arrival.points)
        })
    }

    /// Every series with this name: one per context and payload.
    pub fn series(&self, name: &str) -> Vec<&Series> {
        self.all_series().filter(|one| one.name == name).collect()
    }

    /// Every series.
    pub fn all_series(&self) -> impl Iterator<Item = &Series> {
        self.once().flat_map(|arrival| match &*arrival.payload {
            Payload::Series(all) => &all[..],
            _ => &[],
        })
    }

    /// The sum of all points of `name`; rates are turned back into increments.
    pub fn total(&self, name: &str) -> f64 {
        let of_one = |one: &&Series| {
            let width = if one.kind == 2 {
                one.interval as f64
            } else {
                1.0
            };
            one.points
                .iter()
                .map(|(_, value)| value * width)
                .sum::<f64>()
        };
        self.series(name).iter().map(of_one).sum()
    }

    /// Every sketch with this name.
    pub fn sketches(&self, name: &str) -> Vec<&Sketch> {
        let all = self.once().flat_map(|arrival| match &*arrival.payload {
            Payload::Sketches(all) => &all[..],
            _ => &[],
        });
        all.filter(|one| one.name == name).collect()
    }

    /// All points of all sketches with this name, put together.
    ///
    /// # Panics
    /// When there is none.
    pub fn sketch(&self, name: &str) -> SketchPoint {
        let points = self.sketches(name).into_iter().flat_map(|one| &one.points);
        let mut bins: BTreeMap<i64, u64> = BTreeMap::new();
        let mut all = SketchPoint {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            ..SketchPoint::default()
        };
        for point in points {
            all.count += point.count;
            all.sum += point.sum;
            all.min = all.min.min(point.min);
            all.max = all.max.max(point.max);
            for (key, n) in &point.bins {
                *bins.entry(*key).or_default() += n;
            }
        }
        assert!(all.count > 0, "there is no sketch {name}");
        all.avg = all.sum / all.count as f64;
        all.bins = bins.into_iter().collect();
        all
    }

    /// Every event.
    pub fn events(&self) -> Vec<&Event> {
        let all = self.once().flat_map(|arrival| match &*arrival.payload {
            Payload::Events(all) => &all[..],
            _ => &[],
        });
        all.collect()
    }

    /// Every service check with this name.
    pub fn service_checks(&self, name: &str) -> Vec<&Json> {
        let all = self.once().flat_map(|arrival| match &*arrival.payload {
            Payload::ServiceChecks(all) => &all[..],
            _ => &[],
        });
        all.filter(|one| one["check"] == name).collect()
    }

    fn once(&self) -> impl Iterator<Item = &Arrival> {
        self.arrivals.iter().filter(|arrival| !arrival.is_again)
    }
}

/// Two FNV-1a hashes of class and bytes: enough to tell a few thousand payloads apart.
pub fn digest(class: Class, body: &[u8]) -> [u64; 2] {
    let hash = |start: u64| {
        body.iter().fold(start ^ class as u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    [hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15)]
}
