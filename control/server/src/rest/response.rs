//! An answer in the forms the Agent's clients compare.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use serde_json::{Value, json};

/// What Go's server calls text, and JSON whose handler named no type.
pub const PLAIN: &str = "text/plain; charset=utf-8";
/// JSON that is called so.
pub const JSON: &str = "application/json";

/// One answer, whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200 and so on.
    pub status: StatusCode,
    /// With its content type.
    pub headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
}

// === impl Response ===

impl Response {
    /// 200, `application/json`.
    pub fn json(value: &Value) -> Self {
        Self::new(StatusCode::OK, JSON, value.to_string())
    }

    /// 200, JSON labelled as text: what the Agent's handlers without a content type give.
    pub fn sniffed_json(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    /// 200, plain text.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, PLAIN, text)
    }

    /// 200 without a body.
    pub fn empty() -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// What Go's `http.Error` gives: the text and a newline, plain, not to be sniffed.
    pub fn error(status: StatusCode, text: &str) -> Self {
        let mut answer = Self::new(status, PLAIN, format!("{text}\n"));
        answer
            .headers
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    /// `{"error":"…"}` the way the Agent sends it: as plain text.
    pub fn json_error(status: StatusCode, text: &str) -> Self {
        Self::error(status, &json!({ "error": text }).to_string())
    }

    /// Any content.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_text_with_json_in_it() {
        let answer = Response::json_error(StatusCode::BAD_REQUEST, "no \"x\"");
        assert_eq!(answer.body, "{\"error\":\"no \\\"x\\\"\"}\n");
        assert_eq!(answer.headers[CONTENT_TYPE], PLAIN);
        assert_eq!(answer.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
}
