//! Cases we answer otherwise on purpose. A row here is a promise that the case differs: one that no longer
//! does fails the run, and so does one whose case is gone.

/// Case and reason.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "zero-gap",
        "zeros do not depend on whether some other bucket happens to exist: a counter that is still known \
         gets one for every interval it was silent in",
    ),
    (
        "as-eol",
        "datagrams are not joined into one packet, so each needs the newline that `dogstatsd_eol_required` \
         asks for, not only the last",
    ),
];

/// Why a case is answered otherwise, if it is.
pub(crate) fn reason(id: &str) -> Option<&'static str> {
    DEVIATIONS
        .iter()
        .find(|(deviating, _)| *deviating == id)
        .map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    #[test]
    fn every_deviation_is_a_quirk_among_our_cases() {
        let mut cases = vectors::all("dogstatsd");
        cases.extend(vectors::all("aggregation"));
        for (id, reason) in DEVIATIONS {
            let case = cases.iter().find(|case| case.id == *id);
            let case = case.unwrap_or_else(|| panic!("{id} deviates, but there is no such case"));
            assert_eq!(case.value["level"], "quirk", "{id} is no quirk: {reason}");
            assert!(!reason.is_empty(), "{id}: no reason given");
        }
    }
}
