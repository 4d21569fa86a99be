//! A request as a handler sees it: complete, bounded, and from somebody who may ask.

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::HeaderMap;
use serde::de::DeserializeOwned;

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Values of the `{name}` parts of the route, decoded, in order.
    pub params: Vec<(&'static str, String)>,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Without `Authorization`.
    pub headers: HeaderMap,
    /// Never longer than the route allows.
    pub body: Bytes,
    /// Who asks.
    pub peer: Peer,
}

/// Who is at the other end. Also in the extensions of every gRPC request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Over TCP.
    pub address: Option<SocketAddr>,
    /// User id, over the Unix socket.
    pub uid: Option<u32>,
    /// Presented the pinned certificate.
    pub has_certificate: bool,
}

// === impl Request ===

impl Request {
    /// A part of the path; empty when the route has none of that name.
    pub fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value)
    }

    /// The first value of the query under `name`.
    pub fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// Fields of an urlencoded body with their content type, then those of the query: the order in which the
    /// Agent looks for form values.
    pub fn form(&self) -> Vec<(String, String)> {
        let is_form = self
            .headers
            .get(hyper::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|essence| {
                essence
                    .trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        let mut fields = if is_form {
            urlencoded(&String::from_utf8_lossy(&self.body))
        } else {
            Vec::new()
        };
        fields.extend(self.query.iter().cloned());
        fields
    }

    /// The first form field under `name`.
    pub fn form_value(&self, name: &str) -> Option<String> {
        let fields = self.form();
        first(&fields, name).map(str::to_owned)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// One line about what is wrong with it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }
}

fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// Decodes `a=1&b=2`. A pair with a broken escape is left out, as Go leaves it out.
pub fn urlencoded(text: &str) -> Vec<(String, String)> {
    text.split('&')
        // Go refuses a pair with a semicolon as well.
        .filter(|pair| !pair.is_empty() && !pair.contains(';'))
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decode(name, true)?, percent_decode(value, true)?))
        })
        .collect()
}

/// Decodes `%41`; with `plus` also `+` to a space. `None` for a broken escape or for bytes that are no UTF-8.
pub(crate) fn percent_decode(text: &str, plus: bool) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{CONTENT_TYPE, HeaderValue};

    fn request(content_type: &'static str, body: &'static str, query: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Request {
            params: vec![("setting", "log_level".to_owned())],
            query: urlencoded(query),
            headers,
            body: Bytes::from_static(body.as_bytes()),
            peer: Peer::default(),
        }
    }

    #[test]
    fn a_form_is_read_from_the_body_first() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let asked = request(form, "value=a%26b+c%2B&other=1", "value=query&verbose=true");
        assert_eq!(asked.form_value("value").as_deref(), Some("a&b c+"));
        assert_eq!(asked.query("verbose"), Some("true"));
        assert_eq!(asked.param("setting"), "log_level");
        assert_eq!(asked.param("none"), "");
        let untyped = request("text/plain", "value=a", "");
        assert_eq!(untyped.form_value("value"), None);
    }

    #[test]
    fn broken_escapes_and_bytes_that_are_no_text_are_left_out() {
        assert_eq!(
            urlencoded("a=100%&b=%zz&c=%ff&d=1;2&&e"),
            [("e".into(), String::new())]
        );
        assert_eq!(percent_decode("%C3%A9+", false).as_deref(), Some("é+"));
        assert_eq!(percent_decode("%4", false), None);
    }
}
