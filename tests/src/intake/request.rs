//! One request: its head, read by hand so that nothing is forgiven, and the body it announces.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// Longest head that is read.
const HEAD_LEN_BYTES_MAX: usize = 64 * 1024;

/// Longest body that is read: far above every limit, so that what breaks one is still seen whole.
const BODY_LEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `/api/v2/series`
    Series,
    /// `/api/beta/sketches`
    Sketches,
    /// `/intake/`
    Events,
    /// `/api/v1/check_run`
    ServiceChecks,
    /// `/api/v1/validate`, a question about the key.
    Validate,
    /// Any other path, which breaks a rule.
    Unknown,
}

/// What is known before the body is read.
#[derive(Clone, Debug)]
pub struct Request {
    /// Position among the payloads of all connections, from 0.
    pub number: u64,
    /// What it carries.
    pub class: Class,
    /// `GET`, `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case. A name that stands twice breaks a rule and is joined by a comma.
    pub headers: BTreeMap<String, String>,
}

// === impl Class ===

impl Class {
    fn of(target: &str) -> Self {
        // A proxy is told the whole address.
        let path = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("", |at| &rest[at..]),
            None => target,
        };
        match path {
            "/api/v2/series" => Self::Series,
            "/api/beta/sketches" => Self::Sketches,
            "/intake/" => Self::Events,
            "/api/v1/check_run" => Self::ServiceChecks,
            "/api/v1/validate" => Self::Validate,
            _ => Self::Unknown,
        }
    }

    /// Whether it is protobuf rather than JSON.
    pub fn is_protobuf(self) -> bool {
        matches!(self, Self::Series | Self::Sketches)
    }
}

// === impl Request ===

impl Request {
    /// Reads a head. `None` when the other side has no more requests.
    ///
    /// # Errors
    /// The connection broke, or this is not HTTP.
    pub(super) fn read(wire: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if wire.read(&mut byte)? == 0 {
                return match head.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
            head.push(byte[0]);
            if head.len() > HEAD_LEN_BYTES_MAX {
                return Err(io::Error::other("an endless head"));
            }
        }
        let text = String::from_utf8(head).map_err(io::Error::other)?;
        Self::parse(&text)
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("not HTTP: {text:?}")))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        if words.next() != Some("HTTP/1.1") {
            return None;
        }
        let mut headers = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let (name, value) = (name.to_ascii_lowercase(), value.trim());
            headers
                .entry(name)
                .and_modify(|before: &mut String| {
                    before.push(',');
                    before.push_str(value);
                })
                .or_insert_with(|| value.to_owned());
        }
        Some(Self {
            number: 0,
            class: Class::of(&path),
            method,
            path,
            headers,
        })
    }

    /// The header, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The connection broke, or no length was announced.
    pub(super) fn read_body(&self, wire: &mut impl Read) -> io::Result<Vec<u8>> {
        let len = match self.header("content-length") {
            "" if self.method == "GET" => 0,
            len => len
                .parse()
                .map_err(|_| io::Error::other("no length was announced"))?,
        };
        if len > BODY_LEN_BYTES_MAX {
            return Err(io::Error::other("an endless body"));
        }
        let mut body = vec![0; len];
        wire.read_exact(&mut body)?;
        Ok(body)
    }
}
