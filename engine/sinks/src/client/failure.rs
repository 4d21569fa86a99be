//! Kinds of failure, found in the chain of causes.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::Tunnel;

use super::chain;
use super::resolve::ResolveError;

/// A request without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What telemetry calls it.
    pub kind: FailureKind,
    /// What happened, for people. Holds no secret.
    pub text: String,
}

/// Where it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The name has no address, or the resolver does not answer.
    Dns,
    /// No connection.
    Connect,
    /// The proxy refused, or did not answer in HTTP.
    Proxy,
    /// The other side could not prove who it is, or speaks no TLS of ours.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection broke before the answer.
    Broken,
    /// The answer is not HTTP, or its head is too long.
    Protocol,
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: String) -> Self {
        Self { kind, text }
    }

    pub(super) fn of_client(error: &legacy::Error) -> Self {
        let kind = if error.is_connect() {
            of_connect(error)
        } else {
            of_exchange(error)
        };
        Self::new(kind, chain(error))
    }
}

fn of_connect(error: &(dyn StdError + 'static)) -> FailureKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<ResolveError>() {
            return FailureKind::Dns;
        }
        if error.is::<ProxyError>() {
            return FailureKind::Proxy;
        }
        if is_tls(error) {
            return FailureKind::Tls;
        }
        cause = error.source();
    }
    FailureKind::Connect
}

/// Whether this is an error of TLS, in however many I/O errors it is wrapped: those do not name what they wrap
/// as their source.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut inner = Some(error);
    while let Some(error) = inner {
        if error.is::<rustls::Error>() {
            return true;
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        inner = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static));
    }
    false
}

fn of_exchange(error: &(dyn StdError + 'static)) -> FailureKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_parse() || error.is_parse_too_large() || error.is_parse_status())
        {
            return FailureKind::Protocol;
        }
        cause = error.source();
    }
    FailureKind::Broken
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl FailureKind ===

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Dns,
        Self::Connect,
        Self::Proxy,
        Self::Tls,
        Self::Timeout,
        Self::Broken,
        Self::Protocol,
    ];

    /// The word in telemetry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Protocol => "protocol",
        }
    }
}

/// The proxy would not connect us.
#[derive(Debug, thiserror::Error)]
#[error("the proxy does not let us through")]
pub(super) struct ProxyError {
    source: <Tunnel<super::connect::Tcp> as tower_service::Service<hyper::Uri>>::Error,
}

// === impl ProxyError ===

impl ProxyError {
    pub(super) fn new(
        source: <Tunnel<super::connect::Tcp> as tower_service::Service<hyper::Uri>>::Error,
    ) -> Self {
        Self { source }
    }
}
