//! The DogStatsD grammar as its description reads, one rule after the other, everything copied.

use crate::slow_number::{float, integer};

/// What a line says, in words that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Metric(Metric),
    Event(Event),
    ServiceCheck(ServiceCheck),
    /// The class of the first rule broken.
    Refused(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: &'static str,
    pub(crate) values: Values,
    pub(crate) sample_rate: Number,
    pub(crate) timestamp: Option<i64>,
    pub(crate) common: Common,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Numbers(Vec<Number>),
    Member(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) title: Vec<u8>,
    pub(crate) text: Vec<u8>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) host: Vec<u8>,
    pub(crate) aggregation_key: Vec<u8>,
    pub(crate) priority: &'static str,
    pub(crate) source_type: Vec<u8>,
    pub(crate) alert_type: &'static str,
    pub(crate) common: Common,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceCheck {
    pub(crate) name: Vec<u8>,
    pub(crate) status: u8,
    pub(crate) timestamp: Option<i64>,
    pub(crate) host: Vec<u8>,
    pub(crate) message: Vec<u8>,
    pub(crate) common: Common,
}

/// What every kind of message may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) tags: Vec<Vec<u8>>,
    pub(crate) local_data: Vec<u8>,
    pub(crate) external_data: Vec<u8>,
    pub(crate) cardinality: Vec<u8>,
}

/// A double that equals itself: by its bits, all NaN being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(u64);

/// Which fields are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switches {
    pub(crate) timestamps: bool,
    pub(crate) client_origin: bool,
}

/// What special tags say, and the tags that stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Special {
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) entity_id: Vec<u8>,
    pub(crate) cardinality: Vec<u8>,
    pub(crate) jmx_check_name: Option<Vec<u8>>,
    pub(crate) stay: Vec<Vec<u8>>,
}

/// The pieces of a packet, and whether the last was dropped for want of a newline.
pub(crate) fn lines(packet: &[u8], eol_required: bool) -> (Vec<Vec<u8>>, bool) {
    let mut pieces: Vec<&[u8]> = packet.split(|byte| *byte == b'\n').collect();
    let unterminated = eol_required && pieces.last().is_some_and(|last| !last.is_empty());
    if unterminated {
        pieces.pop();
    }
    let pieces = pieces
        .into_iter()
        .map(|piece| piece.strip_suffix(b"\r").unwrap_or(piece));
    (
        pieces
            .filter(|piece| !piece.is_empty())
            .map(<[u8]>::to_vec)
            .collect(),
        unterminated,
    )
}

pub(crate) fn parse(line: &[u8], switches: Switches) -> Told {
    let told = if line.starts_with(b"_e{") {
        event(line, switches).map(Told::Event)
    } else if line.starts_with(b"_sc") {
        service_check(line, switches).map(Told::ServiceCheck)
    } else {
        metric(line, switches).map(Told::Metric)
    };
    told.unwrap_or_else(Told::Refused)
}

pub(crate) fn special(tags: &[Vec<u8>], cardinality: &[u8]) -> Special {
    let mut special = Special {
        cardinality: cardinality.to_vec(),
        ..Special::default()
    };
    for tag in tags {
        if let Some(host) = tag.strip_prefix(b"host:") {
            special.host = Some(host.to_vec());
        } else if let Some(id) = tag.strip_prefix(b"dd.internal.entity_id:") {
            special.entity_id = id.to_vec();
        } else if let Some(name) = tag.strip_prefix(b"dd.internal.jmx_check_name:") {
            special.jmx_check_name = Some(name.to_vec());
        } else if let (Some(cardinality), true) = (
            tag.strip_prefix(b"dd.internal.card:"),
            special.cardinality.is_empty(),
        ) {
            special.cardinality = cardinality.to_vec();
        } else {
            special.stay.push(tag.clone());
        }
    }
    special
}

fn metric(line: &[u8], switches: Switches) -> Result<Metric, &'static str> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b'|').collect();
    if parts.len() < 2 {
        return Err("metric_format");
    }
    let colon = parts[0]
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("metric_name_value")?;
    let (name, value) = (&parts[0][..colon], &parts[0][colon + 1..]);
    if name.is_empty() || value.is_empty() {
        return Err("metric_name_value");
    }
    let kind = ["g", "c", "h", "ms", "d", "s"]
        .into_iter()
        .find(|s| s.as_bytes() == parts[1]);
    let kind = kind.ok_or("metric_type")?;
    let values = if kind == "s" {
        Values::Member(value.to_vec())
    } else {
        let elements = value
            .split(|byte| *byte == b':')
            .filter(|element| !element.is_empty());
        let numbers: Option<Vec<Number>> = elements.map(|e| float(e).map(Number::new)).collect();
        let numbers = numbers
            .filter(|numbers| !numbers.is_empty())
            .ok_or("metric_value")?;
        Values::Numbers(numbers)
    };
    let mut metric = Metric {
        name: name.to_vec(),
        kind,
        values,
        sample_rate: Number::new(1.0),
        timestamp: None,
        common: Common::default(),
    };
    for field in &parts[2..] {
        if let Some(rate) = field.strip_prefix(b"@") {
            metric.sample_rate = Number::new(float(rate).ok_or("metric_sample_rate")?);
        } else if let (Some(seconds), true) = (field.strip_prefix(b"T"), switches.timestamps) {
            let seconds = integer(seconds).filter(|seconds| *seconds >= 1);
            metric.timestamp = Some(seconds.ok_or("metric_timestamp")?);
        } else {
            metric.common.read(field, switches);
        }
    }
    Ok(metric)
}

fn event(line: &[u8], switches: Switches) -> Result<Event, &'static str> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("event_format")?;
    let (header, body) = (&line[..colon], &line[colon + 1..]);
    if header.len() < 7 {
        return Err("event_header");
    }
    let lengths = &header[3..header.len() - 1];
    let comma = lengths
        .iter()
        .position(|byte| *byte == b',')
        .ok_or("event_header")?;
    let title_len = integer(&lengths[..comma])
        .filter(|len| *len >= 0)
        .ok_or("event_header")?;
    if title_len == 0 {
        return Err("event_empty_title");
    }
    let text_len = integer(&lengths[comma + 1..])
        .filter(|len| *len >= 0)
        .ok_or("event_header")?;
    if i128::from(title_len) + 1 + i128::from(text_len) > body.len() as i128 {
        return Err("event_length");
    }
    let (title_len, text_len) = (title_len as usize, text_len as usize);
    let mut event = Event {
        title: body[..title_len].to_vec(),
        text: body[title_len + 1..title_len + 1 + text_len].to_vec(),
        timestamp: None,
        host: Vec::new(),
        aggregation_key: Vec::new(),
        priority: "normal",
        source_type: Vec::new(),
        alert_type: "info",
        common: Common::default(),
    };
    for field in body[title_len + 1 + text_len..].split(|byte| *byte == b'|') {
        let value = field.get(2..).unwrap_or_default();
        match field.get(..2) {
            Some(b"d:") => read_timestamp(&mut event.timestamp, value),
            Some(b"h:") => event.host = value.to_vec(),
            Some(b"k:") => event.aggregation_key = value.to_vec(),
            Some(b"s:") => event.source_type = value.to_vec(),
            Some(b"p:") => {
                choose(&mut event.priority, &["normal", "low"], value);
            }
            Some(b"t:") => {
                choose(
                    &mut event.alert_type,
                    &["info", "success", "warning", "error"],
                    value,
                );
            }
            _ => event.common.read(field, switches),
        }
    }
    Ok(event)
}

fn service_check(line: &[u8], switches: Switches) -> Result<ServiceCheck, &'static str> {
    if line.len() < 4 || line.iter().filter(|byte| **byte == b'|').count() < 2 {
        return Err("service_check_format");
    }
    let parts: Vec<&[u8]> = line[4..].split(|byte| *byte == b'|').collect();
    if parts[0].is_empty() {
        return Err("service_check_name");
    }
    let statuses: [&[u8]; 4] = [b"0", b"1", b"2", b"3"];
    let status = parts
        .get(1)
        .and_then(|text| statuses.iter().position(|s| s == text));
    let mut check = ServiceCheck {
        name: parts[0].to_vec(),
        status: status.ok_or("service_check_status")? as u8,
        timestamp: None,
        host: Vec::new(),
        message: Vec::new(),
        common: Common::default(),
    };
    for field in &parts[2..] {
        let value = field.get(2..).unwrap_or_default();
        match field.get(..2) {
            Some(b"d:") => read_timestamp(&mut check.timestamp, value),
            Some(b"h:") => check.host = value.to_vec(),
            Some(b"m:") => check.message = value.to_vec(),
            _ => check.common.read(field, switches),
        }
    }
    Ok(check)
}

/// A bad timestamp leaves the earlier one; 0 stands for none.
fn read_timestamp(timestamp: &mut Option<i64>, text: &[u8]) {
    if let Some(seconds) = integer(text) {
        *timestamp = (seconds != 0).then_some(seconds);
    }
}

fn choose(choice: &mut &'static str, words: &[&'static str], text: &[u8]) {
    if let Some(word) = words.iter().find(|word| word.as_bytes() == text) {
        *choice = word;
    }
}

// === impl Common ===

impl Common {
    fn read(&mut self, field: &[u8], switches: Switches) {
        if let Some(tags) = field.strip_prefix(b"#") {
            self.tags = if tags.is_empty() {
                Vec::new()
            } else {
                tags.split(|byte| *byte == b',')
                    .map(<[u8]>::to_vec)
                    .collect()
            };
        }
        if !switches.client_origin {
            return;
        }
        if let Some(text) = field.strip_prefix(b"c:") {
            self.local_data = text.to_vec();
        } else if let Some(text) = field.strip_prefix(b"e:") {
            self.external_data = text.to_vec();
        } else if let Some(text) = field.strip_prefix(b"card:") {
            self.cardinality = text.to_vec();
        }
    }
}

// === impl Number ===

impl Number {
    pub(crate) fn new(value: f64) -> Self {
        Self(if value.is_nan() {
            f64::NAN.to_bits()
        } else {
            value.to_bits()
        })
    }

    pub(crate) fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}
