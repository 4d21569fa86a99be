//! Who has the ports: us while we run, nobody before; anybody else is in the way.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};

use greyhound_config::settings::Port;
use greyhound_config::value;
use greyhound_pipeline::ledger::Transport;
use greyhound_server::diagnose::{Diagnosis, Verdict};
use greyhound_sys::socket::holder::Holder;

use super::Subject;
use crate::holder;
use crate::wiring::pipeline::pick;

pub(super) fn look(subject: &Subject) -> Vec<Diagnosis> {
    if let Some(engine) = subject.engine.get() {
        let listeners = engine.listeners();
        let udp = listeners
            .iter()
            .filter(|listener| listener.open && listener.info.transport == Transport::Udp);
        return udp
            .map(|listener| {
                Diagnosis::success("UDP", format!("we listen on {}", listener.info.address))
            })
            .collect();
    }
    let settings = (subject.settings)();
    let mut found = Vec::new();
    if let Some(udp) = &settings.listen.udp
        && let Port::Number(port) = udp.port
        && let Some(address) = first((udp.host.as_str(), port))
    {
        found.push(of_udp(address));
    }
    if let value::Port::Number(port) = settings.control.port
        && let Some(address) = first((settings.control.host.as_str(), port))
    {
        found.push(of_tcp("control port", address, "cmd_port"));
    }
    if let Some(prometheus) = &settings.outputs.prometheus
        && let Ok(address) = pick(&prometheus.listen, "greyhound.prometheus.listen")
    {
        found.push(of_tcp(
            "metrics page",
            address,
            "greyhound.prometheus.listen",
        ));
    }
    found
}

fn first(name: impl ToSocketAddrs) -> Option<SocketAddr> {
    name.to_socket_addrs().ok()?.next()
}

fn of_udp(address: SocketAddr) -> Diagnosis {
    let name = "UDP";
    match UdpSocket::bind(address) {
        Ok(_) => Diagnosis::success(name, format!("{address} is free")),
        Err(error) => {
            let holder =
                Holder::of_udp(address).map_or_else(String::new, |holder| format!(", {holder}"));
            Diagnosis::new(
                Verdict::Fail,
                name,
                format!("{address} cannot be had: {error}{holder}"),
                "stop the other program, or set `dogstatsd_port`",
            )
        }
    }
}

fn of_tcp(name: &str, address: SocketAddr, key: &str) -> Diagnosis {
    match TcpListener::bind(address) {
        Ok(_) => Diagnosis::success(name, format!("{address} is free")),
        Err(error) => {
            let holder = holder::of_tcp(address.port())
                .map_or_else(String::new, |holder| format!(", {holder}"));
            Diagnosis::new(
                Verdict::Fail,
                name,
                format!("{address} cannot be had: {error}{holder}"),
                format!("stop the other program, or set `{key}`"),
            )
        }
    }
}
