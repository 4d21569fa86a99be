//! From a request to an answer. No request can fail here: whatever is asked has one.

use bytes::Bytes;
use greyhound_telemetry::text::{Format, negotiate, write_snapshot};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};

use super::body::PageBody;
use super::telemetry::HttpTelemetry;
use super::{Health, Pages};

const PLAIN: &str = "text/plain; charset=utf-8";

const INDEX: &str = "\
Greyhound
  /metrics    aggregates, for Prometheus
  /telemetry  the engine's own counters
  /live       whether the process is alive
  /ready      whether it does its work
";

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Path {
    Index,
    Metrics,
    Telemetry,
    Live,
    Ready,
    Unknown,
}

// === impl Path ===

impl Path {
    pub(super) const ALL: [Self; 6] = [
        Self::Index,
        Self::Metrics,
        Self::Telemetry,
        Self::Live,
        Self::Ready,
        Self::Unknown,
    ];

    /// The word in telemetry.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::Metrics => "/metrics",
            Self::Telemetry => "/telemetry",
            Self::Live => "/live",
            Self::Ready => "/ready",
            Self::Unknown => "unknown",
        }
    }

    fn parse(path: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|known| *known != Self::Unknown && known.as_str() == path)
            .unwrap_or(Self::Unknown)
    }
}

/// Answers one request.
pub(super) fn answer<B>(
    pages: &Pages,
    telemetry: &HttpTelemetry,
    request: &Request<B>,
) -> Response<PageBody> {
    let path = Path::parse(request.uri().path());
    let mut response = route(pages, path, request);
    telemetry.count(path, response.status());
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn route<B>(pages: &Pages, path: Path, request: &Request<B>) -> Response<PageBody> {
    if path == Path::Unknown {
        return text(StatusCode::NOT_FOUND, PLAIN, "not found\n");
    }
    let head_only = request.method() == Method::HEAD;
    if !head_only && request.method() != Method::GET {
        let mut refusal = text(
            StatusCode::METHOD_NOT_ALLOWED,
            PLAIN,
            "only GET and HEAD here\n",
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        refusal.headers_mut().insert(ALLOW, allowed);
        return refusal;
    }
    match path {
        Path::Index | Path::Unknown => text(StatusCode::OK, PLAIN, INDEX),
        Path::Metrics => metrics(pages, format_of(request), head_only),
        Path::Telemetry => {
            let format = format_of(request);
            let mut page = Vec::new();
            if !head_only {
                write_snapshot(&(pages.telemetry)(), format, &mut page);
            }
            text(StatusCode::OK, format.content_type(), page)
        }
        Path::Live => health((pages.live)()),
        Path::Ready => health((pages.ready)()),
    }
}

fn metrics(pages: &Pages, format: Format, head_only: bool) -> Response<PageBody> {
    let Some(exposition) = &pages.metrics else {
        return text(StatusCode::NOT_FOUND, PLAIN, "the Prometheus sink is off\n");
    };
    if head_only {
        return text(StatusCode::OK, format.content_type(), "");
    }
    let body = PageBody::Scrape(Box::new(exposition.scrape(format)));
    with_type(StatusCode::OK, format.content_type(), body)
}

fn health(health: Health) -> Response<PageBody> {
    match health {
        Health::Good => text(StatusCode::OK, PLAIN, "ok\n"),
        Health::Bad(mut reason) => {
            reason.push('\n');
            text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, reason)
        }
    }
}

/// The form the reader asked for. Names are always reduced to what every Prometheus takes, so that
/// a query does not depend on the version that scraped.
fn format_of<B>(request: &Request<B>) -> Format {
    let mut accept = String::new();
    for value in request.headers().get_all(ACCEPT) {
        accept.push_str(value.to_str().unwrap_or_default());
        accept.push(',');
    }
    Format {
        utf8_names: false,
        ..negotiate(&accept)
    }
}

fn text(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<PageBody> {
    with_type(status, content_type, PageBody::Text(text.into()))
}

fn with_type(status: StatusCode, content_type: &'static str, body: PageBody) -> Response<PageBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
