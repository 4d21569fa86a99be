//! Where a client sends to: the URLs and variables that DogStatsD clients understand.

use std::fmt;
use std::path::PathBuf;

/// Where clients send when nobody says otherwise.
const PORT_DEFAULT: u16 = 8125;

/// Where to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `udp://host:port`
    Udp {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unixgram:///path`
    Unixgram(PathBuf),
    /// `unixstream:///path`
    UnixStream(PathBuf),
    /// `unix:///path`: datagrams if the socket takes them, else a stream.
    Unix(PathBuf),
}

/// A text that names no destination.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no destination; write udp://host:port, unixgram:///path, unixstream:///path or unix:///path"
)]
pub struct DestinationError {
    text: String,
}

// === impl Destination ===

impl Destination {
    /// What `--to` and the URL variables of clients take. A bare `host:port` is UDP, a bare path a
    /// Unix socket.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let invalid = || DestinationError {
            text: text.to_owned(),
        };
        let path = |rest: &str| match rest {
            "" => Err(invalid()),
            path => Ok(PathBuf::from(path)),
        };
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "udp" => Self::udp(rest).ok_or_else(invalid),
                "unixgram" => Ok(Self::Unixgram(path(rest)?)),
                "unixstream" => Ok(Self::UnixStream(path(rest)?)),
                "unix" => Ok(Self::Unix(path(rest)?)),
                _ => Err(invalid()),
            };
        }
        if text.starts_with('/') || text.starts_with('.') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        Self::udp(text).ok_or_else(invalid)
    }

    /// What the environment tells clients: `DD_DOGSTATSD_URL`, else `DD_AGENT_HOST` with
    /// `DD_DOGSTATSD_PORT`. `None` when it says nothing.
    ///
    /// # Errors
    /// When it says something that is no destination.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, DestinationError> {
        let given = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(url) = given("DD_DOGSTATSD_URL") {
            return Self::parse(&url).map(Some);
        }
        let Some(host) = given("DD_AGENT_HOST") else {
            return Ok(None);
        };
        if host.contains("://") {
            return Self::parse(&host).map(Some);
        }
        let port = match given("DD_DOGSTATSD_PORT") {
            Some(text) => text.parse().map_err(|_| DestinationError { text })?,
            None => PORT_DEFAULT,
        };
        Ok(Some(Self::Udp { host, port }))
    }

    fn udp(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        if text.is_empty() {
            return None;
        }
        let bare_v6 = text.matches(':').count() > 1 && !text.starts_with('[');
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !bare_v6 && !text.ends_with(']') => (host, port.parse().ok()?),
            _ => (text, PORT_DEFAULT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self::Udp {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { host, port } if host.contains(':') => write!(f, "udp://[{host}]:{port}"),
            Self::Udp { host, port } => write!(f, "udp://{host}:{port}"),
            Self::Unixgram(path) => write!(f, "unixgram://{}", path.display()),
            Self::UnixStream(path) => write!(f, "unixstream://{}", path.display()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(host: &str, port: u16) -> Destination {
        Destination::Udp {
            host: host.into(),
            port,
        }
    }

    #[test]
    fn destinations_are_written_in_many_ways() {
        for (text, destination) in [
            ("udp://127.0.0.1:9", udp("127.0.0.1", 9)),
            ("udp://example", udp("example", 8125)),
            ("udp://[::1]:77/", udp("::1", 77)),
            ("udp://[::1]", udp("::1", 8125)),
            ("::1", udp("::1", 8125)),
            ("box:1", udp("box", 1)),
            ("unixgram:///a/b", Destination::Unixgram("/a/b".into())),
            ("unixstream:///a/b", Destination::UnixStream("/a/b".into())),
            ("unix:///a/b", Destination::Unix("/a/b".into())),
            ("/a/b", Destination::Unix("/a/b".into())),
        ] {
            assert_eq!(Destination::parse(text).expect(text), destination);
        }
        for text in [
            "",
            "tcp://a:1",
            "udp://",
            "udp://a:port",
            "unix://",
            "udp://:1",
        ] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_destination_prints_as_it_is_read() {
        for text in [
            "udp://a:1",
            "udp://[::1]:2",
            "unixgram:///x",
            "unixstream:///x",
            "unix:///x",
        ] {
            assert_eq!(Destination::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn the_environment_of_clients_is_read_as_clients_read_it() {
        let with = |pairs: &'static [(&str, &str)]| {
            Destination::from_environment(move |name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[]).expect("nothing"), None);
        assert_eq!(
            with(&[("DD_DOGSTATSD_PORT", "9")]).expect("port alone"),
            None
        );
        assert_eq!(
            with(&[("DD_AGENT_HOST", "box"), ("DD_DOGSTATSD_PORT", "9")]).expect("both"),
            Some(udp("box", 9))
        );
        assert_eq!(
            with(&[("DD_AGENT_HOST", "box"), ("DD_DOGSTATSD_URL", "unix:///x")]).expect("url"),
            Some(Destination::Unix("/x".into()))
        );
        assert!(with(&[("DD_AGENT_HOST", "box"), ("DD_DOGSTATSD_PORT", "no")]).is_err());
    }
}
