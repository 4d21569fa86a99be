//! What a client says of itself: `c:`, `e:` and `card:`.
//!
//! The parser only keeps the texts; they are taken apart when a context is first seen. Nothing in
//! them can refuse a message: a part that makes no sense is as good as absent.

use greyhound_model::origin::{ExternalData, LocalData};

/// The three origin fields as sent; empty = absent. The last of each kind counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OriginFields<'a> {
    /// Behind `c:`, a container id or an inode.
    pub local_data: &'a [u8],
    /// Behind `e:`, what an admission controller wrote into the environment.
    pub external_data: &'a [u8],
    /// Behind `card:`, any text.
    pub cardinality: &'a [u8],
}

// === impl OriginFields ===

impl<'a> OriginFields<'a> {
    /// Whether the client said nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.local_data.is_empty() && self.external_data.is_empty() && self.cardinality.is_empty()
    }

    /// Takes `c:` apart: `ci-<container>`, `in-<inode>`, `cid-<container>` or a bare container id;
    /// in a list with commas only the first two count, and later items win.
    pub fn local_data(&self) -> LocalData<'a> {
        let text = self.local_data;
        let mut local = LocalData::default();
        if text.contains(&b',') {
            for item in text.split(|&byte| byte == b',') {
                if let Some(id) = item.strip_prefix(b"ci-") {
                    local.container_id = id;
                } else if let Some(number) = item.strip_prefix(b"in-") {
                    local.inode = inode(number);
                }
            }
        } else if let Some(number) = text.strip_prefix(b"in-") {
            local.inode = inode(number);
        } else {
            local.container_id = [&b"ci-"[..], b"cid-"]
                .into_iter()
                .find_map(|prefix| text.strip_prefix(prefix))
                .unwrap_or(text);
        }
        local
    }

    /// Takes `e:` apart: a list of `it-<bool>`, `cn-<container name>`, `pu-<pod uid>`; later items
    /// win.
    pub fn external_data(&self) -> ExternalData<'a> {
        let mut external = ExternalData::default();
        for item in self.external_data.split(|&byte| byte == b',') {
            if let Some(flag) = item.strip_prefix(b"it-") {
                // The words of Go's `strconv.ParseBool`; any other word counts as false.
                external.init = matches!(flag, b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True");
            } else if let Some(name) = item.strip_prefix(b"cn-") {
                external.container_name = name;
            } else if let Some(uid) = item.strip_prefix(b"pu-") {
                external.pod_uid = uid;
            }
        }
        external
    }

    /// Keeps `field` if it is one of the three.
    #[inline]
    pub(crate) fn keep(&mut self, field: &'a [u8]) {
        if let Some(text) = field.strip_prefix(b"c:") {
            self.local_data = text;
        } else if let Some(text) = field.strip_prefix(b"e:") {
            self.external_data = text;
        } else if let Some(text) = field.strip_prefix(b"card:") {
            self.cardinality = text;
        }
    }
}

/// Decimal digits without sign; 0 when they are something else or too many.
fn inode(text: &[u8]) -> u64 {
    if text.is_empty() {
        return 0;
    }
    text.iter()
        .try_fold(0u64, |number, &byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number.checked_mul(10)?.checked_add(u64::from(digit))
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_local(text: &str, container_id: &str, inode: u64) {
        let origin = OriginFields {
            local_data: text.as_bytes(),
            ..OriginFields::default()
        };
        let expected = LocalData {
            container_id: container_id.as_bytes(),
            inode,
        };
        assert_eq!(origin.local_data(), expected, "c:{text}");
    }

    fn check_external(text: &str, init: bool, container_name: &str, pod_uid: &str) {
        let origin = OriginFields {
            external_data: text.as_bytes(),
            ..OriginFields::default()
        };
        let expected = ExternalData {
            init,
            container_name: container_name.as_bytes(),
            pod_uid: pod_uid.as_bytes(),
        };
        assert_eq!(origin.external_data(), expected, "e:{text}");
    }

    #[test]
    fn local_data_alone() {
        check_local("", "", 0);
        check_local("4f2a", "4f2a", 0);
        check_local("ci-4f2a", "4f2a", 0);
        check_local("cid-4f2a", "4f2a", 0);
        check_local("ci-", "", 0);
        check_local("in-55", "", 55);
        check_local("in-", "", 0);
        check_local("in-+5", "", 0);
        check_local("in-5x", "", 0);
        check_local("in-18446744073709551615", "", u64::MAX);
        check_local("in-18446744073709551616", "", 0);
        check_local("in", "in", 0);
    }

    #[test]
    fn local_data_in_a_list() {
        check_local("ci-4f2a,in-55", "4f2a", 55);
        check_local("in-55,ci-4f2a", "4f2a", 55);
        check_local("4f2a,in-55", "", 55);
        check_local("cid-4f2a,in-55", "", 55);
        check_local("ci-a,ci-b,in-1,in-2", "b", 2);
        check_local("in-1,in-x", "", 0);
        check_local(",", "", 0);
    }

    #[test]
    fn external_data_is_a_list() {
        check_external("", false, "", "");
        check_external("it-false,cn-redis,pu-77", false, "redis", "77");
        check_external("pu-77,cn-setup,it-true", true, "setup", "77");
        check_external("it-T,it-maybe", false, "", "");
        check_external("zz-1,,cn-a,cn-b", false, "b", "");
        check_external("cn-", false, "", "");
    }
}
