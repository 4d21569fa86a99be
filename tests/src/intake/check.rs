//! Every rule of the intake, held against every payload: head, size, content. A list of what was broken.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use super::Rules;
use super::payload::{Event, Payload, Series, Sketch, SketchPoint};
use super::request::{Class, Request};

const NAME_LEN_BYTES_MAX: usize = 350;
const HOST_LEN_BYTES_MAX: usize = 255;
const TAGS_MAX: usize = 100;
const TAGS_LEN_BYTES_MAX: usize = 100 * 1024;
const RESOURCES_MAX: usize = 500;
const BINS_MAX: usize = 4096;

/// Points may be this far ahead.
const AHEAD_SECONDS_MAX: i64 = 600;

/// Sums of many numbers differ in their last digits by the order they are added in.
const TOLERANCE: f64 = 1e-9;

/// What was found, and the payload as far as it can be read.
pub(super) struct Checked {
    pub(super) payload: Payload,
    pub(super) raw_len: usize,
    pub(super) broken: Vec<String>,
}

/// Holds a request against the rules.
pub(super) fn check(rules: &Rules, request: &Request, body: &[u8]) -> Checked {
    let mut broken = Vec::new();
    head(rules, request, body, &mut broken);
    let raw = match unpack(request.header("content-encoding"), body) {
        Ok(raw) => raw,
        Err(why) => {
            broken.push(format!("the body cannot be unpacked: {why}"));
            Vec::new()
        }
    };
    let payload = Payload::decode(request.class, &raw).unwrap_or_else(|why| {
        broken.push(format!("the body cannot be decoded: {why}"));
        Payload::Nothing
    });
    sizes(
        rules,
        request.class,
        body.len(),
        raw.len(),
        &payload,
        &mut broken,
    );
    match &payload {
        Payload::Series(all) => {
            all.iter().for_each(|one| series(rules, one, &mut broken));
            unique_series(rules, all, &mut broken);
        }
        Payload::Sketches(all) => {
            all.iter().for_each(|one| sketch(rules, one, &mut broken));
            unique_sketches(rules, all, &mut broken);
        }
        Payload::Events(all) => all.iter().for_each(|one| event(one, &mut broken)),
        Payload::ServiceChecks(all) => all.iter().for_each(|one| service_check(one, &mut broken)),
        Payload::Nothing => {}
    }
    let place = format!("{} {}", request.method, request.path);
    Checked {
        payload,
        raw_len: raw.len(),
        broken: broken
            .into_iter()
            .map(|why| format!("{place}: {why}"))
            .collect(),
    }
}

fn head(rules: &Rules, request: &Request, body: &[u8], broken: &mut Vec<String>) {
    let mut want = |name: &str, wanted: &str| {
        let found = request.header(name);
        if found != wanted {
            broken.push(format!("header {name} is {found:?}, not {wanted:?}"));
        }
    };
    if request.class == Class::Validate {
        want("content-encoding", "");
        return;
    }
    want("content-encoding", rules.encoding);
    want("content-length", &body.len().to_string());
    want("transfer-encoding", "");
    want("authorization", "");
    want("cookie", "");
    if request.class.is_protobuf() {
        want("content-type", "application/x-protobuf");
    } else {
        want("content-type", "application/json");
        want("dd-agent-payload", "");
    }
    if request.class.is_protobuf() && !is_version(request.header("dd-agent-payload")) {
        broken.push("no version of the payload definition".to_owned());
    }
    if !is_version(request.header("dd-agent-version")) {
        broken.push("no version of the sender".to_owned());
    }
    if !request.header("user-agent").starts_with("greyhound/") {
        broken.push(format!("sent by {:?}", request.header("user-agent")));
    }
    if request.method != "POST" || request.class == Class::Unknown {
        broken.push("no such address".to_owned());
    }
}

/// Three numbers with dots between.
fn is_version(text: &str) -> bool {
    let release = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = release.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

fn unpack(encoding: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut reader: Box<dyn Read + '_> = match encoding {
        "zstd" => Box::new(zstd::stream::read::Decoder::new(body)?),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(body)),
        "gzip" => Box::new(flate2::read::GzDecoder::new(body)),
        "" => Box::new(body),
        other => return Err(io::Error::other(format!("unknown encoding {other:?}"))),
    };
    let mut raw = Vec::new();
    reader.read_to_end(&mut raw)?;
    Ok(raw)
}

fn sizes(
    rules: &Rules,
    class: Class,
    packed: usize,
    raw: usize,
    payload: &Payload,
    broken: &mut Vec<String>,
) {
    let (packed_max, raw_max, points_max) = match class {
        Class::Series => (rules.series[0], rules.series[1], rules.series[2]),
        Class::Validate => (0, 0, 0),
        _ => (rules.other[0], rules.other[1], usize::MAX),
    };
    for (what, found, most) in [
        ("bytes", packed, packed_max),
        ("bytes unpacked", raw, raw_max),
        ("points", payload.points() as usize, points_max),
    ] {
        if found > most {
            broken.push(format!("{found} {what}, at most {most} are taken"));
        }
    }
    if class != Class::Validate && payload.points() == 0 {
        broken.push("nothing in it".to_owned());
    }
}

fn series(rules: &Rules, one: &Series, broken: &mut Vec<String>) {
    let mut say = |why: String| broken.push(format!("series {:?}: {why}", one.name));
    name(&one.name, &mut say);
    tags(&one.tags, &mut say);
    for tag in &one.tags {
        if tag.starts_with("device:") || tag.starts_with("dd.internal.resource:") {
            say(format!("the tag {tag:?} belongs to the resources"));
        }
    }
    host(one.host(), &mut say);
    let hosts = one.resources.iter().filter(|(kind, _)| kind == "host");
    if hosts.count() != 1 || one.resources.len() > RESOURCES_MAX {
        say(format!("resources {:?}", one.resources));
    }
    if !(1..=3).contains(&one.kind) {
        say(format!("type {}", one.kind));
    }
    if one.points.is_empty() {
        say("no points".to_owned());
    }
    if !rules.own_times && one.interval != rules.bucket_seconds {
        say(format!("interval {}", one.interval));
    }
    if one.interval < 1 {
        say(format!("interval {}", one.interval));
    }
    for (seconds, value) in &one.points {
        time(rules, *seconds, &mut say);
        if value.is_nan() {
            say("not a number".to_owned());
        }
    }
}

fn sketch(rules: &Rules, one: &Sketch, broken: &mut Vec<String>) {
    let mut say = |why: String| broken.push(format!("sketch {:?}: {why}", one.name));
    name(&one.name, &mut say);
    tags(&one.tags, &mut say);
    host(&one.host, &mut say);
    if one.points.is_empty() {
        say("no points".to_owned());
    }
    for point in &one.points {
        time(rules, point.time, &mut say);
        if let Err(why) = sketch_point(point) {
            say(format!("{why} in {point:?}"));
        }
    }
}

fn sketch_point(point: &SketchPoint) -> Result<(), &'static str> {
    let total: u64 = point.bins.iter().map(|(_, n)| n).sum();
    if point.count < 1 || total != point.count.unsigned_abs() {
        return Err("bins do not add up");
    }
    if point.bins.len() > BINS_MAX
        || point
            .bins
            .iter()
            .any(|(_, n)| *n == 0 || *n > u64::from(u32::MAX))
    {
        return Err("too many bins, or an empty one, or one that is too full");
    }
    let keys = point.bins.windows(2);
    // A bin fuller than its field stands as several.
    if keys
        .into_iter()
        .any(|two| two[0].0 > two[1].0 || (two[0].0 == two[1].0 && two[0].1 != u64::from(u32::MAX)))
    {
        return Err("keys out of order");
    }
    if point
        .bins
        .iter()
        .any(|(key, _)| i16::try_from(*key).is_err())
    {
        return Err("a key out of range");
    }
    let numbers = [point.min, point.max, point.avg, point.sum];
    if numbers.iter().any(|number| number.is_nan()) {
        return Err("not a number");
    }
    if !numbers.iter().all(|number| number.is_finite()) {
        return Ok(());
    }
    let slack = TOLERANCE * (point.min.abs() + point.max.abs() + 1.0);
    if point.min > point.avg + slack || point.avg > point.max + slack {
        return Err("the mean is not between the ends");
    }
    let sum = point.avg * point.count as f64;
    if (sum - point.sum).abs() > slack * point.count as f64 {
        return Err("mean and sum disagree");
    }
    let (low, high) = (point.quantile(0.0), point.quantile(1.0));
    let near = |a: f64, b: f64| (a - b).abs() <= 0.016 * a.abs().max(b.abs()) + 1e-8;
    if !near(low, point.min) || !near(high, point.max) {
        return Err("the outer bins are not those of the ends");
    }
    Ok(())
}

fn name(name: &str, say: &mut impl FnMut(String)) {
    if name.len() > NAME_LEN_BYTES_MAX || !name.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        say("no name of a metric".to_owned());
    }
}

fn host(host: &str, say: &mut impl FnMut(String)) {
    if host.is_empty() || host.len() > HOST_LEN_BYTES_MAX {
        say(format!("host {host:?}"));
    }
}

fn tags(tags: &[String], say: &mut impl FnMut(String)) {
    let len: usize = tags.iter().map(String::len).sum();
    let different: BTreeSet<&String> = tags.iter().collect();
    if tags.len() > TAGS_MAX || len > TAGS_LEN_BYTES_MAX || different.len() != tags.len() {
        say(format!("{} tags of {len} bytes", tags.len()));
    }
    if tags.iter().any(String::is_empty) {
        say("an empty tag".to_owned());
    }
}

fn time(rules: &Rules, seconds: i64, say: &mut impl FnMut(String)) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().cast_signed());
    if seconds > now + AHEAD_SECONDS_MAX {
        say(format!("{seconds} is in the future"));
    }
    if !rules.own_times && (seconds % rules.bucket_seconds != 0 || seconds < 1) {
        say(format!("{seconds} is not on the grid"));
    }
}

fn unique_series(rules: &Rules, all: &[Series], broken: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for one in all {
        let mut tags = one.tags.clone();
        tags.sort();
        for (seconds, _) in &one.points {
            let is_new = seen.insert((&one.name, tags.clone(), &one.resources, *seconds));
            if !is_new && !rules.own_times {
                broken.push(format!("series {:?} {tags:?} twice at {seconds}", one.name));
            }
        }
    }
}

fn unique_sketches(rules: &Rules, all: &[Sketch], broken: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for one in all {
        let mut tags = one.tags.clone();
        tags.sort();
        for point in &one.points {
            let is_new = seen.insert((&one.name, tags.clone(), &one.host, point.time));
            if !is_new && !rules.own_times {
                broken.push(format!("sketch {:?} {tags:?} twice", one.name));
            }
        }
    }
}

fn event(one: &Event, broken: &mut Vec<String>) {
    let object = &one.object;
    let mut say = |why: &str| broken.push(format!("event {object}: {why}"));
    if ["msg_title", "msg_text", "host"]
        .iter()
        .any(|key| !object[*key].is_string())
    {
        say("a text is missing");
    }
    if !object["timestamp"].is_i64() {
        say("no time");
    }
    if !matches!(object["priority"].as_str(), Some("normal" | "low")) {
        say("no priority");
    }
    if !matches!(
        object["alert_type"].as_str(),
        Some("info" | "success" | "warning" | "error")
    ) {
        say("no alert type");
    }
    let source = object["source_type_name"].as_str().unwrap_or("api");
    if source != one.source {
        say("in the list of another source");
    }
    if !texts(&object["tags"]) {
        say("tags are no texts");
    }
}

fn service_check(object: &Json, broken: &mut Vec<String>) {
    let mut say = |why: &str| broken.push(format!("check {object}: {why}"));
    if ["check", "host_name", "message"]
        .iter()
        .any(|key| !object[*key].is_string())
    {
        say("a text is missing");
    }
    if !object["timestamp"].is_i64() || object["status"].as_u64().is_none_or(|status| status > 3) {
        say("no time or no status");
    }
    if !texts(&object["tags"]) {
        say("tags are no texts");
    }
}

/// Whether it is missing or a list of texts.
fn texts(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.iter().all(Json::is_string),
        _ => false,
    }
}
