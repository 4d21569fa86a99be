//! The behaviour of the whole process, seen from outside: real sockets, real clients, real signals.
//!
//! Every test starts a daemon of its own and ends with its stop, which checks the exit code and that the
//! ledger leaves nothing unexplained.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails on that line"
)]

mod auth;
mod cli;
mod clients_node;
mod clients_python;
mod clients_rust;
mod config_stream;
mod config_stream_load;
mod conntrack;
mod control_cost;
mod control_descriptors;
mod control_floods;
mod control_kill;
mod counters;
mod datadog;
mod datadog_crash;
mod datadog_dead;
mod datadog_disk;
mod datadog_faults;
mod datadog_golden;
mod flare;
mod forwarding;
mod grpc;
mod hostile;
mod limits;
mod mux;
mod ndjson;
mod openapi;
mod operator;
mod otlp_grpc;
mod print;
mod prometheus_real;
mod prometheus_server;
mod push_golden;
mod readme;
mod registry;
mod relay;
mod reload;
mod rest_clients;
mod routing;
mod send;
mod settings;
mod shutdown;
mod startup_errors;
mod status;
mod stream;
mod tls;
mod tour;
mod truncation;
mod udp;
mod uds;
mod victoria;
mod volume;
