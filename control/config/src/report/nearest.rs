//! The known name most like an unknown one.

use crate::table;

/// Names longer than this are nobody's slip of the finger.
const NAME_CHARS_MAX: usize = 80;

/// Known names to choose from.
#[derive(Debug)]
pub(crate) struct Nearest {
    /// What is shown, and the forms it is compared by.
    names: Vec<(String, Vec<Vec<char>>)>,
}

// === impl Nearest ===

impl Nearest {
    /// Keys, and the sections above them.
    pub(crate) fn keys() -> Self {
        let table = table::table();
        let keys = table
            .rows()
            .iter()
            .map(|row| row.key)
            .chain(table.prefixes());
        let forms = |key: &str| {
            let short = key.strip_prefix("greyhound.").map(normal);
            [Some(normal(key)), short].into_iter().flatten().collect()
        };
        Self {
            names: keys.map(|key| (key.to_owned(), forms(key))).collect(),
        }
    }

    /// Environment names.
    pub(crate) fn environment() -> Self {
        let names = table::table().rows().iter().flat_map(|row| row.env_names());
        Self {
            names: names
                .map(|name| (name.clone(), vec![normal(&name)]))
                .collect(),
        }
    }

    /// The best of the names within about a quarter of the length, at most three edits away.
    pub(crate) fn find(&self, unknown: &str) -> Option<String> {
        let wanted = normal(unknown);
        if wanted.len() > NAME_CHARS_MAX {
            return None;
        }
        let edits_max = (wanted.len() / 4).clamp(1, 3);
        self.names
            .iter()
            .flat_map(|(name, forms)| forms.iter().map(move |form| (name, form)))
            .filter(|(_, form)| form.len().abs_diff(wanted.len()) <= edits_max)
            .map(|(name, form)| (edits(&wanted, form), name))
            .filter(|(edits, _)| *edits <= edits_max)
            .min()
            .map(|(_, name)| name.clone())
    }
}

/// Lower case, and every separator the same.
fn normal(name: &str) -> Vec<char> {
    name.chars()
        .map(|letter| {
            if matches!(letter, '.' | '-') {
                '_'
            } else {
                letter.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two names.
fn edits(from: &[char], to: &[char]) -> usize {
    let mut two_above: Vec<usize> = vec![0; to.len() + 1];
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for row in 1..=from.len() {
        let mut line = vec![row; to.len() + 1];
        for column in 1..=to.len() {
            let differs = usize::from(from[row - 1] != to[column - 1]);
            let mut least = (above[column] + 1).min(line[column - 1] + 1);
            least = least.min(above[column - 1] + differs);
            let is_swap = row > 1
                && column > 1
                && from[row - 1] == to[column - 2]
                && from[row - 2] == to[column - 1];
            if is_swap {
                least = least.min(two_above[column - 2] + 1);
            }
            line[column] = least;
        }
        two_above = std::mem::replace(&mut above, line);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str, expected: usize) {
        assert_eq!(edits(&normal(from), &normal(to)), expected, "{from} {to}");
    }

    #[test]
    fn edits_count_what_a_hand_slips_on() {
        check("", "", 0);
        check("", "abc", 3);
        check("port", "prot", 1);
        check("dogstatsd_port", "dogstatsd_ports", 1);
        check("kitten", "sitting", 3);
        check("a.b-c", "A_b_C", 0);
    }

    #[test]
    fn a_name_without_resemblance_gets_no_suggestion() {
        assert_eq!(Nearest::keys().find("logs_config"), None);
        assert_eq!(Nearest::keys().find(&"x".repeat(5000)), None);
    }

    #[test]
    fn keys_without_their_section_are_found() {
        let names = Nearest::keys();
        assert_eq!(
            names.find("prometheus_listen").as_deref(),
            Some("greyhound.prometheus.listen")
        );
        assert_eq!(
            names.find("greyhond.lanes").as_deref(),
            Some("greyhound.lanes")
        );
    }
}
