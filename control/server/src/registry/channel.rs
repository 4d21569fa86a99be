//! How another gRPC server of this host is reached: by TLS with the shared certificate, over TCP or a Unix
//! socket, with the shared token.
//!
//! Both ends pin the certificate, so an address a stranger chose gets neither a request nor the token.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint};

use crate::shown::shown;

/// A connection is made within this, or tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A silent connection is asked for a sign of life, and given up without one.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes in both directions, already encrypted.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// Makes connections, with the certificate and token of the moment.
pub trait Connector: Send + Sync {
    /// Connects and does the handshake.
    fn connect(&self, address: Address) -> Connecting;
    /// What goes behind `Bearer`; none = no token is at hand.
    fn token(&self) -> Option<String>;
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host name or address, and port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// An address nobody can reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address of the form https://host:port, host:port or unix:///path")]
pub struct AddressError(String);

// === impl Address ===

impl Address {
    /// Reads what agents write: `https://host:port` with or without a path, `host:port`, or
    /// `unix:///path`. Without TLS nobody is talked to, so `http://` is refused.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(shown(text).to_string());
        if let Some(path) = text.strip_prefix("unix://") {
            let is_absolute = path.starts_with('/') && path.len() > 1 && !path.contains('\0');
            return if is_absolute {
                Ok(Self::Unix(path.into()))
            } else {
                Err(wrong())
            };
        }
        let rest = match text.split_once("://") {
            Some(("https", rest)) => rest,
            Some(_) => return Err(wrong()),
            None => text,
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let authority: hyper::http::uri::Authority = authority.parse().map_err(|_| wrong())?;
        let host = authority.host().trim_matches(['[', ']']);
        // No user, no empty port, no port that is none.
        let bare = authority.as_str();
        let is_whole = match authority.port() {
            Some(port) => bare
                .strip_suffix(port.as_str())
                .and_then(|rest| rest.strip_suffix(':')),
            None => Some(bare),
        };
        if host.is_empty() || is_whole != Some(authority.host()) {
            return Err(wrong());
        }
        // Agents that have no server still name one; https has a port of its own.
        let port = authority.port_u16().unwrap_or(443);
        Ok(Self::Tcp(host.to_owned(), port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
        }
    }
}

/// A channel to the server `uri` names. Nothing is connected before the first call. To be called inside a
/// runtime.
///
/// # Errors
/// When `uri` is no address.
pub fn open(uri: &str, connector: &Arc<dyn Connector>) -> Result<Channel, AddressError> {
    let address = Address::parse(uri)?;
    Ok(to(address, connector))
}

/// The same to an address. To be called inside a runtime.
pub fn to(address: Address, connector: &Arc<dyn Connector>) -> Channel {
    let connector = Arc::clone(connector);
    // The connector does TLS itself, and knows where to go; this name only fills `:authority`.
    let endpoint = Endpoint::from_static("http://localhost")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let connecting = connector.connect(address.clone());
        async move { connecting.await.map(TokioIo::new) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_agents_write() {
        let tcp = |host: &str, port| Ok(Address::Tcp(host.to_owned(), port));
        for (text, address) in [
            ("https://127.0.0.1:5101", tcp("127.0.0.1", 5101)),
            ("https://[::1]:5101/", tcp("::1", 5101)),
            (
                "https://configstream-consumer/name",
                tcp("configstream-consumer", 443),
            ),
            ("localhost:50051", tcp("localhost", 50051)),
            (
                "unix:///run/adp.sock",
                Ok(Address::Unix("/run/adp.sock".into())),
            ),
        ] {
            assert_eq!(Address::parse(text), address, "{text}");
        }
    }

    #[test]
    fn nobody_is_reached_without_tls_or_by_chance() {
        for text in [
            "",
            "http://localhost:1",
            "vsock://2:5001",
            "unix://relative",
            "unix:///",
            "https://user@host:1",
            "https://:1",
            "https://host:port",
            "a b",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
