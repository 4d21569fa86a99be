//! The loopback HTTP server: pages for Prometheus, for probes and for people.
//!
//! ```text
//!  accept ──▶ connection task ──▶ page ──▶ body, chunk by chunk
//!    1            2                           3
//! ```
//!
//! | path | shows |
//! |---|---|
//! | `/` | what there is |
//! | `/metrics` | the aggregates, text 0.0.4 or OpenMetrics as `Accept` asks |
//! | `/telemetry` | the engine's own counters, the same way |
//! | `/live`, `/ready` | `ok`, or 503 and why not |
//!
//! One thread with its own small runtime: nothing here can hold up the data plane, and a slow
//! reader holds up only itself. There is no authentication, so it listens on loopback unless told
//! otherwise, and it only reads.
//!
//! Every limit is set: 1 connections at once, and a pause when the process is out of file
//! descriptors; 2 time, size and number of headers of a request head; 3 time without progress.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use greyhound_telemetry::{Snapshot, Source};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, error, warn};

use crate::config::HttpConfig;
use crate::prometheus::Exposition;

mod body;
mod pages;
mod stall;
pub(crate) mod telemetry;

use stall::Stall;
use telemetry::{HttpTelemetry, Open};

/// Rest after a failed accept: without it, a process out of descriptors burns a core.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How often failed accepts are logged at most.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// What cutting connections may take. A page that hangs in a callback is left behind.
const CUT_GRACE: Duration = Duration::from_millis(500);

/// The smallest read buffer hyper takes.
const HEAD_LEN_BYTES_MIN: usize = 8192;

/// What the server shows.
#[derive(Clone)]
pub struct Pages {
    /// `/metrics`; 404 without.
    pub metrics: Option<Exposition>,
    /// `/telemetry`. Called on the server's thread.
    pub telemetry: Arc<dyn Fn() -> Snapshot + Send + Sync>,
    /// `/live`: whether the process should be left alone.
    pub live: Arc<dyn Fn() -> Health + Send + Sync>,
    /// `/ready`: whether it does its work.
    pub ready: Arc<dyn Fn() -> Health + Send + Sync>,
}

/// The answer to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// 200.
    Good,
    /// 503, with the reason in one line.
    Bad(String),
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on TCP {addr}, set by `greyhound.prometheus.listen`")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// No thread or no runtime.
    #[error("cannot start the HTTP server")]
    Runtime(#[source] io::Error),
}

/// A running server.
#[derive(Debug)]
pub struct HttpServer {
    local_addr: SocketAddr,
    stop: watch::Sender<Option<Instant>>,
    /// Says once whether nothing had to be cut.
    done: Receiver<bool>,
    telemetry: Arc<HttpTelemetry>,
}

/// What the accept loop and every connection need.
struct Service {
    config: HttpConfig,
    pages: Pages,
    telemetry: Arc<HttpTelemetry>,
}

// === impl HttpServer ===

impl HttpServer {
    /// Binds, then serves on a thread of its own.
    ///
    /// # Errors
    /// When the address cannot be bound or no thread can be started.
    pub fn start(config: &HttpConfig, pages: Pages) -> Result<Self, StartError> {
        let addr = config.listen;
        let bind = |source| StartError::Bind { addr, source };
        let listener = TcpListener::bind(addr).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let local_addr = listener.local_addr().map_err(bind)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(StartError::Runtime)?
        };
        let (stop, stopping) = watch::channel(None);
        let telemetry = Arc::new(HttpTelemetry::default());
        let service = Arc::new(Service {
            config: config.clone(),
            pages,
            telemetry: Arc::clone(&telemetry),
        });
        let (done_end, done) = bounded(1);
        thread::Builder::new()
            .name("gh-http".to_owned())
            .spawn(move || {
                let drained = runtime.block_on(service.run(listener, stopping));
                if done_end.send(drained).is_err() {
                    debug!("http server was dropped without a stop");
                }
            })
            .map_err(StartError::Runtime)?;
        Ok(Self {
            local_addr,
            stop,
            done,
            telemetry,
        })
    }

    /// Where it listens: the real port when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// `greyhound.http.*` for the registry.
    pub fn telemetry(&self) -> Arc<dyn Source> {
        Arc::clone(&self.telemetry) as Arc<dyn Source>
    }

    /// Stops listening, lets answers under way finish, cuts the rest at `deadline`. Blocks until
    /// then, and a moment for the cutting. Returns whether nothing had to be cut.
    pub fn stop(self, deadline: Instant) -> bool {
        self.stop.send_replace(Some(deadline));
        let latest = deadline + CUT_GRACE;
        self.done.recv_deadline(latest).unwrap_or(false)
    }
}

// === impl Service ===

impl Service {
    async fn run(
        self: Arc<Self>,
        listener: tokio::net::TcpListener,
        mut stopping: watch::Receiver<Option<Instant>>,
    ) -> bool {
        let mut connections = JoinSet::new();
        let mut logged_at: Option<Instant> = None;
        let connections_max = self.config.connections_max.max(1);
        loop {
            tokio::select! {
                // An error means that the server was dropped without a stop.
                _ = stopping.changed() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        error!(%error, "http connection panicked");
                    }
                }
                accepted = listener.accept(), if connections.len() < connections_max => {
                    match accepted {
                        Ok((stream, _)) => {
                            let connection = Arc::clone(&self).serve(stream, stopping.clone());
                            connections.spawn(connection);
                        }
                        Err(error) => {
                            self.telemetry.accept_errors.add(1);
                            if logged_at.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_INTERVAL) {
                                logged_at = Some(Instant::now());
                                warn!(%error, "cannot accept http connections");
                            }
                            tokio::time::sleep(ACCEPT_BACKOFF).await;
                        }
                    }
                }
            }
        }
        drop(listener);
        let deadline = stopping.borrow().unwrap_or_else(Instant::now);
        let drained = async { while connections.join_next().await.is_some() {} };
        tokio::time::timeout_at(deadline.into(), drained)
            .await
            .is_ok()
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        mut stopping: watch::Receiver<Option<Instant>>,
    ) {
        let _open = Open::new(&self.telemetry);
        let config = &self.config;
        let io = TokioIo::new(Stall::new(stream, config.stall_timeout));
        let service = service_fn(|request| {
            let response = pages::answer(&self.pages, &self.telemetry, &request);
            std::future::ready(Ok::<_, std::convert::Infallible>(response))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(config.head_timeout)
            .max_headers(config.headers_max)
            .max_buf_size(config.head_len_bytes_max.max(HEAD_LEN_BYTES_MIN))
            .serve_connection(io, service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "http connection ended early");
        }
    }
}

#[cfg(test)]
mod tests;
