//! The parser against one that was written to be obvious: it splits, copies and looks at every rule
//! in the order in which the protocol states them. Only numbers are shared; they have their own
//! oracle beside their code.

use greyhound_wire::{Options, number};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::telling::{Telling, told};

type Refused = &'static str;

fn slow(line: &[u8], options: Options) -> Result<String, Refused> {
    if line.starts_with(b"_e{") {
        slow_event(line, options)
    } else if line.starts_with(b"_sc") {
        slow_check(line, options)
    } else {
        slow_metric(line, options)
    }
}

fn split(text: &[u8], at: u8) -> Vec<&[u8]> {
    text.split(|&byte| byte == at).collect()
}

fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = text.iter().position(|&byte| byte == at)?;
    Some((&text[..index], &text[index + 1..]))
}

fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Fields by name, the last of each.
#[derive(Default)]
struct Fields<'a> {
    tags: Option<Vec<&'a [u8]>>,
    local: &'a [u8],
    external: &'a [u8],
    cardinality: &'a [u8],
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn read_common(&mut self, field: &'a [u8], options: Options) {
        if let Some(tags) = field.strip_prefix(b"#") {
            self.tags = (!tags.is_empty()).then(|| split(tags, b','));
        }
        if options.client_origin {
            for (prefix, place) in [
                (&b"c:"[..], &mut self.local),
                (b"e:", &mut self.external),
                (b"card:", &mut self.cardinality),
            ] {
                if let Some(text) = field.strip_prefix(prefix) {
                    *place = text;
                }
            }
        }
    }

    fn tell_origin(&self, telling: Telling) -> String {
        telling
            .text("c", self.local)
            .text("e", self.external)
            .text("card", self.cardinality)
            .end()
    }
}

fn slow_metric(line: &[u8], options: Options) -> Result<String, Refused> {
    let parts = split(line, b'|');
    if parts.len() < 2 {
        return Err("metric_format");
    }
    let (name, value) = cut(parts[0], b':').ok_or("metric_name_value")?;
    if name.is_empty() || value.is_empty() {
        return Err("metric_name_value");
    }
    let kind = match parts[1] {
        b"g" => "gauge",
        b"c" => "counter",
        b"h" => "histogram",
        b"ms" => "timing",
        b"d" => "distribution",
        b"s" => "set",
        _ => return Err("metric_type"),
    };
    let mut values = Vec::new();
    if kind != "set" {
        for element in split(value, b':') {
            if !element.is_empty() {
                values.push(number::parse(element).map_err(|_| "metric_value")?);
            }
        }
        if values.is_empty() {
            return Err("metric_value");
        }
    }
    let mut rate = 1.0;
    let mut time = None;
    let mut fields = Fields::default();
    for field in &parts[2..] {
        fields.read_common(field, options);
        if let Some(text) = field.strip_prefix(b"@") {
            rate = number::parse(text).map_err(|_| "metric_sample_rate")?;
        }
        if options.timestamps
            && let Some(text) = field.strip_prefix(b"T")
        {
            let seconds = integer(text).filter(|&seconds| seconds >= 1);
            time = Some(seconds.ok_or("metric_timestamp")?);
        }
    }
    let telling = Telling::start(kind, name);
    let telling = match kind {
        "set" => telling.text("member", value),
        _ => telling.values(&values),
    };
    Ok(fields.tell_origin(telling.rate(rate).tags(fields.tags.as_deref()).time(time)))
}

fn slow_event(line: &[u8], options: Options) -> Result<String, Refused> {
    let (header, body) = cut(line, b':').ok_or("event_format")?;
    if header.len() < 7 {
        return Err("event_header");
    }
    let (title_len, text_len) = cut(&header[3..header.len() - 1], b',').ok_or("event_header")?;
    let title_len = integer(title_len)
        .filter(|&len| len >= 0)
        .ok_or("event_header")?;
    if title_len == 0 {
        return Err("event_empty_title");
    }
    let text_len = integer(text_len)
        .filter(|&len| len >= 0)
        .ok_or("event_header")?;
    let needed = i128::from(title_len) + 1 + i128::from(text_len);
    if needed > body.len() as i128 {
        return Err("event_length");
    }
    let (title, text) = body[..needed as usize].split_at(title_len as usize);
    let (mut time, mut priority, mut alert) = (None, &b"normal"[..], &b"info"[..]);
    let (mut host, mut key, mut source) = (&b""[..], &b""[..], &b""[..]);
    let mut fields = Fields::default();
    for field in split(&body[needed as usize..], b'|') {
        fields.read_common(field, options);
        match cut(field, b':') {
            Some((b"d", text)) => time = integer(text).or(time),
            Some((b"h", text)) => host = text,
            Some((b"k", text)) => key = text,
            Some((b"s", text)) => source = text,
            Some((b"p", text @ (b"normal" | b"low"))) => priority = text,
            Some((b"t", text @ (b"info" | b"success" | b"warning" | b"error"))) => alert = text,
            _ => {}
        }
    }
    let telling = Telling::start("event", title)
        .text("text", &text[1..])
        .time(time.filter(|&seconds| seconds != 0))
        .text("host", host)
        .text("key", key)
        .text("priority", priority)
        .text("source", source)
        .text("alert", alert)
        .tags(fields.tags.as_deref());
    Ok(fields.tell_origin(telling))
}

fn slow_check(line: &[u8], options: Options) -> Result<String, Refused> {
    if line.len() < 4 || split(line, b'|').len() < 3 {
        return Err("service_check_format");
    }
    let parts = split(&line[4..], b'|');
    if parts[0].is_empty() {
        return Err("service_check_name");
    }
    let status = match parts.get(1).copied() {
        Some(b"0") => "ok",
        Some(b"1") => "warning",
        Some(b"2") => "critical",
        Some(b"3") => "unknown",
        _ => return Err("service_check_status"),
    };
    let (mut time, mut host, mut message) = (None, &b""[..], &b""[..]);
    let mut fields = Fields::default();
    for field in &parts[2..] {
        fields.read_common(field, options);
        match cut(field, b':') {
            Some((b"d", text)) => time = integer(text).or(time),
            Some((b"h", text)) => host = text,
            Some((b"m", text)) => message = text,
            _ => {}
        }
    }
    let telling = Telling::start("check", parts[0])
        .text("status", status.as_bytes())
        .time(time.filter(|&seconds| seconds != 0))
        .text("host", host)
        .text("message", message)
        .tags(fields.tags.as_deref());
    Ok(fields.tell_origin(telling))
}

// === lines that are nearly right ===

const VALUES: &[&str] = &[
    "1",
    "0",
    "-3",
    "+4",
    "12.5",
    ".5",
    "7.",
    "123456",
    "1234567",
    "12345678",
    "1234.5678",
    "1e3",
    "2.5E-3",
    "nan",
    "-inf",
    "-nan",
    "0x1p3",
    "0x1",
    "1_000",
    "1__0",
    "1e309",
    "",
    ":",
    "1:2",
    "1::2",
    ":7",
    "1:x:3",
    "12.345790863037109",
    "1:2:3:4:5:6:7:8:9:10",
    "abc",
    "1 ",
    "18446744073709551616",
    "-",
    ".",
    "123456.",
    "-12345.6",
];
const TYPES: &[&str] = &[
    "c", "g", "h", "ms", "d", "s", "c", "g", "m", "", "cc", "mss", "G", "s ",
];
const FIELDS: &[&str] = &[
    "#a:b,c",
    "#",
    "#,",
    "#env:prod,service:web,region:eu1,version:1.2.3,host_id:i-0123456789",
    "@0.5",
    "@1",
    "@",
    "@x",
    "@1e-3",
    "@0.1x",
    "T1700000000",
    "T1",
    "T0",
    "T",
    "T-1",
    "T+5",
    "Tx",
    "c:ci-abc",
    "c:",
    "c",
    "e:it-true,cn-x",
    "e:",
    "card:low",
    "card:",
    "card",
    "",
    "x:1",
    "zebra",
    "d:17",
    "d:-5",
    "d:0",
    "d:x",
    "d:",
    "h:web",
    "h:",
    "k:key",
    "p:low",
    "p:normal",
    "p:x",
    "s:src",
    "t:error",
    "t:info",
    "t:success",
    "t:warning",
    "t:x",
    "m:text",
    "m:",
];
const NAMES: &[&str] = &[
    "a",
    "page.views",
    "api.requests.latency.by.customer.and.region",
    "",
    "_s",
    "_e",
    "_sc",
    "_scx",
    "a b",
    "a#b@c",
    "disk.used.pct",
    "twelve.bytes",
    "exactly.thirty.two.bytes.long.xx",
];
const HEADERS: &[&str] = &[
    "_e{5,4}:",
    "_e{5,0}:",
    "_e{0,4}:",
    "_e{1,1}:",
    "_e{5,4}",
    "_e{}:",
    "_e{5}:",
    "_e{5,}:",
    "_e{x,4}:",
    "_e{5,-1}:",
    "_e{05,+4}:",
    "_e{99,9}:",
    "_e{5,4,1}:",
    "_e{5,4]:",
    "_e{3,9223372036854775807}:",
];

fn fields() -> impl Strategy<Value = String> {
    proptest::collection::vec(select(FIELDS), 0..6)
        .prop_map(|fields| fields.iter().map(|field| format!("|{field}")).collect())
}

fn line() -> impl Strategy<Value = String> {
    let metric = (select(NAMES), select(VALUES), select(TYPES), fields())
        .prop_map(|(name, value, kind, fields)| format!("{name}:{value}|{kind}{fields}"));
    let event = (
        select(HEADERS),
        select(&["Alarm|text", "Alarm|", "a|b", "Al|rm|t|xt", ""][..]),
        fields(),
    )
        .prop_map(|(header, body, fields)| format!("{header}{body}{fields}"));
    let check = (
        select(&["_sc|", "_sc", "_sc#", "_sc||"][..]),
        select(NAMES),
        select(&["|0", "|1", "|2", "|3", "|4", "|", "", "|00"][..]),
        fields(),
    )
        .prop_map(|(start, name, status, fields)| format!("{start}{name}{status}{fields}"));
    prop_oneof![4 => metric, 2 => event, 2 => check]
}

/// Some bytes put in, taken out or changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => select(&b"|:,#@T{}_.-+e0123456789cgdhms\\n\r\0\xff"[..]),
        1 => any::<u8>(),
    ];
    let change = (any::<Index>(), 0..3u8, byte);
    (line(), proptest::collection::vec(change, 0..5)).prop_map(|(line, changes)| {
        let mut line = line.into_bytes();
        for (at, how, byte) in changes {
            let at = at.index(line.len() + 1);
            match how {
                0 => line.insert(at, byte),
                1 if at < line.len() => line[at] = byte,
                _ if at < line.len() => drop(line.remove(at)),
                _ => {}
            }
        }
        line
    })
}

fn compare(line: &[u8], options: Options) -> Result<(), TestCaseError> {
    let found = told(line, options);
    if let Err(error) = found {
        prop_assert!(error.offset as usize <= line.len(), "{error:?} is outside");
    }
    let found = found.map_err(|error| error.kind.as_str());
    prop_assert_eq!(found, slow(line, options), "{}", line.escape_ascii());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30_000))]

    #[test]
    fn lines_that_are_nearly_right(line in mutated(), timestamps: bool, client_origin: bool) {
        compare(&line, Options { timestamps, client_origin })?;
    }

    #[test]
    fn lines_of_nothing_but_structure(line in "(_e\\{|_sc)?[|:,#@Tce0-9_s{}.\\\\dahm-]{0,40}") {
        compare(line.as_bytes(), Options { timestamps: true, client_origin: true })?;
    }

    #[test]
    fn any_bytes(line in proptest::collection::vec(any::<u8>(), 0..80)) {
        compare(&line, Options::default())?;
    }
}
