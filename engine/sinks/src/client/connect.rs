//! Connections, directly or through a proxy.
//!
//! ```text
//!  https://intake  ─ proxy.https ─▶ CONNECT intake:443 ─▶ TLS inside the tunnel
//!  http://intake   ─ proxy.http ──▶ the request itself, with the whole address in its first line
//! ```

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::failure::ProxyError;
use super::resolve::Resolver;
use super::{ClientError, ProxyConfig};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Finds a peer that is gone in less than a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(crate) type Tcp = HttpConnector<Resolver>;

/// Which destination goes through which proxy.
pub(crate) struct Proxies(Matcher);

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: Tcp,
    proxies: Arc<Proxies>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Stream {
    io: TokioIo<TcpStream>,
    /// The other end is a proxy that wants whole addresses.
    is_proxy: bool,
}

// === impl Proxies ===

impl Proxies {
    pub(super) fn new(config: &ProxyConfig) -> Result<Self, ClientError> {
        for (scheme, proxy) in [("http", &config.http), ("https", &config.https)] {
            let usable = proxy.is_empty()
                || !proxy.contains("://")
                || proxy
                    .get(..7)
                    .is_some_and(|start| start.eq_ignore_ascii_case("http://"));
            let has_host = proxy.is_empty() || {
                let whole = Matcher::builder().all(proxy.clone()).build();
                let probe = Uri::from_static("http://destination.invalid/");
                whole.intercept(&probe).is_some()
            };
            if !usable || !has_host {
                return Err(ClientError::Proxy { scheme });
            }
        }
        Ok(Self(
            Matcher::builder()
                .http(config.http.clone())
                .https(config.https.clone())
                .no(config.no_proxy.clone())
                .build(),
        ))
    }

    fn of(&self, destination: &Uri) -> Option<Intercept> {
        self.0.intercept(destination)
    }

    /// What a plain request to this destination shows to its proxy; tunnels show theirs when they
    /// are dug.
    pub(super) fn credentials_in_request(&self, destination: &Uri) -> Option<HeaderValue> {
        if is_https(destination) {
            return None;
        }
        self.of(destination)?.basic_auth().cloned()
    }
}

// === impl Connector ===

impl Connector {
    pub(super) fn new(proxies: Arc<Proxies>) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::default());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE));
        Self { tcp, proxies }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.of(&destination) else {
            let connecting = self.tcp.call(destination);
            return Box::pin(async move {
                let io = connecting.await?;
                Ok(Stream {
                    io,
                    is_proxy: false,
                })
            });
        };
        if !is_https(&destination) {
            let connecting = self.tcp.call(proxy.uri().clone());
            return Box::pin(async move {
                let io = connecting.await?;
                Ok(Stream { io, is_proxy: true })
            });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let digging = tunnel.call(destination);
        Box::pin(async move {
            let io = digging.await.map_err(ProxyError::new)?;
            Ok(Stream {
                io,
                is_proxy: false,
            })
        })
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

// === impl Stream ===

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.is_proxy)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}
