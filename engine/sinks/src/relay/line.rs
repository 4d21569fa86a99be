//! Metrics as lines: `name:value|type|@rate|#tags|T…`.

use greyhound_model::context::{Context, Host};
use greyhound_model::flush::{FlushBatch, HistogramSeries, Members, SketchSeries};
use greyhound_model::series::{Point, Series, SeriesKind, Unit};
use greyhound_telemetry::text::write_number;

use super::pack::Packer;
use super::weigh::{self, Weighed};

/// Writes lines; keeps its memory between them.
#[derive(Debug)]
pub(super) struct Lines {
    own_host_tag: bool,
    line: Vec<u8>,
    /// `|#tags` of the context at hand.
    tags: Vec<u8>,
    name: Vec<u8>,
}

// === impl Lines ===

impl Lines {
    pub(super) fn new(own_host_tag: bool) -> Self {
        Self {
            own_host_tag,
            line: Vec::new(),
            tags: Vec::new(),
            name: Vec::new(),
        }
    }

    /// One point of a counter or gauge.
    pub(super) fn series(
        &mut self,
        batch: &FlushBatch,
        series: &Series,
        point: &Point,
        keeps_time: bool,
        packer: &mut Packer<'_>,
    ) {
        self.begin(batch, &series.context);
        series.suffix.append_to(&mut self.name);
        if !is_name(&self.name) || !point.value.is_finite() {
            packer.refuse(1);
            return;
        }
        self.line.clear();
        self.line.extend_from_slice(&self.name);
        self.line.push(b':');
        write_number(point.value, &mut self.line);
        self.line.extend_from_slice(match series.kind {
            SeriesKind::Gauge => b"|g",
            SeriesKind::Rate => b"|c",
        });
        self.line.extend_from_slice(&self.tags);
        // Others than whole positive seconds are no times on the wire.
        if keeps_time && point.unix_seconds > 0 {
            self.line.extend_from_slice(b"|T");
            write_number(point.unix_seconds as f64, &mut self.line);
        }
        packer.add(&self.line, 1);
    }

    /// Every member of a set; `points` go with the last one.
    pub(super) fn set(
        &mut self,
        batch: &FlushBatch,
        context: &Context,
        members: &Members,
        points: u64,
        packer: &mut Packer<'_>,
    ) {
        self.begin(batch, context);
        if !is_name(&self.name) {
            packer.refuse(points);
            return;
        }
        let count = members.len();
        if count == 0 {
            packer.receipt.deliver(points);
        }
        for (at, member) in members.iter().enumerate() {
            self.line.clear();
            self.line.extend_from_slice(&self.name);
            self.line.push(b':');
            self.line.extend_from_slice(member);
            self.line.extend_from_slice(b"|s");
            self.line.extend_from_slice(&self.tags);
            packer.add(&self.line, if at + 1 == count { points } else { 0 });
        }
    }

    /// The values of a histogram or timing; `points` go with the last line.
    pub(super) fn histogram(
        &mut self,
        batch: &FlushBatch,
        series: &HistogramSeries,
        points: u64,
        packer: &mut Packer<'_>,
    ) {
        self.begin(batch, &series.context);
        if !is_name(&self.name) {
            packer.refuse(points);
            return;
        }
        let word: &[u8] = match series.unit {
            Unit::None => b"|h",
            Unit::Millisecond => b"|ms",
        };
        let count = series.points.len();
        for (at, point) in series.points.iter().enumerate() {
            let weighed = weigh::weigh(&point.sketch, point.sum);
            let points = if at + 1 == count { points } else { 0 };
            self.weighed(&weighed, word, points, packer);
        }
    }

    /// The values of a distribution.
    pub(super) fn distribution(
        &mut self,
        batch: &FlushBatch,
        series: &SketchSeries,
        packer: &mut Packer<'_>,
    ) {
        self.begin(batch, &series.context);
        if !is_name(&self.name) {
            packer.refuse(series.points.len() as u64);
            return;
        }
        for (_, sketch) in &series.points {
            self.weighed(&weigh::weigh(sketch, sketch.sum()), b"|d", 1, packer);
        }
    }

    /// Values of one weight share lines, as many as fit; `points` go with the last line.
    fn weighed(&mut self, weighed: &Weighed, word: &[u8], points: u64, packer: &mut Packer<'_>) {
        if weighed.is_empty() {
            packer.receipt.deliver(points);
            return;
        }
        let groups = weighed.len();
        for (at, (weight, values)) in weighed.iter().enumerate() {
            let mut values = values.iter().peekable();
            let mut tail = word.to_vec();
            if *weight > 1 {
                tail.extend_from_slice(b"|@");
                write_number(weigh::rate(*weight), &mut tail);
            }
            while values.peek().is_some() {
                self.line.clear();
                self.line.extend_from_slice(&self.name);
                while let Some(value) = values.peek() {
                    let before = self.line.len();
                    self.line.push(b':');
                    write_number(**value, &mut self.line);
                    let len = self.line.len() + tail.len() + self.tags.len();
                    if len > packer.len_max() && before > self.name.len() {
                        self.line.truncate(before);
                        break;
                    }
                    values.next();
                }
                self.line.extend_from_slice(&tail);
                self.line.extend_from_slice(&self.tags);
                let is_last = at + 1 == groups && values.peek().is_none();
                packer.add(&self.line, if is_last { points } else { 0 });
            }
        }
    }

    fn begin(&mut self, batch: &FlushBatch, context: &Context) {
        self.name.clear();
        self.name.extend_from_slice(context.name());
        self.tags.clear();
        let host = match context.host() {
            Host::Own if self.own_host_tag => Some(&*batch.hostname),
            Host::Own => None,
            Host::Named(host) => Some(host),
        };
        if let Some(host) = host {
            self.tags.extend_from_slice(b"|#host:");
            push_tag(host, &mut self.tags);
        }
        for tag in context.tags() {
            let lead: &[u8] = if self.tags.is_empty() { b"|#" } else { b"," };
            self.tags.extend_from_slice(lead);
            push_tag(tag, &mut self.tags);
        }
    }
}

/// Adds a tag; bytes that would end it become `_`. No client can send them, a tagger or a setting could.
pub(super) fn push_tag(tag: &[u8], out: &mut Vec<u8>) {
    out.extend(tag.iter().map(|byte| match byte {
        b',' | b'|' | b'\n' => b'_',
        other => *other,
    }));
}

/// Whether a name can stand at the start of a line.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().any(|byte| matches!(byte, b':' | b'|' | b'\n'))
}
