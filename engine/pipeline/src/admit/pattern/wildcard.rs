//! Wildcard patterns, matched without a regular expression.
//!
//! `*` takes any run of bytes but dots, so a pattern and a name fit only if they have equally many
//! dots, and the text between two dots can be matched on its own:
//!
//! ```text
//!  job.*_run.a*b*c      job  │ *  _run │ a *  b *  c
//!  job.x_y_run.abbc     job  │ x_y _run│ a b  b -  c
//! ```
//!
//! Stars are greedy from the left, as in the regular expression `([^.]*)`: the first takes all it
//! can, then the second. Placing the literals from the right, each as far right as it goes, gives
//! just that in linear time, with nothing to try twice.

use crate::admit::template::Span;
use memchr::memmem::FinderRev;

/// A compiled wildcard pattern.
#[derive(Clone, Debug)]
pub struct Wildcard {
    segments: Box<[Segment]>,
    stars: usize,
}

/// The pattern between two dots: `head`, then for each star the text behind it.
#[derive(Clone, Debug)]
struct Segment {
    head: Box<[u8]>,
    tails: Box<[FinderRev<'static>]>,
}

/// Why a wildcard pattern is refused; the Agent's two rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WildcardError {
    /// Empty, or a byte that no wildcard pattern may hold.
    #[error("a wildcard pattern is made of letters, digits, `_`, `-`, `.` and `*`")]
    Character,
    /// `**` anywhere.
    #[error("a wildcard pattern has no two `*` in a row")]
    ConsecutiveStars,
}

// === impl Wildcard ===

impl Wildcard {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// See [`WildcardError`].
    pub fn new(pattern: &str) -> Result<Self, WildcardError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.*".contains(&b);
        if pattern.is_empty() || !pattern.bytes().all(allowed) {
            return Err(WildcardError::Character);
        }
        if pattern.contains("**") {
            return Err(WildcardError::ConsecutiveStars);
        }
        let segments: Box<[Segment]> = pattern.split('.').map(Segment::new).collect();
        let stars = segments.iter().map(|segment| segment.tails.len()).sum();
        Ok(Self { segments, stars })
    }

    /// Stars in the pattern; star n is group n.
    pub fn stars(&self) -> usize {
        self.stars
    }

    /// Tries `name`; if it matches, `spans` holds the whole name and then what each star took.
    ///
    /// Cost: linear in the length of the name; no allocation once `spans` has grown.
    pub fn matches(&self, name: &[u8], spans: &mut Vec<Span>) -> bool {
        spans.clear();
        spans.push(Some((0, name.len())));
        let mut start = 0;
        let (last, inner) = self
            .segments
            .split_last()
            .expect("split() yields at least one piece");
        for segment in inner {
            let Some(len) = memchr::memchr(b'.', &name[start..]) else {
                return false;
            };
            if !segment.matches(name, start, start + len, spans) {
                return false;
            }
            start += len + 1;
        }
        memchr::memchr(b'.', &name[start..]).is_none()
            && last.matches(name, start, name.len(), spans)
    }
}

// === impl Segment ===

impl Segment {
    fn new(pattern: &str) -> Self {
        let mut literals = pattern.split('*');
        let head = literals.next().unwrap_or_default();
        Self {
            head: head.as_bytes().into(),
            tails: literals
                .map(|literal| FinderRev::new(literal).into_owned())
                .collect(),
        }
    }

    /// Tries `name[start..end]` and appends what each star took.
    fn matches(&self, name: &[u8], start: usize, end: usize, spans: &mut Vec<Span>) -> bool {
        let text = &name[start..end];
        let Some((last, inner)) = self.tails.split_last() else {
            return text == &*self.head;
        };
        let Some(tail) = text.strip_prefix(&*self.head) else {
            return false;
        };
        if !tail.ends_with(last.needle()) {
            return false;
        }
        let first = spans.len();
        spans.resize(first + self.tails.len(), None);
        let tail_start = start + self.head.len();
        // Where the literal behind the star in hand begins: that star ends there.
        let mut star_end = end - last.needle().len();
        for (literal, span) in inner.iter().zip(first + 1..spans.len()).rev() {
            let Some(found) = literal.rfind(&name[tail_start..star_end]) else {
                return false;
            };
            let star_start = tail_start + found + literal.needle().len();
            spans[span] = Some((star_start, star_end));
            star_end = tail_start + found;
        }
        spans[first] = Some((tail_start, star_end));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn groups(pattern: &str, name: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut spans = vec![None; 3];
        let wildcard = Wildcard::new(pattern).expect("a pattern of the test");
        wildcard.matches(name, &mut spans).then(|| {
            spans
                .iter()
                .map(|span| span.map(|(a, b)| name[a..b].to_vec()).unwrap())
                .collect()
        })
    }

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: Option<&[&str]>) {
        let got = groups(pattern, name.as_bytes());
        let got: Option<Vec<String>> = got.map(|g| {
            g[1..]
                .iter()
                .map(|s| s.escape_ascii().to_string())
                .collect()
        });
        let expected = expected.map(|e| e.iter().map(ToString::to_string).collect());
        assert_eq!(got, expected, "{pattern} on {name}");
    }

    #[test]
    fn a_star_takes_a_run_without_dots() {
        check("a.*.b", "a.x-y.b", Some(&["x-y"]));
        check("a.*.b", "a..b", Some(&[""]));
        check("a.*.b", "a.x.y.b", None);
        check("a.*", "a.x", Some(&["x"]));
        check("a.*", "a.x.", None);
        check("a.*", "a", None);
        check("*", "", Some(&[""]));
        check("*", "x", Some(&["x"]));
        check("*", "x.y", None);
        check("*.*", "x.y", Some(&["x", "y"]));
        check("a.*", "a.\u{e9}\n x", Some(&["\\xc3\\xa9\\n x"]));
    }

    #[test]
    fn dots_and_dashes_stand_for_themselves() {
        check("a.b-c_D9", "a.b-c_D9", Some(&[]));
        check("a.b", "axb", None);
        check("a.b", "A.b", None);
        check("a", "ab", None);
        check("a", "ba", None);
    }

    #[test]
    fn the_first_star_takes_all_it_can() {
        check("test.*_start", "test.my_job_start", Some(&["my_job"]));
        check("*_*", "a_b_c", Some(&["a_b", "c"]));
        check("a*b*c", "abbc", Some(&["b", ""]));
        check("a*a", "a", None);
        check("a*a", "aa", Some(&[""]));
        check("*aa*aa", "aaaaaa", Some(&["aa", ""]));
    }

    #[test]
    fn patterns_are_refused_by_the_agents_rules() {
        for bad in ["", "a.[]b", "^a", "a b", "a$", "é", "a\n", "a+"] {
            assert_eq!(
                Wildcard::new(bad).err(),
                Some(WildcardError::Character),
                "{bad}"
            );
        }
        for bad in ["**", "a.**", "***"] {
            assert_eq!(
                Wildcard::new(bad).err(),
                Some(WildcardError::ConsecutiveStars),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_long_name_costs_no_more_than_its_length() {
        let pattern = format!("{}a", "*a".repeat(100));
        let mut name = "a".repeat(60_000);
        assert!(groups(&pattern, name.as_bytes()).is_some());
        name.push('b');
        assert!(groups(&pattern, name.as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn groups_are_those_of_the_regular_expression(
            pattern in "[ab.*_-]{1,8}",
            fill in prop::collection::vec(prop::collection::vec(
                prop::sample::select(b"ab._-\n\xc3\xa9\xff".to_vec()), 0..4), 8),
            spoil in prop::option::of(any::<prop::sample::Index>()),
        ) {
            prop_assume!(!pattern.contains("**"));
            // A name made from the pattern, so that most cases match.
            let mut fill = fill.into_iter();
            let mut name: Vec<u8> = pattern
                .bytes()
                .flat_map(|b| if b == b'*' { fill.next().unwrap_or_default() } else { vec![b] })
                .collect();
            if let Some(at) = spoil.filter(|_| !name.is_empty()) {
                name.remove(at.index(name.len()));
            }
            let model = format!("(?s-u)\\A{}\\z", pattern.replace('.', "\\.").replace('*', "([^.]*)"));
            let model = regex::bytes::Regex::new(&model).unwrap();
            let expected: Option<Vec<Vec<u8>>> = model.captures(&name).map(|captures| {
                captures.iter().map(|group| group.unwrap().as_bytes().to_vec()).collect()
            });
            prop_assert_eq!(groups(&pattern, &name), expected);
        }
    }
}
