//! The first thing a person sees: what listens where, and what to try next.

use std::fmt::Write;

use clap::builder::styling::{AnsiColor, Style};
use greyhound_config::settings::Settings;
use greyhound_pipeline::engine::handle::ListenerState;
use greyhound_pipeline::ledger::Transport;

use crate::cli::VERSION;

/// What runs, as far as it can be seen from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Every listener, with its real address.
    pub(crate) listeners: Vec<ListenerState>,
    /// Where the HTTP server listens.
    pub(crate) http: Option<String>,
    /// Where the control port listens.
    pub(crate) control: Option<String>,
    /// Where the control socket is.
    pub(crate) control_socket: Option<String>,
    /// Names of the sinks.
    pub(crate) sinks: Vec<String>,
}

/// A few lines for a terminal.
pub(crate) fn text(view: &View, settings: &Settings, notices: &[String], colour: bool) -> String {
    let (title, label) = if colour {
        (
            AnsiColor::Green.on_default().bold(),
            AnsiColor::Cyan.on_default(),
        )
    } else {
        (Style::new(), Style::new())
    };
    let mut rows: Vec<(&str, String)> = Vec::new();
    for listener in &view.listeners {
        let name = match listener.info.transport {
            Transport::Udp => "UDP",
            Transport::Unixgram => "Unix datagram",
            Transport::UnixStream => "Unix stream",
        };
        rows.push((name, listener.info.address.clone()));
    }
    if rows.is_empty() {
        rows.push(("listens", "nowhere".to_owned()));
    }
    if let Some(http) = &view.http {
        rows.push(("metrics", format!("http://{http}/metrics")));
        rows.push(("telemetry", format!("http://{http}/telemetry")));
    }
    if let Some(control) = &view.control {
        rows.push(("control", format!("https://{control}")));
    }
    let sinks = match view.sinks.as_slice() {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    };
    rows.push((
        "flush",
        format!("every {} s to {sinks}", settings.flush.bucket_seconds),
    ));
    if let Some(hint) = try_line(view) {
        rows.push(("try", hint));
    }
    rows.extend(notices.iter().map(|notice| ("note", notice.clone())));
    let mut text = format!("{title}greyhound {VERSION}{title:#} is ready; Ctrl-C stops it\n");
    for (name, value) in rows {
        writeln!(text, "  {label}{name:14}{label:#} {value}").expect("a string takes everything");
    }
    text
}

fn try_line(view: &View) -> Option<String> {
    const MESSAGE: &str = "'page.views:1|c|#env:dev'";
    let listener = &view.listeners.first()?.info;
    let to = match listener.transport {
        Transport::Udp if listener.address == "127.0.0.1:8125" => String::new(),
        Transport::Udp => format!("--to udp://{} ", listener.address),
        Transport::Unixgram => format!("--to unixgram://{} ", listener.address),
        Transport::UnixStream => format!("--to unixstream://{} ", listener.address),
    };
    Some(format!("greyhound send {to}{MESSAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use greyhound_pipeline::ledger::ListenerInfo;

    #[test]
    fn it_says_what_listens_where_and_what_to_try() {
        let info = ListenerInfo {
            id: "udp".to_owned(),
            address: "127.0.0.1:8125".to_owned(),
            transport: Transport::Udp,
            eol_required: false,
        };
        let view = View {
            listeners: vec![ListenerState {
                info,
                receive_buffer: None,
                open: true,
            }],
            http: Some("127.0.0.1:9125".to_owned()),
            sinks: vec!["prometheus".to_owned()],
            ..View::default()
        };
        let settings = settings_from_json(None).expect("defaults");
        let plain = text(&view, &settings, &["no socket".to_owned()], false);
        for part in [
            "UDP            127.0.0.1:8125",
            "http://127.0.0.1:9125/metrics",
            "every 10 s to prometheus",
            "note           no socket",
            "greyhound send 'page.views:1|c|#env:dev'",
        ] {
            assert!(plain.contains(part), "{plain}");
        }
        assert!(!plain.contains('\x1b'));
        assert!(text(&view, &settings, &[], true).contains('\x1b'));
        assert!(text(&View::default(), &settings, &[], false).contains("nowhere"));
    }
}
