//! Which output gets what, and with which tags.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "greyhound.routing.rules",
        Kind::RouteRules,
        "[]",
        "What goes where: name, tags and host say what, outputs where; the first rule that fits decides",
    )
    .reloadable(),
    Row::new(
        "greyhound.routing.default_outputs",
        Kind::Texts,
        "*",
        "Outputs of what no rule fits; * = all, empty = none",
    )
    .reloadable(),
    Row::new(
        "greyhound.routing.tag_policies",
        Kind::TagPolicies,
        "[]",
        "Tags that outputs are not to see; what becomes equal is added up",
    )
    .reloadable(),
];
