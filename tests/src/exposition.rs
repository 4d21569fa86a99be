//! Reading the Prometheus text form: just enough to ask for one value, and strict enough to notice a line
//! that a scraper would refuse.

use std::collections::{BTreeMap, BTreeSet};

/// A page of `/metrics` or `/telemetry`.
#[derive(Debug, Default)]
pub struct Exposition {
    /// In the order of the page.
    pub samples: Vec<Sample>,
    /// Family name to the word after `# TYPE`.
    pub types: BTreeMap<String, String>,
    /// Family name to its help text, escapes kept.
    pub help: BTreeMap<String, String>,
    /// Whether the page ended with `# EOF`.
    pub eof: bool,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// With its suffix.
    pub name: String,
    /// Unescaped.
    pub labels: BTreeMap<String, String>,
    /// `NaN` and the infinities included.
    pub value: f64,
}

// === impl Exposition ===

impl Exposition {
    /// Parses a page.
    ///
    /// # Errors
    /// The first line that is neither comment nor sample, repeats a series, or comes after `# EOF`.
    pub fn parse(page: &str) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut known = BTreeSet::new();
        for line in page.lines() {
            if parsed.eof {
                return Err(format!("a line after # EOF: {line:?}"));
            }
            if line.is_empty() {
                continue;
            }
            match line.strip_prefix('#') {
                Some(comment) => parsed.comment(comment.trim_start()),
                None => {
                    let sample = sample(line).ok_or_else(|| format!("not a sample: {line:?}"))?;
                    if !known.insert((sample.name.clone(), sample.labels.clone())) {
                        return Err(format!("a series stands there twice: {line:?}"));
                    }
                    parsed.samples.push(sample);
                }
            }
        }
        Ok(parsed)
    }

    /// The value of the one sample with this name whose labels include `labels`.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.matching(name, labels);
        let first = found.next().map(|sample| sample.value);
        assert!(
            found.next().is_none(),
            "{name} {labels:?} names more than one sample"
        );
        first
    }

    /// The sum over all samples with this name whose labels include `labels`; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels)
            .map(|sample| sample.value)
            .fold(0.0, |sum, value| sum + value)
    }

    /// All samples with this name whose labels include `labels`.
    pub fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            let has = |&(key, value): &(&str, &str)| {
                sample.labels.get(key).is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(has)
        })
    }

    fn comment(&mut self, comment: &str) {
        if comment == "EOF" {
            self.eof = true;
        } else if let Some((name, word)) = comment
            .strip_prefix("TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            self.types.insert(name.to_owned(), word.to_owned());
        } else if let Some((name, text)) = comment
            .strip_prefix("HELP ")
            .and_then(|rest| rest.split_once(' '))
        {
            self.help.insert(name.to_owned(), text.to_owned());
        }
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_len = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(name_len);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = read_labels(inside, &mut labels)?;
    }
    // A time, and an exemplar, may follow the value.
    let value = rest.strip_prefix(' ')?.split(' ').next()?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().ok()?,
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Reads `key="value",…}`; gives what follows the brace.
fn read_labels<'a>(mut rest: &'a str, labels: &mut BTreeMap<String, String>) -> Option<&'a str> {
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        if labels.insert(key.to_owned(), value).is_some() {
            return None;
        }
        rest = &after[end..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unescaped_and_infinities_read() {
        let page =
            "# HELP a b\n# TYPE a gauge\na{x=\"1\\\"\\n\",y=\"2\"} +Inf\na 3 1700000000\n# EOF\n";
        let page = Exposition::parse(page).unwrap();
        assert_eq!(
            page.value("a", &[("x", "1\"\n"), ("y", "2")]),
            Some(f64::INFINITY)
        );
        assert_eq!(page.samples[1].value, 3.0);
        assert_eq!(page.types["a"], "gauge");
        assert!(page.eof);
    }

    #[test]
    fn a_line_a_scraper_would_refuse_is_refused() {
        for bad in [
            "a.b 1",
            "a{x=\"1} 2",
            "a{x=\"1\",x=\"2\"} 2",
            "a",
            "a one",
            "1a 2",
            "a{x=\"1\"} 2\na{x=\"1\"} 2",
        ] {
            assert!(Exposition::parse(bad).is_err(), "{bad}");
        }
    }
}
