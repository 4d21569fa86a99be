//! The control port: where it listens, what it asks of callers, what it lets them do.

use crate::kind::Kind;
use crate::table::Row;
use crate::value::duration::Bare;

const POSITIVE_SECONDS: Kind = Kind::Duration {
    bare: Bare::Seconds,
    min_seconds: 1,
};

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "cmd_host",
        Kind::Text,
        "localhost",
        "Address of the control port; loopback, unless greyhound.control.allow_remote",
    ),
    Row::new(
        "cmd_port",
        Kind::Port,
        "5001",
        "Control port, with TLS and a token; 0 = any free port, named in the ready file",
    ),
    Row::new(
        "server_timeout",
        POSITIVE_SECONDS,
        "30",
        "Bound of one request at the control port",
    ),
    Row::new(
        "auth_token_file_path",
        Kind::Path,
        "",
        "Token of the control port; empty = auth_token beside the settings file, else in a folder for running processes",
    ),
    Row::new(
        "ipc_cert_file_path",
        Kind::Path,
        "",
        "Certificate and key of the control port; empty = ipc_cert.pem beside the token",
    ),
    Row::new(
        "auth_init_timeout",
        POSITIVE_SECONDS,
        "30",
        "How long to wait for another process that makes token or certificate",
    ),
    Row::new(
        "run_path",
        Kind::Path,
        "",
        "Folder for files of the running process: flares, dumps, and the token when it can be nowhere else",
    ),
    Row::new(
        "agent_ipc.host",
        Kind::Text,
        "localhost",
        "Address of the port that hands out settings to other agents of this host",
    ),
    Row::new(
        "agent_ipc.port",
        Kind::Port,
        "0",
        "Port that hands out settings to other agents of this host; 0 = off",
    ),
    Row::new(
        "health_port",
        Kind::Port,
        "0",
        "Plain HTTP port for probes, /live and /ready, open to other hosts; 0 = off",
    ),
    Row::new(
        "expvar_port",
        Kind::Port,
        "0",
        "Plain HTTP port on loopback with /debug/vars and /telemetry, without a token; 0 = off, where the Agent has 5000",
    ),
    Row::new(
        "greyhound.control.enabled",
        Kind::Bool,
        "true",
        "Opens the control port and the control socket",
    ),
    Row::new(
        "greyhound.control.socket",
        Kind::Path,
        "auto",
        "Unix socket of the control port, where root and our own user need no token; auto = in a folder for running processes, empty = none",
    ),
    Row::new(
        "greyhound.control.mutual_tls",
        Kind::Word(&["require", "request", "off"]),
        "request",
        "Whether callers show the certificate too: they must, they may and then it must be right, or they are not asked",
    ),
    Row::new(
        "greyhound.control.allow_remote",
        Kind::Bool,
        "false",
        "Lets cmd_host be an address that other hosts reach",
    ),
    Row::new(
        "greyhound.control.debug",
        Kind::Bool,
        "false",
        "Serves /debug on the control port: threads, memory, and counters the way the Agent's expvars show them",
    ),
    Row::new(
        "greyhound.control.connections",
        Kind::Int { min: 8, max: 65536 },
        "512",
        "Connections at the control port; beyond that those without a right token make room",
    ),
    Row::new(
        "greyhound.control.failures_per_second",
        Kind::Int { min: 1, max: 1000 },
        "1",
        "Wrong tokens of one caller answered per second after the first ten",
    ),
];
