//! What the command line speaks: one request, one answer, over the control port or its Unix socket.
//!
//! ```text
//!  token and certificate readable? ──yes──▶ TLS to host:port ──nobody there──┐
//!         └─no───────────────────────────────────────────────────────────────┴▶ Unix socket
//! ```
//!
//! Blocks, with a bound on everything. The server is trusted by its certificate file alone, so the client
//! cannot be led to another one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::artifact;
use crate::auth::token::{self, Token};
use crate::config::Files;
use crate::tls::{self, Identity};

/// Bytes of an answer; more is an error.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the server is.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// `host:port` of the control port.
    pub address: Option<String>,
    /// Token and certificate, for the control port.
    pub files: Option<Files>,
    /// The control socket.
    pub socket: Option<PathBuf>,
}

/// A client that blocks. Each request has a connection of its own.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    runtime: tokio::runtime::Runtime,
}

/// What is sent along.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Nothing.
    Empty,
    /// JSON.
    Json(&'a Value),
    /// Form fields.
    Form(&'a [(&'a str, &'a str)]),
}

/// An answer of any status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// `Content-Type`; empty when there is none.
    pub content_type: String,
    /// All of it.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing to connect to.
    #[error("no control port and no control socket to ask; is `greyhound.control.enabled` false?")]
    Nowhere,
    /// Token or certificate cannot be used.
    #[error(
        "unable to fetch authentication token or certificate (please check that Greyhound is running): {0}"
    )]
    Files(String),
    /// Nobody answers.
    #[error("nothing answers at {at}: {why}; is Greyhound running there?")]
    Unreachable {
        /// Address or path.
        at: String,
        /// What the system says.
        why: String,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("the answer of {at} broke off: {why}")]
    Broken {
        /// Address or path.
        at: String,
        /// What happened.
        why: String,
    },
    /// No answer in time.
    #[error("no answer of {at} within {seconds} s")]
    Late {
        /// Address or path.
        at: String,
        /// The bound.
        seconds: u64,
    },
    /// No runtime.
    #[error("cannot start a client")]
    Runtime(#[source] std::io::Error),
}

/// A request before it has a connection.
struct Asked {
    method: Method,
    target: String,
    content_type: Option<&'static str>,
    body: Bytes,
}

// === impl Client ===

impl Client {
    /// Ready to ask; nothing is opened yet.
    ///
    /// # Errors
    /// Only when the process is out of descriptors.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Runtime)?;
        Ok(Self { config, runtime })
    }

    /// `GET`. Blocks until `bound` at most.
    ///
    /// # Errors
    /// See [`ClientError`]; an answer that says no is none.
    pub fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        bound: Duration,
    ) -> Result<Answer, ClientError> {
        self.ask(Method::GET, path, query, Content::Empty, bound)
    }

    /// `POST`. Blocks until `bound` at most.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(
        &self,
        path: &str,
        query: &[(&str, &str)],
        content: Content<'_>,
        bound: Duration,
    ) -> Result<Answer, ClientError> {
        self.ask(Method::POST, path, query, content, bound)
    }

    /// Any method. Blocks until `bound` at most.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Content<'_>,
        bound: Duration,
    ) -> Result<Answer, ClientError> {
        let asked = Asked::new(method, path, query, content);
        self.runtime.block_on(async {
            match self.over_tls(&asked, bound).await {
                Some(Ok(answer)) => Ok(answer),
                Some(Err(error @ (ClientError::Late { .. } | ClientError::Broken { .. }))) => {
                    Err(error)
                }
                tcp => match (tcp, self.over_socket(&asked, bound).await) {
                    (_, Some(Ok(answer))) => Ok(answer),
                    (Some(Err(first)), _) => Err(first),
                    (_, Some(Err(error))) => Err(error),
                    (_, None) => Err(ClientError::Nowhere),
                },
            }
        })
    }

    async fn over_tls(
        &self,
        asked: &Asked,
        bound: Duration,
    ) -> Option<Result<Answer, ClientError>> {
        let (address, files) = (self.config.address.as_ref()?, self.config.files.as_ref()?);
        let (token, identity) = match read(files) {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let unreachable = |why: String| ClientError::Unreachable {
            at: address.clone(),
            why,
        };
        let connect = async {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            // The request follows the handshake at once; without it, it would wait for an acknowledgement.
            stream
                .set_nodelay(true)
                .map_err(|error| unreachable(error.to_string()))?;
            let config = tls::client(&identity, &[b"http/1.1"])
                .map_err(|error| unreachable(error.to_string()))?;
            let name = ServerName::try_from("localhost").expect("a constant that is a name");
            TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await
                .map_err(|error| unreachable(format!("TLS: {error}")))
        };
        let stream = match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Some(Err(error)),
            Err(_) => return Some(Err(unreachable("no connection in time".to_owned()))),
        };
        Some(exchange(stream, asked, Some(&token), address, bound).await)
    }

    async fn over_socket(
        &self,
        asked: &Asked,
        bound: Duration,
    ) -> Option<Result<Answer, ClientError>> {
        let path = self.config.socket.as_ref()?;
        let at = path.display().to_string();
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) => {
                let why = error.to_string();
                return Some(Err(ClientError::Unreachable { at, why }));
            }
        };
        // Who may not go without a token may have one.
        let token = self
            .config
            .files
            .as_ref()
            .and_then(|files| read(files).ok());
        let token = token.map(|(token, _)| token);
        Some(exchange(stream, asked, token.as_ref(), &at, bound).await)
    }
}

/// Token and certificate of a running server.
///
/// # Errors
/// What is wrong with the files; nothing of their content.
pub fn read(files: &Files) -> Result<(Token, Identity), ClientError> {
    let unusable = |error: artifact::ArtifactError| ClientError::Files(error.to_string());
    let token = artifact::load(&files.token, files.own_uid, &token::FILE).map_err(unusable)?;
    let identity =
        artifact::load(&files.certificate, files.own_uid, &tls::FILE).map_err(unusable)?;
    Ok((token, identity))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    asked: &Asked,
    token: Option<&Token>,
    at: &str,
    bound: Duration,
) -> Result<Answer, ClientError> {
    let broken = |why: String| ClientError::Broken {
        at: at.to_owned(),
        why,
    };
    let talk = async {
        let request = asked.request(token).map_err(broken)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(error.to_string()))?;
        let connection = tokio::spawn(connection);
        let answered = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let content_type = response
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned();
            let mut body = response.into_body();
            let mut whole = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let Ok(piece) = frame?.into_data() else {
                    continue;
                };
                if whole.len() + piece.len() > ANSWER_BYTES_MAX {
                    return Ok(None);
                }
                whole.extend_from_slice(&piece);
            }
            Ok::<_, hyper::Error>(Some(Answer {
                status,
                content_type,
                body: whole.freeze(),
            }))
        };
        let answer = answered.await.map_err(|error| broken(error.to_string()));
        connection.abort();
        answer?.ok_or_else(|| broken(format!("it is longer than {ANSWER_BYTES_MAX} bytes")))
    };
    match timeout(bound, talk).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::Late {
            at: at.to_owned(),
            seconds: bound.as_secs(),
        }),
    }
}

fn encode(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        percent_encode(name, &mut text);
        text.push('=');
        percent_encode(value, &mut text);
    }
    text
}

fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

// === impl Asked ===

impl Asked {
    fn new(method: Method, path: &str, query: &[(&str, &str)], content: Content<'_>) -> Self {
        let mut target = path.to_owned();
        if !query.is_empty() {
            target.push('?');
            target.push_str(&encode(query));
        }
        let (content_type, body) = match content {
            Content::Empty => (None, Bytes::new()),
            Content::Json(value) => (Some("application/json"), value.to_string().into()),
            Content::Form(fields) => (
                Some("application/x-www-form-urlencoded"),
                encode(fields).into(),
            ),
        };
        Self {
            method,
            target,
            content_type,
            body,
        }
    }

    fn request(&self, token: Option<&Token>) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.target)
            .header(HOST, "localhost");
        if let Some(content_type) = self.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        request
            .body(Full::new(self.body.clone()))
            .map_err(|error| error.to_string())
    }
}

// === impl Answer ===

impl Answer {
    /// Whether the status is below 400, which is what the Agent's commands call success.
    pub fn is_good(&self) -> bool {
        self.status < 400
    }

    /// The body as text; broken letters replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// What went wrong, in one line: the text of a JSON error, else the body.
    pub fn complaint(&self) -> String {
        let error = self.json().ok();
        let text = error.as_ref().and_then(|value| value["error"].as_str());
        let text = text.map_or_else(|| self.text(), str::to_owned);
        text.trim().to_owned()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.status, self.complaint())
    }
}

#[cfg(test)]
mod tests;
