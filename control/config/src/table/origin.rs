//! Who sent a message, and how many tags that adds.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "dogstatsd_origin_detection",
        Kind::Bool,
        "false",
        "Reads the sender's process id from Unix sockets",
    ),
    Row::new(
        "dogstatsd_origin_detection_client",
        Kind::Bool,
        "false",
        "Honours the fields c:, e: and card: of a message",
    )
    .reloadable(),
    Row::new(
        "dogstatsd_origin_optout_enabled",
        Kind::Bool,
        "true",
        "Lets cardinality none switch origin tags off",
    )
    .reloadable(),
    Row::new(
        "dogstatsd_entity_id_precedence",
        Kind::Bool,
        "false",
        "Prefers the entity the client names over the socket's",
    )
    .reloadable(),
    Row::new(
        "dogstatsd_tag_cardinality",
        Kind::Word(&["none", "low", "orchestrator", "high"]),
        "low",
        "How many origin tags a message gets that asks for none in particular",
    )
    .reloadable(),
    Row::new(
        "origin_detection_unified",
        Kind::Bool,
        "false",
        "Takes the first origin that is known, external data included",
    )
    .reloadable(),
];
