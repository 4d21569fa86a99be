//! Sends a flare to the support of the configured site.
//!
//! ```text
//!  HEAD <site>/support/flare[/case] ──redirects──▶ where it really goes ──▶ POST the form, once
//! ```
//!
//! The key goes with the form alone, as a header: an address can end in a log. A redirect from `https` to
//! `http` is refused.

use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use greyhound_config::settings::Settings;
use greyhound_sinks::client::{Answer, Client, Whole};
use hyper::Uri;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use serde_json::Value;

use crate::cli::VERSION;
use crate::wiring::sinks::datadog;

/// Bound of each request, as the Agent's.
const TIMEOUT: Duration = Duration::from_secs(60);
const REDIRECTS_MAX: usize = 10;
/// Of an answer that makes no sense so much is shown.
const EXCERPT_BYTES: usize = 150;
/// Longest form: an archive is at most this, by the limits of its maker.
const ARCHIVE_BYTES_MAX: u64 = 512 << 20;
const API_KEY: HeaderName = HeaderName::from_static("dd-api-key");

/// What is said with the archive.
pub(super) struct Letter<'l> {
    /// The case it belongs to; empty = a new one.
    pub(super) case: &'l str,
    /// Who can be asked.
    pub(super) email: &'l str,
    /// Name of the host it is about.
    pub(super) hostname: &'l str,
    /// The archive.
    pub(super) archive: Vec<u8>,
}

/// Sends it; gives the number of the case. Blocks for two minutes at most.
///
/// # Errors
/// What went wrong, with the setting to change where there is one.
pub(super) fn send(settings: &Settings, letter: &Letter<'_>) -> anyhow::Result<String> {
    let sending = settings.outputs.datadog.as_ref();
    let sending = sending.filter(|_| !settings.api_key.is_empty());
    let sending = sending.context(
        "the flare was not sent: API key is missing; set `api_key` and, if need be, `site`",
    )?;
    ensure!(
        letter.archive.len() as u64 <= ARCHIVE_BYTES_MAX,
        "the archive is too long to be sent"
    );
    let first = &sending.destinations[0];
    let base = match &first.url {
        Some(url) => url.clone(),
        None => datadog::site_url(&first.site, "flare"),
    };
    let mut config = datadog::client(&sending.delivery);
    config.timeout = TIMEOUT;
    let client = Client::new(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let target = resolve(&client, &address(&base, letter.case)?).await?;
        post(&client, &target, settings.api_key.reveal(), letter).await
    })
}

/// Where flares of this case are taken, before redirects.
fn address(base: &str, case: &str) -> anyhow::Result<Uri> {
    let base = base.trim_end_matches('/');
    let case = match case {
        "" => String::new(),
        case => format!("/{case}"),
    };
    let text = format!("{base}/support/flare{case}");
    let uri: Uri = text
        .parse()
        .with_context(|| format!("`dd_url` makes {text:?}, which is no address"))?;
    ensure!(
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some(),
        "`dd_url` makes {text:?}, which is not http or https"
    );
    Ok(uri)
}

/// Follows redirects to the address that takes the form.
async fn resolve(client: &Client, from: &Uri) -> anyhow::Result<Uri> {
    let mut uri = from.clone();
    for _ in 0..=REDIRECTS_MAX {
        let (answer, whole) = client.head(&uri, &HeaderMap::new()).await;
        let whole = answered(&uri, answer, whole)?;
        match whole.status {
            // The form is not there for HEAD, but its server is.
            200 | 404 => return Ok(uri),
            301 | 302 | 303 | 307 | 308 => {
                let next = whole.headers.get(LOCATION).and_then(|to| to.to_str().ok());
                let next = next.with_context(|| format!("{uri} redirects to nowhere"))?;
                uri = follow(&uri, next)?;
            }
            403 => bail!("Could not determine flare URL via redirects: {uri} answers 403"),
            status => bail!("Could not determine flare URL via redirects: {uri} answers {status}"),
        }
    }
    bail!("Could not determine flare URL via redirects: more than {REDIRECTS_MAX}")
}

fn follow(from: &Uri, to: &str) -> anyhow::Result<Uri> {
    let text = if to.starts_with('/') && !to.starts_with("//") {
        let authority = from.authority().context("an address without a host")?;
        format!("{}://{authority}{to}", from.scheme_str().unwrap_or("https"))
    } else {
        to.to_owned()
    };
    let uri: Uri = text
        .parse()
        .with_context(|| format!("{from} redirects to {to:?}, which is no address"))?;
    let is_weaker = from.scheme_str() == Some("https") && uri.scheme_str() != Some("https");
    ensure!(
        !is_weaker && matches!(uri.scheme_str(), Some("http" | "https")),
        "{from} redirects to {to:?}: the archive is not sent there without TLS"
    );
    Ok(uri)
}

async fn post(
    client: &Client,
    target: &Uri,
    api_key: &str,
    letter: &Letter<'_>,
) -> anyhow::Result<String> {
    let boundary = boundary(&letter.archive);
    let mut headers = HeaderMap::new();
    let mut key = HeaderValue::from_str(api_key).context("`api_key` is not a header value")?;
    key.set_sensitive(true);
    headers.insert(API_KEY, key);
    let kind = format!("multipart/form-data; boundary={boundary}");
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&kind)?);
    let body = form(&boundary, letter);
    let (answer, whole) = client.post_whole(target, &headers, body.into()).await;
    let whole = answered(target, answer, whole)?;
    let excerpt = || {
        let text = &whole.body[..whole.body.len().min(EXCERPT_BYTES)];
        String::from_utf8_lossy(text).escape_debug().to_string()
    };
    match whole.status {
        200 => {}
        403 => {
            let end = api_key.len().saturating_sub(5);
            bail!(
                "HTTP 403 Forbidden: Make sure your API key is valid. API Key ending with: {}",
                api_key.get(end..).unwrap_or_default()
            )
        }
        status => bail!("{target} answers HTTP {status}: {}", excerpt()),
    }
    let answer: Value = serde_json::from_slice(&whole.body)
        .map_err(|_| anyhow!("{target} does not answer with JSON: {}", excerpt()))?;
    if let Some(error) = answer["error"].as_str().filter(|error| !error.is_empty()) {
        bail!("{target} refuses the flare: {}", error.escape_debug());
    }
    match &answer["case_id"] {
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) if !text.is_empty() => Ok(text.escape_debug().to_string()),
        _ => bail!("{target} names no case: {}", excerpt()),
    }
}

fn answered(uri: &Uri, answer: Answer, whole: Option<Whole>) -> anyhow::Result<Whole> {
    match (whole, answer) {
        (Some(whole), _) => Ok(whole),
        (None, Answer::Failed { failure, .. }) => Err(anyhow!(
            "cannot reach {uri}: {failure}; the archive stays here"
        )),
        (None, Answer::Status { status, .. }) => bail!("{uri} answers {status}"),
    }
}

/// The fields in the Agent's order.
fn form(boundary: &str, letter: &Letter<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(letter.archive.len() + 2048);
    let field = |out: &mut Vec<u8>, name: &str, value: &str| {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        out.extend_from_slice(head.as_bytes());
    };
    if !letter.case.is_empty() {
        field(&mut out, "case_id", letter.case);
    }
    field(&mut out, "email", letter.email);
    field(&mut out, "source", "cli");
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"flare_file\"; filename=\"greyhound-flare.zip\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&letter.archive);
    out.extend_from_slice(b"\r\n");
    field(&mut out, "agent_version", VERSION);
    field(&mut out, "hostname", letter.hostname);
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

/// A text that does not occur in the archive.
fn boundary(archive: &[u8]) -> String {
    let mut number = u64::from(std::process::id());
    loop {
        let text = format!("greyhound-flare-{number:016x}");
        if !archive
            .windows(text.len())
            .any(|part| part == text.as_bytes())
        {
            return text;
        }
        number += 1;
    }
}

/// A case number as the command line takes it.
pub(super) fn case(text: &str) -> Result<String, String> {
    let is_one = !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match is_one {
        true => Ok(text.to_owned()),
        false => Err("a case is named by letters and digits".to_owned()),
    }
}

/// An address of a person, as far as it can be told.
pub(super) fn email(text: &str) -> Result<String, String> {
    let is_plain = text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.split_once('@') {
        Some((name, host)) if is_plain && !name.is_empty() && !host.is_empty() => {
            Ok(text.to_owned())
        }
        _ => Err("an e-mail address is needed, so that support can answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_redirects_but_not_out_of_tls() {
        let from = address("https://intake.example/", "17").expect("an address");
        assert_eq!(from, "https://intake.example/support/flare/17");
        assert_eq!(
            follow(&from, "/other?x=1").expect("relative"),
            "https://intake.example/other?x=1"
        );
        assert_eq!(
            follow(&from, "https://b.example/f").expect("absolute"),
            "https://b.example/f"
        );
        for wrong in [
            "http://b.example/f",
            "ftp://b.example/f",
            "//b.example/f",
            "",
        ] {
            assert!(follow(&from, wrong).is_err(), "{wrong}");
        }
        assert!(address("ftp://x", "").is_err() && address("", "").is_err());
    }

    #[test]
    fn a_form_has_its_fields_in_order_and_the_archive_whole() {
        let archive = b"PK\r\n--greyhound\0\xff".to_vec();
        let letter = Letter {
            case: "17",
            email: "a@b",
            hostname: "box",
            archive,
        };
        let boundary = boundary(&letter.archive);
        let form = form(&boundary, &letter);
        let text = String::from_utf8_lossy(&form);
        let places: Vec<_> = [
            "case_id",
            "email",
            "source",
            "flare_file",
            "agent_version",
            "hostname",
        ]
        .iter()
        .map(|name| text.find(&format!("name=\"{name}\"")).expect("a field"))
        .collect();
        assert!(places.is_sorted(), "{text}");
        assert!(
            form.windows(letter.archive.len())
                .any(|part| part == letter.archive)
        );
        assert!(text.ends_with(&format!("--{boundary}--\r\n")));
    }

    #[test]
    fn cases_and_addresses_are_checked() {
        assert!(case("123456").is_ok() && case("a/b").is_err() && case("").is_err());
        assert!(email("me@here").is_ok());
        assert!(email("me").is_err() && email("me@here\r\nx").is_err());
    }
}
