//! Addresses and headers people set, checked once.

use hyper::Uri;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// An `http://` or `https://` address with a host and without credentials, which belong into a setting that is
/// never shown.
pub(crate) fn parse(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_credentials = uri.authority().is_some_and(|at| at.as_str().contains('@'));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    (is_http && has_host && !has_credentials).then_some(uri)
}

/// `https://user:password@host/x?key=y` without what stands before the `@` and behind the `?`.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split('?').next().unwrap_or(rest);
    let host = rest.find('/').unwrap_or(rest.len());
    let start = rest[..host].rfind('@').map_or(0, |at| at + 1);
    match scheme {
        "" => rest[start..].to_owned(),
        scheme => format!("{scheme}://{}", &rest[start..]),
    }
}

/// Names and values as headers.
///
/// # Errors
/// The name of one that cannot be written.
pub(crate) fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(8);
    for (name, value) in pairs {
        let wrong = |_| name.clone();
        let key = HeaderName::try_from(name.as_str()).map_err(|_| name.clone())?;
        let mut value = HeaderValue::from_str(value).map_err(wrong)?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Adds credentials, unless they are empty.
///
/// # Errors
/// When they cannot be a header.
pub(crate) fn authorize(
    headers: &mut HeaderMap,
    credentials: &str,
) -> Result<(), hyper::header::InvalidHeaderValue> {
    if credentials.is_empty() {
        return Ok(());
    }
    let mut value = HeaderValue::from_str(credentials)?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}
