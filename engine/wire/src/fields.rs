//! The optional fields behind an event or a service check.
//!
//! Metrics walk their fields by hand, see `metric.rs`: there it is worth it.

use memchr::memchr;

/// The texts between pipes, from `rest` on.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// `rest` starts in a field, not at a pipe.
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest: Some(rest) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (field, rest) = match memchr(b'|', rest) {
            Some(pipe) => (&rest[..pipe], Some(&rest[pipe + 1..])),
            None => (rest, None),
        };
        self.rest = rest;
        Some(field)
    }
}
