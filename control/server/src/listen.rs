//! The doors: accept, shake hands, serve, drain. Every bound of the network side is set here, because the
//! libraries' defaults leave some of them open.
//!
//! ```text
//!  accept ──▶ seat ──▶ TLS handshake ──▶ HTTP/1.1 or HTTP/2 ──▶ mux
//!    1          2            3                 4
//! ```
//!
//! Refused, and counted: 1 the process is out of descriptors, or connections come too fast: they wait in the
//! kernel; 2 all seats are taken; 3 five seconds are over, or another certificate; 4 a head too long or too
//! slow, too many streams or resets, too many bytes before a right token.

pub(crate) mod guard;
pub(crate) mod seats;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, warn};

use crate::mux::{Link, Service};
use crate::rest::request::Peer;
use crate::telemetry::Turned;
use guard::Guard;
use seats::{Seat, Seats, Taken};

/// HTTP/1 heads: time, bytes, lines.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// HTTP/2: streams at once, resets we cause, resets of streams not yet looked at, window sizes, buffers.
const STREAMS_MAX: u32 = 64;
const LOCAL_RESETS_MAX: usize = 64;
const PENDING_RESETS_MAX: usize = 20;
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
const SEND_BUFFER: usize = 64 << 10;
/// A peer that answers no ping is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing owed and not a byte for so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection lives so long, up to a tenth longer so that not all end at once, and then may finish.
const AGE_MAX: Duration = Duration::from_secs(3600);
const AGE_SPREAD: Duration = Duration::from_secs(360);
const FINISH_GRACE: Duration = Duration::from_secs(30);
/// Connections per second, and how many may come at once.
const ACCEPTS_PER_SECOND: u32 = 256;
const ACCEPT_BURST: u32 = 512;
/// Rest after a failed accept: without it, a process out of descriptors burns a core.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Listener {
    /// With TLS.
    Tcp(TcpListener),
    /// Without: the kernel says who is there.
    Unix(UnixListener),
}

/// One listener and what stands behind it.
pub(crate) struct Door {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
    seats: Arc<Seats>,
    http: auto::Builder<TokioExecutor>,
}

/// When the next connection may be taken.
struct Pace {
    paid_at: Instant,
}

/// Both kinds of stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

// === impl Door ===

impl Door {
    pub(crate) fn new(
        listener: Listener,
        tls: Option<TlsAcceptor>,
        service: Arc<Service>,
        connections_max: usize,
        per_peer_max: usize,
    ) -> Self {
        Self {
            listener,
            tls,
            service,
            seats: Arc::new(Seats::new(connections_max, per_peer_max)),
            http: http(),
        }
    }

    /// Accepts until told to stop, then lets what is under way finish. Returns at the deadline at the latest.
    pub(crate) async fn run(self, mut stopping: watch::Receiver<Option<std::time::Instant>>) {
        let door = Arc::new(self);
        let telemetry = Arc::clone(&door.service.telemetry);
        let mut connections = JoinSet::new();
        let mut pace = Pace::new();
        let mut logged_at: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                // An error means that the server was dropped without a stop.
                _ = stopping.changed() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended && error.is_panic() {
                        error!(%error, "a connection of the control port panicked");
                    }
                    continue;
                }
                accepted = door.accept(&mut pace) => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Some((taken, evicted)) = door.seats.take(peer.address.map(|at| at.ip()))
                    else {
                        telemetry.turn_away(Turned::Full, 1);
                        continue;
                    };
                    telemetry.turn_away(Turned::Evicted, evicted);
                    let connection = Arc::clone(&door).serve(stream, peer, taken, stopping.clone());
                    connections.spawn(connection);
                }
                Err(error) => {
                    telemetry.accept_errors.add(1);
                    if logged_at.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_INTERVAL) {
                        logged_at = Some(Instant::now());
                        warn!(%error, "cannot accept connections of the control port");
                    }
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        let deadline = stopping.borrow().unwrap_or_else(std::time::Instant::now);
        let drained = async { while connections.join_next().await.is_some() {} };
        if timeout_at(deadline.into(), drained).await.is_err() {
            debug!(
                left = connections.len(),
                "cut connections of the control port"
            );
        }
    }

    async fn accept(&self, pace: &mut Pace) -> io::Result<(Box<dyn Stream>, Peer)> {
        pace.wait().await;
        match &self.listener {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                pace.pay();
                // Answers are small; without it they would wait for acknowledgements. A client that has
                // gone already is noticed later.
                stream.set_nodelay(true).ok();
                let peer = Peer {
                    address: Some(address),
                    ..Peer::default()
                };
                Ok((Box::new(stream), peer))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                pace.pay();
                let peer = Peer {
                    uid: Some(stream.peer_cred()?.uid()),
                    ..Peer::default()
                };
                Ok((Box::new(stream), peer))
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: Box<dyn Stream>,
        peer: Peer,
        taken: Taken,
        stopping: watch::Receiver<Option<std::time::Instant>>,
    ) {
        let telemetry = Arc::clone(&self.service.telemetry);
        telemetry.accepted.add(1);
        telemetry.connections.add(1);
        let seat = Arc::clone(&taken.seat);
        tokio::select! {
            () = seat.cut.notified() => {}
            () = self.talk(stream, peer, Arc::clone(&seat), stopping) => {}
        }
        drop(taken);
        telemetry.connections.add(-1);
    }

    async fn talk(
        &self,
        stream: Box<dyn Stream>,
        mut peer: Peer,
        seat: Arc<Seat>,
        stopping: watch::Receiver<Option<std::time::Instant>>,
    ) {
        let telemetry = &self.service.telemetry;
        let guarded = Guard::new(stream, Arc::clone(&seat), IDLE_TIMEOUT);
        let Some(tls) = &self.tls else {
            seat.open();
            self.speak(self.http.clone(), guarded, peer, seat, stopping)
                .await;
            return;
        };
        match timeout(HANDSHAKE_TIMEOUT, tls.accept(guarded)).await {
            Ok(Ok(encrypted)) => {
                seat.open();
                let session = encrypted.get_ref().1;
                peer.has_certificate = session.peer_certificates().is_some();
                let http = match session.alpn_protocol() {
                    Some(b"h2") => self.http.clone().http2_only(),
                    _ => self.http.clone().http1_only(),
                };
                self.speak(http, encrypted, peer, seat, stopping).await;
            }
            Ok(Err(error)) => {
                telemetry.turn_away(Turned::Handshake, 1);
                debug!(%error, peer = ?peer.address, "no TLS handshake");
            }
            Err(_) => telemetry.turn_away(Turned::HandshakeTimeout, 1),
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        http: auto::Builder<TokioExecutor>,
        stream: S,
        peer: Peer,
        seat: Arc<Seat>,
        mut stopping: watch::Receiver<Option<std::time::Instant>>,
    ) {
        let link = Arc::new(Link {
            peer,
            seat: Arc::clone(&seat),
        });
        let service = service_fn(|request| {
            let (service, link) = (Arc::clone(&self.service), Arc::clone(&link));
            async move { Ok::<_, Infallible>(service.answer(link, request).await) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = async {
                tokio::select! {
                    () = seat.finish.notified() => {}
                    () = sleep_until(Instant::now() + age_max(&seat)) => {}
                }
            } => {
                connection.as_mut().graceful_shutdown();
                match timeout(FINISH_GRACE, connection).await {
                    Ok(ended) => ended,
                    Err(_) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            self.service.telemetry.turn_away(Turned::Protocol, 1);
            debug!(%error, "a connection of the control port ended early");
        }
    }
}

/// Both protocols with every bound set.
fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}

/// Spread by where the seat happens to lie in memory: any even spread will do.
fn age_max(seat: &Arc<Seat>) -> Duration {
    let place = Arc::as_ptr(seat) as usize >> 6;
    AGE_MAX + AGE_SPREAD.mul_f64((place % 256) as f64 / 256.0)
}

// === impl Pace ===

impl Pace {
    const INTERVAL: Duration = Duration::from_secs(1)
        .checked_div(ACCEPTS_PER_SECOND)
        .expect("not zero");

    fn new() -> Self {
        Self {
            paid_at: Instant::now(),
        }
    }

    /// Waits while more than the burst was taken.
    async fn wait(&self) {
        let burst = Self::INTERVAL * ACCEPT_BURST;
        if let Some(free_at) = self.paid_at.checked_sub(burst)
            && free_at > Instant::now()
        {
            sleep_until(free_at).await;
        }
    }

    fn pay(&mut self) {
        self.paid_at = self.paid_at.max(Instant::now()) + Self::INTERVAL;
    }
}

/// The address a name stands for, IPv4 first, since that is what most clients try.
///
/// # Errors
/// When the name has none.
pub fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    use std::net::ToSocketAddrs;
    let mut addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses
        .first()
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
