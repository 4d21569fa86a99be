//! Who may call. Asked around the whole router, before anything is looked up: without a right token nobody
//! learns which paths there are. The Agent checks after routing; its answers are otherwise given word by word.
//!
//! REST and gRPC differ as they do there: REST compares the second word and ignores a third, gRPC takes all
//! behind the scheme. Nothing of a wrong header is ever logged.

mod failures;
pub mod token;

use std::net::IpAddr;
use std::time::Instant;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{StatusCode, Uri};
use tonic::Status;

use crate::config::Limits;
use crate::rest::response::Response;
use failures::Failures;
pub(crate) use failures::Waiting;
use token::Token;

const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"Datadog Agent\"");
/// The one gRPC service that clients of the Agent call without a token: the host name.
const OPEN_SERVICE: &str = "/datadog.api.v1.Agent/";
/// Longest scheme that is named in the answer. The shortest token is longer: one sent without its scheme does
/// not come back, to end in the log of whoever sent it.
const SCHEME_LEN_MAX: usize = 24;

/// Judges requests.
pub(crate) struct Authority {
    failures: Failures,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No `Authorization`.
    Missing,
    /// More than one.
    Several,
    /// Another scheme than `Bearer`; its word.
    Scheme(String),
    /// Not our token.
    Wrong,
    /// gRPC only: one word where two are needed.
    Malformed,
}

/// What `Authorization` holds, at most once.
enum Given<'h> {
    Nothing,
    One(&'h [u8]),
    Several,
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            failures: Failures::new(limits),
        }
    }

    /// Notes a wrong token. How long its answer has to wait; `None` = cut the connection.
    pub(crate) fn wrong(&self, peer: Option<IpAddr>) -> Option<Waiting<'_>> {
        self.failures.note(peer, Instant::now())
    }
}

/// REST: `Bearer`, in this letter case, one space, the token; more words do not matter.
pub(crate) fn check_rest(headers: &HeaderMap, token: Option<&Token>) -> Result<(), Refusal> {
    let value = match given(headers) {
        Given::Nothing => return Err(Refusal::Missing),
        Given::Several => return Err(Refusal::Several),
        Given::One(value) => value,
    };
    let mut words = value.split(|byte| *byte == b' ');
    let scheme = words.next().unwrap_or_default();
    if scheme != b"Bearer" {
        let shown = match scheme {
            short if short.len() <= SCHEME_LEN_MAX => short,
            _ => b"(too long)",
        };
        let shown = String::from_utf8_lossy(shown).into_owned();
        return Err(Refusal::Scheme(shown));
    }
    let presented = words.next().unwrap_or_default();
    accept(presented, token)
}

/// gRPC: the scheme in any letter case, one space, and all the rest is the token.
pub(crate) fn check_grpc(
    uri: &Uri,
    headers: &HeaderMap,
    token: Option<&Token>,
) -> Result<(), Refusal> {
    if uri.path().starts_with(OPEN_SERVICE) {
        return Ok(());
    }
    let value = match given(headers) {
        Given::Nothing => return Err(Refusal::Missing),
        Given::Several => return Err(Refusal::Several),
        Given::One([]) => return Err(Refusal::Missing),
        Given::One(value) => value,
    };
    let Some(space) = value.iter().position(|byte| *byte == b' ') else {
        return Err(Refusal::Malformed);
    };
    if !value[..space].eq_ignore_ascii_case(b"bearer") {
        return Err(Refusal::Scheme(String::new()));
    }
    accept(&value[space + 1..], token)
}

/// Whether a path can name a gRPC method: `/package.Service/Method`, nothing escaped.
pub(crate) fn is_method(path: &str) -> bool {
    let Some(inside) = path.strip_prefix('/') else {
        return false;
    };
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._".contains(&byte);
        !name.is_empty() && name.bytes().all(plain)
    };
    inside
        .split_once('/')
        .is_some_and(|(service, method)| is_name(service) && is_name(method))
}

fn given(headers: &HeaderMap) -> Given<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Given::Nothing,
        (Some(value), None) => Given::One(value.as_bytes()),
        (Some(_), Some(_)) => Given::Several,
    }
}

fn accept(presented: &[u8], token: Option<&Token>) -> Result<(), Refusal> {
    let is_right = token.is_some_and(|token| token.is(presented));
    is_right.then_some(()).ok_or(Refusal::Wrong)
}

// === impl Refusal ===

impl Refusal {
    /// The word in telemetry.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::Scheme(_) => "scheme",
            Self::Malformed => "malformed",
            Self::Wrong => "wrong",
        }
    }

    /// Whether it is an attempt at a token.
    pub(crate) fn is_guess(&self) -> bool {
        matches!(self, Self::Wrong)
    }

    /// The Agent's answer over REST.
    pub(crate) fn rest(&self) -> Response {
        let unauthorized = |text: &str| {
            Response::error(StatusCode::UNAUTHORIZED, text).with_header(WWW_AUTHENTICATE, CHALLENGE)
        };
        match self {
            Self::Missing => unauthorized("no session token provided"),
            Self::Several => unauthorized("more than one session token provided"),
            Self::Scheme(word) => {
                unauthorized(&format!("unsupported authorization scheme: {word}"))
            }
            Self::Wrong | Self::Malformed => {
                Response::error(StatusCode::FORBIDDEN, "invalid session token")
            }
        }
    }

    /// The Agent's answer over gRPC.
    pub(crate) fn grpc(&self) -> Status {
        Status::unauthenticated(match self {
            Self::Missing | Self::Scheme(_) => "Request unauthenticated with Bearer",
            Self::Malformed => "Bad authorization string",
            Self::Several | Self::Wrong => "invalid session token",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn token() -> Token {
        Token::parse(TOKEN.as_bytes()).expect("a token")
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            AUTHORIZATION,
            HeaderValue::from_str(value).expect("a value"),
        );
        headers
    }

    fn rest(value: &str) -> Result<(), Refusal> {
        check_rest(&headers(value), Some(&token()))
    }

    fn grpc(value: &str) -> Result<(), Refusal> {
        let uri = Uri::from_static("/datadog.api.v1.AgentSecure/AutodiscoveryStreamConfig");
        check_grpc(&uri, &headers(value), Some(&token()))
    }

    #[test]
    fn rest_reads_the_second_word() {
        assert_eq!(rest(&format!("Bearer {TOKEN}")), Ok(()));
        assert_eq!(rest(&format!("Bearer {TOKEN} anything")), Ok(()));
        for wrong in ["Bearer", "Bearer ", "Bearer x"] {
            assert_eq!(rest(wrong), Err(Refusal::Wrong), "{wrong}");
        }
        assert_eq!(rest(&format!("Bearer  {TOKEN}")), Err(Refusal::Wrong));
        for (value, word) in [
            (format!("bearer {TOKEN}"), "bearer".to_owned()),
            ("Bearer\tx".to_owned(), "Bearer\tx".to_owned()),
            (format!("Bearer\t{TOKEN}"), "(too long)".to_owned()),
            (TOKEN.to_owned(), "(too long)".to_owned()),
            (format!("Basic {TOKEN}"), "Basic".to_owned()),
            (String::new(), String::new()),
        ] {
            assert_eq!(rest(&value), Err(Refusal::Scheme(word)), "{value}");
        }
        assert_eq!(
            check_rest(&HeaderMap::new(), Some(&token())),
            Err(Refusal::Missing)
        );
        let mut twice = headers(&format!("Bearer {TOKEN}"));
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        assert_eq!(check_rest(&twice, Some(&token())), Err(Refusal::Several));
    }

    #[test]
    fn without_a_token_of_ours_nobody_is_let_in() {
        assert_eq!(check_rest(&headers("Bearer "), None), Err(Refusal::Wrong));
        let right = headers(&format!("Bearer {TOKEN}"));
        assert_eq!(check_rest(&right, None), Err(Refusal::Wrong));
    }

    #[test]
    fn grpc_takes_all_behind_the_scheme() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(grpc(&format!("{scheme} {TOKEN}")), Ok(()));
        }
        assert_eq!(grpc(&format!("Bearer {TOKEN} extra")), Err(Refusal::Wrong));
        assert_eq!(grpc("Bearer"), Err(Refusal::Malformed));
        assert_eq!(grpc(""), Err(Refusal::Missing));
        assert!(matches!(grpc("Basic x"), Err(Refusal::Scheme(_))));
    }

    #[test]
    fn only_the_service_of_the_host_name_is_open() {
        let nothing = HeaderMap::new();
        let check = |path| check_grpc(&Uri::from_static(path), &nothing, None);
        assert_eq!(check("/datadog.api.v1.Agent/GetHostname"), Ok(()));
        for closed in [
            "/datadog.api.v1.AgentSecure/TaggerFetchEntity",
            "/datadog.api.v1.AgentX/GetHostname",
            "/grpc.health.v1.Health/Check",
        ] {
            assert_eq!(check(closed), Err(Refusal::Missing), "{closed}");
        }
    }

    #[test]
    fn a_method_has_two_plain_names() {
        assert!(is_method("/a.b.C/D"));
        for other in [
            "", "/", "a/b", "/a", "/a/", "//b", "/a/b/c", "/a%2fb/c", "/a/b?",
        ] {
            assert!(!is_method(other), "{other}");
        }
    }

    #[test]
    fn refusals_are_the_agents() {
        let missing = Refusal::Missing.rest();
        assert_eq!(missing.status, StatusCode::UNAUTHORIZED);
        assert_eq!(missing.body, "no session token provided\n");
        assert_eq!(
            missing.headers[WWW_AUTHENTICATE],
            "Bearer realm=\"Datadog Agent\""
        );
        let scheme = Refusal::Scheme("Basic".to_owned()).rest();
        assert_eq!(scheme.body, "unsupported authorization scheme: Basic\n");
        let wrong = Refusal::Wrong.rest();
        assert_eq!(wrong.status, StatusCode::FORBIDDEN);
        assert_eq!(wrong.body, "invalid session token\n");
        assert!(!wrong.headers.contains_key(WWW_AUTHENTICATE));
    }
}
