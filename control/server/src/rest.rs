//! The route table: what can be asked, as data. Router, OpenAPI document and telemetry read the same rows.
//!
//! ```text
//!  RouteGroup::routes ──▶ Table ──▶ find(method, path) ──▶ Handler ──▶ Response
//!                           └──▶ openapi
//! ```
//!
//! A handler sees a request whose size, time and sender were checked already.

pub(crate) mod absent;
pub(crate) mod debug;
pub mod dogstatsd;
pub(crate) mod ipc;
pub(crate) mod openapi;
pub mod probes;
pub(crate) mod process;
pub mod request;
pub mod response;
pub mod secrets;
pub mod settings;
pub mod table;
pub mod v1;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use request::Request;
use response::Response;

/// Bytes of a request body when a route says nothing else.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Bound of routes that take long: flare, diagnose.
pub const LONG_DEADLINE: Duration = Duration::from_secs(600);

/// A future that gives the answer.
pub type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// One row of the table.
#[derive(Clone)]
pub struct Route {
    /// GET or POST, and for our own routes whatever fits.
    pub method: Method,
    /// With `{name}` for a part that varies: `/agent/config/{setting}`. Also the label in telemetry.
    pub path: &'static str,
    /// One line without a final dot, for the OpenAPI document and the manual.
    pub summary: &'static str,
    /// Heading in the OpenAPI document.
    pub tag: &'static str,
    /// Parts of the path and the query.
    pub params: Vec<Param>,
    /// What the body holds; none = it is ignored.
    pub body: Option<RequestBody>,
    /// Answers beside those any route can have.
    pub answers: Vec<Answer>,
    /// Bytes of a body at most; more is 413.
    pub body_bytes_max: usize,
    /// Bound by [`LONG_DEADLINE`] in place of `server_timeout`.
    pub long: bool,
    /// Who answers.
    pub handler: Handler,
}

/// A parameter of a route.
#[derive(Clone, Debug)]
pub struct Param {
    /// As in the path or query.
    pub name: &'static str,
    /// Part of the path, not of the query.
    pub in_path: bool,
    /// One line.
    pub help: &'static str,
    /// JSON Schema of its value.
    pub schema: Value,
}

/// The body a route takes.
#[derive(Clone, Debug)]
pub struct RequestBody {
    /// `application/json` or `application/x-www-form-urlencoded`.
    pub content_type: &'static str,
    /// JSON Schema.
    pub schema: Value,
    /// Refused without one.
    pub required: bool,
}

/// An answer a route can give.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// One line.
    pub help: &'static str,
    /// Content type and JSON Schema; none = no body worth a schema.
    pub content: Option<(&'static str, Value)>,
}

/// Who answers a route.
#[derive(Clone)]
pub enum Handler {
    /// At once, on the thread of the connection: must neither block nor compute for long.
    Now(Arc<dyn Fn(Request) -> Response + Send + Sync>),
    /// On a thread for blocking work; there are few of them, further requests wait.
    Blocking(Arc<dyn Fn(Request) -> Response + Send + Sync>),
    /// By waiting without blocking.
    Waiting(Arc<dyn Fn(Request) -> Answering + Send + Sync>),
}

// === impl Route ===

impl Route {
    /// A row for `GET`.
    pub fn get(path: &'static str, summary: &'static str, handler: Handler) -> Self {
        Self::new(Method::GET, path, summary, handler)
    }

    /// A row for `POST`.
    pub fn post(path: &'static str, summary: &'static str, handler: Handler) -> Self {
        Self::new(Method::POST, path, summary, handler)
    }

    /// A row for any method.
    pub fn new(
        method: Method,
        path: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            method,
            path,
            summary,
            tag: "process",
            params: Vec::new(),
            body: None,
            answers: Vec::new(),
            body_bytes_max: BODY_BYTES_MAX,
            long: false,
            handler,
        }
    }

    /// Puts it under a heading of the OpenAPI document.
    #[must_use]
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// Describes a part of the path.
    #[must_use]
    pub fn path_param(mut self, name: &'static str, help: &'static str, schema: Value) -> Self {
        self.params.push(Param {
            name,
            in_path: true,
            help,
            schema,
        });
        self
    }

    /// Describes a parameter of the query; all are optional.
    #[must_use]
    pub fn query(mut self, name: &'static str, help: &'static str, schema: Value) -> Self {
        self.params.push(Param {
            name,
            in_path: false,
            help,
            schema,
        });
        self
    }

    /// Takes a JSON body.
    #[must_use]
    pub fn json_body(mut self, schema: Value, required: bool) -> Self {
        self.body = Some(RequestBody {
            content_type: "application/json",
            schema,
            required,
        });
        self
    }

    /// Takes an urlencoded form.
    #[must_use]
    pub fn form_body(mut self, schema: Value) -> Self {
        self.body = Some(RequestBody {
            content_type: "application/x-www-form-urlencoded",
            schema,
            required: false,
        });
        self
    }

    /// Answers `application/json`.
    #[must_use]
    pub fn json(self, status: u16, help: &'static str, schema: Value) -> Self {
        self.answer(status, help, Some((response::JSON, schema)))
    }

    /// Answers `text/plain`: text, or the JSON that the Agent labels so.
    #[must_use]
    pub fn text(self, status: u16, help: &'static str) -> Self {
        let schema = serde_json::json!({ "type": "string" });
        self.answer(status, help, Some((response::PLAIN, schema)))
    }

    /// Answers without a body.
    #[must_use]
    pub fn empty(self, status: u16, help: &'static str) -> Self {
        self.answer(status, help, None)
    }

    /// One more answer.
    #[must_use]
    pub fn answer(
        mut self,
        status: u16,
        help: &'static str,
        content: Option<(&'static str, Value)>,
    ) -> Self {
        self.answers.push(Answer {
            status,
            help,
            content,
        });
        self
    }

    /// Bounds the body.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Lets it take up to [`LONG_DEADLINE`].
    #[must_use]
    pub fn long(mut self) -> Self {
        self.long = true;
        self
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

// === impl Handler ===

impl Handler {
    /// Answers at once.
    pub fn now(answer: impl Fn(Request) -> Response + Send + Sync + 'static) -> Self {
        Self::Now(Arc::new(answer))
    }

    /// Answers after blocking work.
    pub fn blocking(answer: impl Fn(Request) -> Response + Send + Sync + 'static) -> Self {
        Self::Blocking(Arc::new(answer))
    }

    /// Answers when a future is done. The future is dropped at the deadline.
    pub fn waiting<F>(answer: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self::Waiting(Arc::new(move |request| Box::pin(answer(request))))
    }
}
