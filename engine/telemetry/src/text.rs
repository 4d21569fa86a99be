//! The Prometheus text form: text 0.0.4 and OpenMetrics 1.0. The one place that writes it.
//!
//! A scraper throws the whole page away for one bad line, so [`Writer`] cannot be made to write
//! one: names it was given wrong are repaired, values are escaped, bytes that are not UTF-8 become
//! U+FFFD. Two things stay with the caller, because only it can know: no label name twice in a
//! sample, and no series twice on a page.
//!
//! A metric has the same name in both forms. OpenMetrics wants the samples of a counter to end in
//! `_total`; a counter that does not (the Agent's own names, for one) is declared `unknown` there,
//! which is valid and renames nothing.

mod names;
mod negotiate;
mod snapshot;

pub use names::{is_label_name, is_metric_name, sanitize_label, sanitize_name};
pub use negotiate::negotiate;
pub use snapshot::write_snapshot;

/// For samples without labels.
pub const NO_LABELS: [(&str, &str); 0] = [];

/// Integers up to here have an exact double, so writing them without a fraction loses nothing.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Which of the text forms a page is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// The grammar.
    pub syntax: Syntax,
    /// Whether the reader asked for names as they are (`escaping=allow-utf-8`); else they are
    /// reduced to letters, digits, `_` and `:`.
    pub utf8_names: bool,
}

/// The two grammars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// Prometheus text 0.0.4 (1.0.0 when names are UTF-8).
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What a family declares itself to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FamilyType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket{le}`, `_sum`, `_count`.
    Histogram,
    /// `{quantile}`, `_sum`, `_count`.
    Summary,
    /// Nothing is promised.
    Unknown,
}

/// Writes one page, family by family.
///
/// Cost: appends to the given buffer, which the caller may keep; one scratch string per page.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    format: Format,
    name: String,
    repaired: u64,
}

// === impl Format ===

impl Format {
    /// What every reader understands.
    pub const TEXT: Self = Self {
        syntax: Syntax::Text,
        utf8_names: false,
    };

    /// OpenMetrics with reduced names.
    pub const OPEN_METRICS: Self = Self {
        syntax: Syntax::OpenMetrics,
        utf8_names: false,
    };

    /// The `Content-Type` to answer with. Prometheus 3 refuses a page without one.
    pub const fn content_type(self) -> &'static str {
        match (self.syntax, self.utf8_names) {
            (Syntax::Text, false) => "text/plain; version=0.0.4; charset=utf-8",
            (Syntax::Text, true) => {
                "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (Syntax::OpenMetrics, false) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            (Syntax::OpenMetrics, true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
        }
    }

    /// Appends a number as the value of an `le` or `quantile` label. OpenMetrics wants a fraction
    /// (`1.0`) so that the same bound is always the same text.
    pub fn write_label_number(self, value: f64, out: &mut Vec<u8>) {
        let start = out.len();
        write_number(value, out);
        let bare = out[start..]
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'-');
        if self.syntax == Syntax::OpenMetrics && bare {
            out.extend_from_slice(b".0");
        }
    }
}

// === impl FamilyType ===

impl FamilyType {
    fn as_str(self, syntax: Syntax) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Unknown if syntax == Syntax::Text => "untyped",
            Self::Unknown => "unknown",
        }
    }
}

// === impl Writer ===

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, format: Format) -> Self {
        Self {
            out,
            format,
            name: String::new(),
            repaired: 0,
        }
    }

    /// The form being written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Opens a family: its type, unit and help. `name` as it stands on the samples: for a counter
    /// with `_total`, for a histogram or summary without `_bucket`, `_sum`, `_count`. All samples
    /// of the family follow before the next one is opened. An empty help is left out.
    pub fn family(&mut self, name: &str, family_type: FamilyType, help: &str, unit: &str) {
        let open_metrics = self.format.syntax == Syntax::OpenMetrics;
        let base = name.strip_suffix("_total").filter(|base| !base.is_empty());
        let (name, family_type) = match (family_type, base) {
            (FamilyType::Counter, Some(base)) if open_metrics => (base, family_type),
            (FamilyType::Counter, None) if open_metrics => (name, FamilyType::Unknown),
            _ => (name, family_type),
        };
        self.set_name(name, "");
        if !help.is_empty() {
            self.out.extend_from_slice(b"# HELP ");
            self.write_name();
            self.out.push(b' ');
            write_escaped(help.as_bytes(), open_metrics, self.out);
            self.out.push(b'\n');
        }
        self.out.extend_from_slice(b"# TYPE ");
        self.write_name();
        self.out.push(b' ');
        let word = family_type.as_str(self.format.syntax);
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'\n');
        // A unit that is not the end of the name makes the page invalid.
        let unit_ends_name = (self.name.strip_suffix(unit)).is_some_and(|rest| rest.ends_with('_'));
        if open_metrics && !unit.is_empty() && unit_ends_name && is_metric_name(unit) {
            self.out.extend_from_slice(b"# UNIT ");
            self.write_name();
            self.out.push(b' ');
            self.out.extend_from_slice(unit.as_bytes());
            self.out.push(b'\n');
        }
    }

    /// Writes one sample of `name` + `suffix`. Label names have to differ from one another after
    /// [`sanitize_label`]; values may be any bytes.
    pub fn sample<K, V>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl IntoIterator<Item = (K, V)>,
        value: f64,
    ) where
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        self.set_name(name, suffix);
        // A name that needs quotes stands inside the braces, as if it were the first label.
        let mut separator = b'{';
        if is_metric_name(&self.name) {
            self.write_name();
        } else {
            self.out.push(b'{');
            self.write_name();
            separator = b',';
        }
        for (key, value) in labels {
            self.out.push(separator);
            separator = b',';
            self.write_label_name(key.as_ref());
            self.out.extend_from_slice(b"=\"");
            write_escaped(value.as_ref(), true, self.out);
            self.out.push(b'"');
        }
        if separator == b',' {
            self.out.push(b'}');
        }
        self.out.push(b' ');
        write_number(value, self.out);
        self.out.push(b'\n');
    }

    /// Ends the page (`# EOF` in OpenMetrics; without it the reader takes the page for cut off).
    /// Returns how many names had to be repaired, which a caller that sanitises has none of.
    pub fn finish(self) -> u64 {
        if self.format.syntax == Syntax::OpenMetrics {
            self.out.extend_from_slice(b"# EOF\n");
        }
        self.repaired
    }

    /// Puts a name that may be written into `self.name`: legal, or free of control characters and
    /// then written in quotes.
    fn set_name(&mut self, name: &str, suffix: &str) {
        self.name.clear();
        self.name.push_str(name);
        self.name.push_str(suffix);
        if is_metric_name(&self.name) || (self.format.utf8_names && is_quotable(&self.name)) {
            return;
        }
        self.repaired += 1;
        let wrong = std::mem::take(&mut self.name);
        sanitize_name(wrong.as_bytes(), &mut self.name);
    }

    fn write_name(&mut self) {
        if is_metric_name(&self.name) {
            self.out.extend_from_slice(self.name.as_bytes());
        } else {
            write_quoted(&self.name, self.out);
        }
    }

    fn write_label_name(&mut self, name: &str) {
        if is_label_name(name) {
            self.out.extend_from_slice(name.as_bytes());
        } else if self.format.utf8_names && is_quotable(name) && !names::is_reserved_label(name) {
            write_quoted(name, self.out);
        } else {
            self.repaired += 1;
            let mut repaired = String::with_capacity(name.len());
            sanitize_label(name.as_bytes(), &mut repaired);
            self.out.extend_from_slice(repaired.as_bytes());
        }
    }
}

/// Appends a value: integers without a fraction, `NaN`, `+Inf`, `-Inf`, else the shortest text that
/// reads back as the same double.
pub fn write_number(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value.fract() == 0.0 && value.abs() <= EXACT_INTEGER_MAX {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
}

fn is_quotable(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text.as_bytes(), true, out);
    out.push(b'"');
}

/// Escapes `\` and newlines, and `"` where the text stands in quotes or OpenMetrics asks for it.
fn write_escaped(text: &[u8], quotes: bool, out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        let special = |byte: &u8| matches!(byte, b'\\' | b'\n') || (quotes && *byte == b'"');
        while let Some(at) = rest.iter().position(special) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(match rest[at] {
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                _ => b"\\\"",
            });
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
