//! Reads the settings of the control port.

use super::{Reader, mistyped};
use crate::settings::control::{Control, ControlSocket, MutualTls};
use crate::value::{Port, Value};

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn control(&self) -> Control {
        let path = |key: &str| self.text_or_none(key).map(Into::into);
        Control {
            enabled: self.bool("greyhound.control.enabled"),
            host: self.text("cmd_host"),
            port: self.port("cmd_port"),
            token: path("auth_token_file_path"),
            certificate: path("ipc_cert_file_path"),
            run_path: path("run_path"),
            flare_stripped_keys: self.list("flare_stripped_keys"),
            init_timeout: self.span("auth_init_timeout"),
            request_timeout: self.span("server_timeout"),
            ipc: {
                let host = self.text("agent_ipc.host");
                self.port_or_none("agent_ipc.port").map(|port| (host, port))
            },
            health: self.port_or_none("health_port"),
            expvar: self.port_or_none("expvar_port"),
            socket: match self.text("greyhound.control.socket").as_str() {
                "" | "off" => ControlSocket::Off,
                "auto" => ControlSocket::Auto,
                path => ControlSocket::At(path.into()),
            },
            mutual_tls: match self.text("greyhound.control.mutual_tls").as_str() {
                "require" => MutualTls::Require,
                "off" => MutualTls::Off,
                _ => MutualTls::Request,
            },
            allow_remote: self.bool("greyhound.control.allow_remote"),
            debug: self.bool("greyhound.control.debug"),
            connections_max: self.int("greyhound.control.connections"),
            failures_per_second: self.int("greyhound.control.failures_per_second"),
        }
    }

    fn port(&self, key: &str) -> Port {
        match self.value(key) {
            Value::Port(port) => *port,
            other => mistyped(key, other),
        }
    }

    fn port_or_none(&self, key: &str) -> Option<Port> {
        Some(self.port(key)).filter(|port| *port != Port::Number(0))
    }
}
