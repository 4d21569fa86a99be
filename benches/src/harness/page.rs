//! Reads counters in the Prometheus text form: sums by label, no more.

/// A page of counters.
#[derive(Debug)]
pub struct Page<'a> {
    samples: Vec<(&'a str, &'a str, f64)>,
}

// === impl Page ===

impl<'a> Page<'a> {
    /// Lines that are no samples are passed over.
    pub fn parse(text: &'a str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                Some((name, labels, value.parse().ok()?))
            });
        Self {
            samples: samples.collect(),
        }
    }

    /// Sum of the samples with that name and those labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        self.samples
            .iter()
            .filter(|(found, text, _)| {
                *found == name && labels.iter().all(|label| text.contains(label))
            })
            .map(|(_, _, value)| value)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_label() {
        let page = Page::parse(
            "# HELP a words\na{x=\"1\",y=\"drop\"} 2\na{x=\"2\",y=\"ok\"} 3\nab 7\na_total 9\nnonsense\n",
        );
        assert_eq!(page.sum("a", &[]), 5.0);
        assert_eq!(page.sum("a", &[("y", "drop")]), 2.0);
        assert_eq!(page.sum("a", &[("x", "2"), ("y", "drop")]), 0.0);
        assert_eq!(page.sum("ab", &[]), 7.0);
    }
}
