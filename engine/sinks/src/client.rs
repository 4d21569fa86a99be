//! Sends one request and says in plain terms what came of it.
//!
//! ```text
//!  post ──▶ pool of connections ──▶ connect: proxy? ──▶ resolve ──▶ TCP ──▶ TLS
//!    └──▶ Answer: a status with the head of its body, or a failure of a named kind
//! ```
//!
//! Everything is bounded: the whole exchange by one deadline, the head of an answer by 16 KiB, its
//! body by 64 KiB, after which the connection is closed. Redirects are not followed, for they would
//! hand the key to another host.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use connect::Connector;

mod connect;
mod failure;
mod resolve;
mod tls;

pub use failure::{Failure, FailureKind};

/// Most of an answer's head, in bytes.
const HEAD_LEN_BYTES_MAX: usize = 16 * 1024;

/// Most of an answer's body, in bytes.
const BODY_LEN_BYTES_MAX: usize = 64 * 1024;

/// What of a body is kept to be shown, in bytes.
const EXCERPT_LEN_BYTES: usize = 256;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// How a client reaches other hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientConfig {
    /// Bound of one exchange, from the connection to the end of the answer. 0 = 20 s.
    pub timeout: Duration,
    /// Proxies.
    pub proxy: ProxyConfig,
    /// Certificates trusted beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Value of `User-Agent`.
    pub user_agent: String,
}

/// Proxies by scheme of the destination; empty = none. May hold credentials, which `Debug` hides.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// For `http://` destinations.
    pub http: String,
    /// For `https://` destinations, reached through `CONNECT`.
    pub https: String,
    /// Hosts reached without: names with all names below them, addresses, networks, `*`;
    /// comma-separated.
    pub no_proxy: String,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The extra certificates.
    #[error("cannot read certificates of {}, set by `greyhound.delivery.ca_file`: {why}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS itself.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The proxy is none we can use.
    #[error("`proxy.{scheme}` is not an http:// address")]
    Proxy {
        /// Which one.
        scheme: &'static str,
    },
    /// A header cannot be written.
    #[error("the user agent is not a header value")]
    UserAgent,
}

/// Sends requests; cheap to clone, one pool of connections.
#[derive(Clone)]
pub struct Client {
    pool: legacy::Client<HttpsConnector<Connector>, Counted>,
    proxies: Arc<connect::Proxies>,
    timeout: Duration,
    user_agent: HeaderValue,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The other side answered.
    Status {
        /// 200 and so on.
        status: u16,
        /// Value of `Retry-After`.
        retry_after: Option<String>,
        /// The first bytes of the body, escaped.
        excerpt: String,
    },
    /// It did not, or not in HTTP.
    Failed {
        /// Why.
        failure: Failure,
        /// Whether the body may have reached the other side whole, so that the request may have
        /// been carried out.
        body_sent: bool,
    },
}

/// An answer with all that is kept of it, for those who read more than the status.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// 200 and so on.
    pub status: u16,
    /// Its head.
    pub headers: HeaderMap,
    /// The first 64 KiB of its body.
    pub body: Bytes,
    /// What came behind the body.
    pub trailers: HeaderMap,
}

/// A request body that remembers whether it was handed over.
#[derive(Debug)]
struct Counted {
    body: Option<Bytes>,
    sent: Arc<AtomicBool>,
}

// === impl Client ===

impl Client {
    /// A client without connections. Reads the system's certificates: some milliseconds.
    ///
    /// # Errors
    /// When the extra certificates cannot be read, or a proxy address is unusable.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        Self::build(config, false)
    }

    /// The same, speaking HTTP/2 from the first byte, for gRPC.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_http2(config: &ClientConfig) -> Result<Self, ClientError> {
        Self::build(config, true)
    }

    fn build(config: &ClientConfig, is_http2: bool) -> Result<Self, ClientError> {
        let proxies = Arc::new(connect::Proxies::new(&config.proxy)?);
        let builder = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(config.ca_file.as_deref())?)
            .https_or_http();
        let connector = Connector::new(Arc::clone(&proxies));
        let connector = match is_http2 {
            true => builder.enable_http2().wrap_connector(connector),
            false => builder.enable_http1().wrap_connector(connector),
        };
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(HEAD_LEN_BYTES_MAX)
            .http2_only(is_http2)
            .http2_max_header_list_size(HEAD_LEN_BYTES_MAX as u32)
            .build(connector);
        let timeout = match config.timeout {
            Duration::ZERO => Duration::from_secs(20),
            timeout => timeout,
        };
        Ok(Self {
            pool,
            proxies,
            timeout,
            user_agent: HeaderValue::from_str(&config.user_agent)
                .map_err(|_| ClientError::UserAgent)?,
        })
    }

    /// `POST` with these headers. Ends within the timeout. Runs on a tokio runtime.
    pub async fn post(&self, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Answer {
        self.send(Method::POST, uri, headers, body).await.0
    }

    /// [`post`](Self::post), with the whole answer when there is one.
    pub async fn post_whole(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> (Answer, Option<Whole>) {
        self.send(Method::POST, uri, headers, body).await
    }

    /// `HEAD` with these headers: the status and the head of the answer. Ends within the timeout. Runs on a
    /// tokio runtime.
    pub async fn head(&self, uri: &Uri, headers: &HeaderMap) -> (Answer, Option<Whole>) {
        self.send(Method::HEAD, uri, headers, Bytes::new()).await
    }

    /// `GET` with these headers. Ends within the timeout. Runs on a tokio runtime.
    pub async fn get(&self, uri: &Uri, headers: &HeaderMap) -> Answer {
        let empty = Bytes::new();
        self.send(Method::GET, uri, headers, empty).await.0
    }

    async fn send(
        &self,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> (Answer, Option<Whole>) {
        let sent = Arc::new(AtomicBool::new(false));
        let body = Counted {
            body: Some(body),
            sent: Arc::clone(&sent),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        request.headers_mut().clone_from(headers);
        request
            .headers_mut()
            .insert(hyper::header::USER_AGENT, self.user_agent.clone());
        if let Some(credentials) = self.proxies.credentials_in_request(uri) {
            request
                .headers_mut()
                .insert(PROXY_AUTHORIZATION, credentials);
        }
        let failed = |failure| {
            let body_sent = sent.load(Ordering::Acquire);
            (Answer::Failed { failure, body_sent }, None)
        };
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(Ok(whole)) => (whole.answer(), Some(whole)),
            Ok(Err(failure)) => failed(failure),
            Err(_) => failed(Failure::new(
                FailureKind::Timeout,
                format!("no answer within {} s", self.timeout.as_secs_f64()),
            )),
        }
    }

    async fn exchange(&self, request: Request<Counted>) -> Result<Whole, Failure> {
        let response = self
            .pool
            .request(request)
            .await
            .map_err(|error| Failure::of_client(&error))?;
        let (head, body) = response.into_parts();
        let (body, trailers) = read_body(body).await;
        Ok(Whole {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            trailers,
        })
    }
}

// === impl Whole ===

impl Whole {
    fn answer(&self) -> Answer {
        let retry_after = self.headers.get(hyper::header::RETRY_AFTER);
        let excerpt = &self.body[..self.body.len().min(EXCERPT_LEN_BYTES)];
        Answer::Status {
            status: self.status,
            retry_after: retry_after
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            excerpt: excerpt.escape_ascii().to_string(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Reads the body, so that the connection can be used again; dropped when it is too long. The
/// status stands already, so a body that breaks off changes nothing.
async fn read_body(mut body: Incoming) -> (Bytes, HeaderMap) {
    let mut kept = Vec::new();
    let mut trailers = HeaderMap::new();
    while let Some(Ok(frame)) = body.frame().await {
        match frame.into_data() {
            Ok(data) => {
                let room = BODY_LEN_BYTES_MAX - kept.len();
                kept.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    break;
                }
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    (Bytes::from(kept), trailers)
}

// === impl Counted ===

impl Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let body = self.body.take();
        self.sent.store(true, Ordering::Release);
        Poll::Ready(
            body.filter(|body| !body.is_empty())
                .map(Frame::data)
                .map(Ok),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}

// === impl ProxyConfig ===

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyConfig")
            .field("http", &!self.http.is_empty())
            .field("https", &!self.https.is_empty())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// The error and its causes in one line, without saying anything twice.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
