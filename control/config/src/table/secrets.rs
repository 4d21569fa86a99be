//! Where values of the form `ENC[handle]` are looked up: the Agent's keys.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "secret_backend_command",
        Kind::Path,
        "",
        "Program that resolves ENC[handle] values; empty = they stay as they are",
    )
    .reloadable(),
    Row::new(
        "secret_backend_arguments",
        Kind::Texts,
        "",
        "Arguments of that program",
    )
    .reloadable(),
    Row::new(
        "secret_backend_timeout",
        Kind::SECONDS,
        "30",
        "How long it may take; 0 = 30 seconds as well",
    )
    .reloadable(),
    Row::new(
        "secret_backend_output_max_size",
        Kind::Size {
            min: 1,
            max: 64 << 20,
        },
        "1MiB",
        "How much it may print",
    )
    .reloadable(),
    Row::new(
        "secret_backend_command_allow_group_exec_perm",
        Kind::Bool,
        "false",
        "Lets its group read and run it as well; else only its owner may",
    )
    .reloadable(),
    Row::new(
        "secret_backend_remove_trailing_line_break",
        Kind::Bool,
        "false",
        "Takes line breaks off the end of each secret",
    )
    .reloadable(),
    Row::new(
        "secret_refresh_interval",
        Kind::SECONDS,
        "0",
        "How often secrets are fetched again; 0 = only when asked to",
    )
    .reloadable(),
];
