//! Payloads as the intake understands them, decoded strictly: an unknown field, a field that stands twice, or
//! text that is not UTF-8 is an error.

use serde_json::Value as Json;

use super::protobuf::{Fields, Value, packed, text, unzigzag};
use super::request::Class;

/// What a request carried.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Points over time.
    Series(Vec<Series>),
    /// Distributions.
    Sketches(Vec<Sketch>),
    /// Events.
    Events(Vec<Event>),
    /// Service checks, one object each.
    ServiceChecks(Vec<Json>),
    /// A question without a body.
    Nothing,
}

/// `MetricSeries`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name.
    pub name: String,
    /// In the order they stand.
    pub tags: Vec<String>,
    /// Type and name.
    pub resources: Vec<(String, String)>,
    /// 1 count, 2 rate, 3 gauge.
    pub kind: u64,
    /// Unit, empty when there is none.
    pub unit: String,
    /// Seconds.
    pub interval: i64,
    /// Second and value.
    pub points: Vec<(i64, f64)>,
}

/// `Sketch`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    /// Name.
    pub name: String,
    /// Host.
    pub host: String,
    /// In the order they stand.
    pub tags: Vec<String>,
    /// One per bucket.
    pub points: Vec<SketchPoint>,
}

/// `Dogsketch`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SketchPoint {
    /// Second.
    pub time: i64,
    /// Samples.
    pub count: i64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Mean.
    pub avg: f64,
    /// Sum.
    pub sum: f64,
    /// Key and samples of each bin.
    pub bins: Vec<(i64, u64)>,
}

/// An event and the list it stood in.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Name of the list.
    pub source: String,
    /// The object.
    pub object: Json,
}

// === impl Payload ===

impl Payload {
    /// Decodes an unpacked body.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn decode(class: Class, raw: &[u8]) -> Result<Self, String> {
        Ok(match class {
            Class::Series => Self::Series(series_payload(raw)?),
            Class::Sketches => Self::Sketches(sketch_payload(raw)?),
            Class::Events => Self::Events(events(raw)?),
            Class::ServiceChecks => {
                let checks = serde_json::from_slice(raw).map_err(|error| error.to_string())?;
                Self::ServiceChecks(checks)
            }
            Class::Validate | Class::Unknown => Self::Nothing,
        })
    }

    /// Points in it; an event and a check are one each.
    pub fn points(&self) -> u64 {
        let points = match self {
            Self::Series(series) => series.iter().map(|one| one.points.len()).sum(),
            Self::Sketches(sketches) => sketches.iter().map(|one| one.points.len()).sum(),
            Self::Events(events) => events.len(),
            Self::ServiceChecks(checks) => checks.len(),
            Self::Nothing => 0,
        };
        points as u64
    }
}

// === impl Series ===

impl Series {
    /// Name of the resource `host`.
    pub fn host(&self) -> &str {
        let host = self.resources.iter().find(|(kind, _)| kind == "host");
        host.map_or("", |(_, name)| name)
    }
}

// === impl SketchPoint ===

impl SketchPoint {
    /// The value at this rank, as the intake reads bins: the bin the rank falls into, at its lower bound.
    pub fn quantile(&self, q: f64) -> f64 {
        let total: u64 = self.bins.iter().map(|(_, n)| n).sum();
        let rank = q * (total.saturating_sub(1)) as f64;
        let mut seen = 0;
        for (key, n) in &self.bins {
            seen += n;
            if seen as f64 > rank.round_ties_even() {
                return bin_value(*key);
            }
        }
        self.max
    }
}

/// Value of a bin: 1.015625^(key − 1338), mirrored for negative keys.
fn bin_value(key: i64) -> f64 {
    let magnitude = 1.015_625_f64.powf(key.abs() as f64 - 1338.0);
    match key {
        0 => 0.0,
        key if key < 0 => -magnitude,
        _ => magnitude,
    }
}

fn series_payload(raw: &[u8]) -> Result<Vec<Series>, String> {
    let mut all = Vec::new();
    for field in Fields::of(raw) {
        match field? {
            (1, Value::Bytes(message)) => all.push(series(message)?),
            other => return Err(format!("{other:?} in a MetricPayload")),
        }
    }
    Ok(all)
}

fn series(message: &[u8]) -> Result<Series, String> {
    let mut one = Series::default();
    let mut singles = Singles::default();
    for field in Fields::of(message) {
        let (number, value) = field?;
        singles.note(number, &[2, 5, 6, 7, 8, 9])?;
        match (number, value) {
            (1, Value::Bytes(bytes)) => one.resources.push(resource(bytes)?),
            (2, Value::Bytes(bytes)) => one.name = text(bytes)?,
            (3, Value::Bytes(bytes)) => one.tags.push(text(bytes)?),
            (4, Value::Bytes(bytes)) => one.points.push(point(bytes)?),
            (5, Value::Varint(kind)) => one.kind = kind,
            (6, Value::Bytes(bytes)) => one.unit = text(bytes)?,
            (7, Value::Bytes(bytes)) => drop(text(bytes)?),
            (8, Value::Varint(interval)) => one.interval = interval.cast_signed(),
            other => return Err(format!("{other:?} in a MetricSeries")),
        }
    }
    Ok(one)
}

fn resource(message: &[u8]) -> Result<(String, String), String> {
    let (mut kind, mut name) = (String::new(), String::new());
    let mut singles = Singles::default();
    for field in Fields::of(message) {
        let (number, value) = field?;
        singles.note(number, &[1, 2])?;
        match (number, value) {
            (1, Value::Bytes(bytes)) => kind = text(bytes)?,
            (2, Value::Bytes(bytes)) => name = text(bytes)?,
            other => return Err(format!("{other:?} in a Resource")),
        }
    }
    Ok((kind, name))
}

fn point(message: &[u8]) -> Result<(i64, f64), String> {
    let (mut time, mut number_value) = (0, 0.0);
    let mut singles = Singles::default();
    for field in Fields::of(message) {
        let (number, value) = field?;
        singles.note(number, &[1, 2])?;
        match (number, value) {
            (1, Value::Double(value)) => number_value = value,
            (2, Value::Varint(seconds)) => time = seconds.cast_signed(),
            other => return Err(format!("{other:?} in a MetricPoint")),
        }
    }
    Ok((time, number_value))
}

fn sketch_payload(raw: &[u8]) -> Result<Vec<Sketch>, String> {
    let mut all = Vec::new();
    let mut metadata = 0;
    for field in Fields::of(raw) {
        match field? {
            (1, Value::Bytes(message)) => all.push(sketch(message)?),
            (2, Value::Bytes([])) => metadata += 1,
            other => return Err(format!("{other:?} in a SketchPayload")),
        }
    }
    if metadata != 1 {
        return Err(format!(
            "metadata stands {metadata} times in a SketchPayload"
        ));
    }
    Ok(all)
}

fn sketch(message: &[u8]) -> Result<Sketch, String> {
    let mut one = Sketch::default();
    let mut singles = Singles::default();
    for field in Fields::of(message) {
        let (number, value) = field?;
        singles.note(number, &[1, 2, 8])?;
        match (number, value) {
            (1, Value::Bytes(bytes)) => one.name = text(bytes)?,
            (2, Value::Bytes(bytes)) => one.host = text(bytes)?,
            (4, Value::Bytes(bytes)) => one.tags.push(text(bytes)?),
            (7, Value::Bytes(bytes)) => one.points.push(dogsketch(bytes)?),
            other => return Err(format!("{other:?} in a Sketch")),
        }
    }
    Ok(one)
}

fn dogsketch(message: &[u8]) -> Result<SketchPoint, String> {
    let mut one = SketchPoint::default();
    let (mut keys, mut counts) = (Vec::new(), Vec::new());
    let mut singles = Singles::default();
    for field in Fields::of(message) {
        let (number, value) = field?;
        singles.note(number, &[1, 2, 3, 4, 5, 6, 7, 8])?;
        match (number, value) {
            (1, Value::Varint(seconds)) => one.time = seconds.cast_signed(),
            (2, Value::Varint(count)) => one.count = count.cast_signed(),
            (3, Value::Double(min)) => one.min = min,
            (4, Value::Double(max)) => one.max = max,
            (5, Value::Double(avg)) => one.avg = avg,
            (6, Value::Double(sum)) => one.sum = sum,
            (7, Value::Bytes(bytes)) => keys = packed(bytes)?,
            (8, Value::Bytes(bytes)) => counts = packed(bytes)?,
            other => return Err(format!("{other:?} in a Dogsketch")),
        }
    }
    if keys.len() != counts.len() {
        return Err(format!("{} keys, {} counts", keys.len(), counts.len()));
    }
    let keys = keys.into_iter().map(unzigzag);
    one.bins = keys.zip(counts).collect();
    Ok(one)
}

fn events(raw: &[u8]) -> Result<Vec<Event>, String> {
    let body: Json = serde_json::from_slice(raw).map_err(|error| error.to_string())?;
    let object = body.as_object().ok_or("events are no object")?;
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    if names != ["apiKey", "events", "internalHostname"] || object["apiKey"] != "" {
        return Err(format!("an event payload of {names:?}"));
    }
    let lists = object["events"].as_object().ok_or("lists of events")?;
    let mut all = Vec::new();
    for (source, list) in lists {
        let list = list.as_array().ok_or("a list of events")?;
        if list.is_empty() {
            return Err(format!("nothing in the list {source}"));
        }
        all.extend(list.iter().map(|object| Event {
            source: source.clone(),
            object: object.clone(),
        }));
    }
    // A name that stands twice would hide the first list from a reader of objects.
    let text = String::from_utf8_lossy(raw);
    let written = text.matches("\"msg_title\":").count();
    match written == all.len() {
        true => Ok(all),
        false => Err(format!("{written} events written, {} readable", all.len())),
    }
}

/// Fields that may stand once.
#[derive(Default)]
struct Singles(u32);

impl Singles {
    fn note(&mut self, number: u32, singles: &[u32]) -> Result<(), String> {
        let bit = 1_u32.checked_shl(number).unwrap_or(0);
        if singles.contains(&number) && self.0 & bit != 0 {
            return Err(format!("field {number} stands twice"));
        }
        self.0 |= bit;
        Ok(())
    }
}
