//! Tags: one text on the wire, split only when somebody looks.
//!
//! A metric's tags are mostly looked at as one text, the key of an already known context. Splitting
//! and taking out the special ones is for contexts that are new.

use crate::scan::find;

const HOST: &[u8] = b"host:";
const INTERNAL: &[u8] = b"dd.internal.";
const ENTITY_ID: &[u8] = b"entity_id:";
const CARDINALITY: &[u8] = b"card:";
const JMX_CHECK_NAME: &[u8] = b"jmx_check_name:";

/// The tags of one message, as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags<'a> {
    text: &'a [u8],
}

/// The tags one by one, in the order of the wire, repeats and empty ones included.
#[derive(Clone, Debug)]
pub struct TagIter<'a> {
    rest: Option<&'a [u8]>,
}

/// What special tags say. Fed one tag at a time, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagMetadata<'a> {
    /// `host:X`, the last one. Empty means: send without host.
    pub host: Option<&'a [u8]>,
    /// `dd.internal.entity_id:X`, the last one; a pod uid, or `none`. Empty = not set.
    pub entity_id: &'a [u8],
    /// `card:` field or else `dd.internal.card:X`, the first that is not empty. Empty = not set.
    pub cardinality: &'a [u8],
    /// `dd.internal.jmx_check_name:X`, the last one.
    pub jmx_check_name: Option<&'a [u8]>,
}

/// Takes the special tags out of `tags` and hands the others to `keep`, in order.
///
/// `cardinality` is the text of the `card:` field: when it is not empty, cardinality tags are
/// ordinary ones.
pub fn extract<'a>(
    tags: impl IntoIterator<Item = &'a [u8]>,
    cardinality: &'a [u8],
    mut keep: impl FnMut(&'a [u8]),
) -> TagMetadata<'a> {
    let mut metadata = TagMetadata {
        cardinality,
        ..TagMetadata::default()
    };
    for tag in tags {
        if !metadata.take(tag) {
            keep(tag);
        }
    }
    metadata
}

// === impl Tags ===

impl<'a> Tags<'a> {
    /// `text` is what stands behind the `#`; empty means no tags.
    #[inline]
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// All tags as one text with commas. `None` = no tags; never an empty text.
    #[inline]
    pub fn raw(&self) -> Option<&'a [u8]> {
        (!self.text.is_empty()).then_some(self.text)
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The tags one by one.
    #[inline]
    pub fn iter(&self) -> TagIter<'a> {
        TagIter { rest: self.raw() }
    }
}

impl<'a> IntoIterator for Tags<'a> {
    type Item = &'a [u8];
    type IntoIter = TagIter<'a>;

    fn into_iter(self) -> TagIter<'a> {
        self.iter()
    }
}

// === impl TagIter ===

impl<'a> Iterator for TagIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (tag, rest) = match find(b',', rest) {
            Some(comma) => (&rest[..comma], Some(&rest[comma + 1..])),
            None => (rest, None),
        };
        self.rest = rest;
        Some(tag)
    }
}

// === impl TagMetadata ===

impl<'a> TagMetadata<'a> {
    /// Learns from `tag`. `true` = it was special and must not stay among the tags.
    #[inline]
    pub fn take(&mut self, tag: &'a [u8]) -> bool {
        if let Some(host) = tag.strip_prefix(HOST) {
            self.host = Some(host);
            return true;
        }
        match tag.strip_prefix(INTERNAL) {
            Some(tag) => self.take_internal(tag),
            None => false,
        }
    }

    fn take_internal(&mut self, tag: &'a [u8]) -> bool {
        if let Some(id) = tag.strip_prefix(ENTITY_ID) {
            self.entity_id = id;
        } else if let Some(name) = tag.strip_prefix(JMX_CHECK_NAME) {
            self.jmx_check_name = Some(name);
        } else if self.cardinality.is_empty()
            && let Some(cardinality) = tag.strip_prefix(CARDINALITY)
        {
            self.cardinality = cardinality;
        } else {
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_split(text: &str, expected: &[&str]) {
        let tags: Vec<_> = Tags::new(text.as_bytes()).iter().collect();
        let expected: Vec<_> = expected.iter().map(|tag| tag.as_bytes()).collect();
        assert_eq!(tags, expected, "#{text}");
    }

    fn check_extract(text: &str, field: &str, stays: &[&str], expected: TagMetadata<'_>) {
        let mut kept = Vec::new();
        let tags = Tags::new(text.as_bytes());
        let metadata = extract(tags, field.as_bytes(), |tag| kept.push(tag));
        assert_eq!(metadata, expected, "#{text}|card:{field}");
        let stays: Vec<_> = stays.iter().map(|tag| tag.as_bytes()).collect();
        assert_eq!(kept, stays, "#{text}|card:{field}");
    }

    #[test]
    fn empty_tags_count_but_an_empty_field_does_not() {
        check_split("", &[]);
        check_split(",", &["", ""]);
        check_split("a:1", &["a:1"]);
        check_split("a:1,", &["a:1", ""]);
        check_split("a:1,,b", &["a:1", "", "b"]);
        assert_eq!(Tags::new(b"").raw(), None);
    }

    #[test]
    fn special_tags_are_taken_out_and_the_rest_keeps_its_order() {
        let none = TagMetadata::default();
        check_extract("b,a,b", "", &["b", "a", "b"], none);
        check_extract(
            "env:qa,host:one,az:b,host:two",
            "",
            &["env:qa", "az:b"],
            TagMetadata {
                host: Some(b"two"),
                ..none
            },
        );
        check_extract(
            "host:",
            "",
            &[],
            TagMetadata {
                host: Some(b""),
                ..none
            },
        );
        let ordinary = [
            "host",
            "Host:a",
            " host:a",
            "hostname:a",
            "device:a",
            "dd.internal.",
            "dd.internal.resource:a:b",
            "DD.internal.card:low",
        ];
        check_extract(&ordinary.join(","), "", &ordinary, none);
        check_extract(
            "dd.internal.entity_id:a,dd.internal.entity_id:none,dd.internal.jmx_check_name:kafka,x",
            "",
            &["x"],
            TagMetadata {
                entity_id: b"none",
                jmx_check_name: Some(b"kafka"),
                ..none
            },
        );
    }

    #[test]
    fn the_first_cardinality_wins_and_later_ones_stay_tags() {
        let low = TagMetadata {
            cardinality: b"low",
            ..TagMetadata::default()
        };
        check_extract("dd.internal.card:low", "", &[], low);
        check_extract(
            "dd.internal.card:,dd.internal.card:low,dd.internal.card:high",
            "",
            &["dd.internal.card:high"],
            low,
        );
        check_extract(
            "dd.internal.card:high,dd.internal.card:",
            "low",
            &["dd.internal.card:high", "dd.internal.card:"],
            low,
        );
    }
}
