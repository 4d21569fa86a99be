//! What an answer means for the payload: gone for good, or kept.

use std::time::Duration;

use crate::client::{Answer, Failure};
use crate::delivery::Judgement;
use crate::sink::Reason;

/// Bounds of what another side may ask for.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Refused keys get rotated; until then one request a minute.
const AUTH_PROBE: Duration = Duration::from_secs(60);

/// What becomes of the payload, and of the breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Accepted.
    Delivered,
    /// Accepted, but for so many points.
    Partly(u64),
    /// Not understood: sent again in another encoding.
    Rewrite,
    /// Refused for good.
    Refused(Reason),
    /// Too large: halved if that is possible, else refused.
    TooLarge,
    /// The key is not accepted: kept, asked again after this long.
    Unauthorized(Duration),
    /// Kept, tried again later; after this long when the other side named it.
    Later(Option<Duration>),
    /// The same, and the payload may have arrived.
    Unknown,
}

/// Reads the table. `now` is in Unix seconds, for `Retry-After` as a date.
pub(super) fn judge(answer: &Answer, drop_on_auth_error: bool, now: i64) -> Verdict {
    match answer {
        Answer::Failed {
            body_sent: true, ..
        } => Verdict::Unknown,
        Answer::Failed { .. } => Verdict::Later(None),
        Answer::Status {
            status,
            retry_after,
            ..
        } => match status {
            200..=299 => Verdict::Delivered,
            400 => Verdict::Refused(Reason::Http400),
            401 | 403 if drop_on_auth_error => Verdict::Refused(Reason::HttpAuth),
            401 | 403 => Verdict::Unauthorized(AUTH_PROBE),
            413 => Verdict::TooLarge,
            // A redirect would take the key elsewhere; an unknown path may be a proxy that is late.
            300..=399 | 404 | 407 | 408 | 425 | 429 | 500.. => Verdict::Later(
                retry_after
                    .as_deref()
                    .and_then(|value| parse_retry_after(value, now)),
            ),
            _ => Verdict::Refused(Reason::HttpOther),
        },
    }
}

/// What the target itself says of an answer.
pub(super) fn of_judgement(judgement: &Judgement) -> Verdict {
    match judgement {
        Judgement::Partly { rejected: 0, words } if words.is_empty() => Verdict::Delivered,
        Judgement::Partly { rejected, .. } => Verdict::Partly(*rejected),
        Judgement::Later(wait, _) => {
            Verdict::Later(wait.map(|wait| wait.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)))
        }
        Judgement::Unauthorized(_) => Verdict::Unauthorized(AUTH_PROBE),
        Judgement::Refused(_) => Verdict::Refused(Reason::HttpOther),
        Judgement::Rewrite => Verdict::Rewrite,
    }
}

/// The answer in words, with a piece of its body; holds no secret of ours.
pub(super) fn words(answer: &Answer) -> String {
    match answer {
        Answer::Failed {
            failure: Failure { text, .. },
            ..
        } => text.clone(),
        Answer::Status {
            status, excerpt, ..
        } => {
            let meaning = match status {
                301 | 302 | 303 | 307 | 308 => " (a redirect, not followed)",
                401 | 403 => " (the key is not accepted)",
                404 => " (no such path there)",
                407 => " (the proxy wants credentials)",
                413 => " (too large)",
                429 => " (too many requests)",
                _ => "",
            };
            match excerpt.is_empty() {
                true => format!("answered {status}{meaning}"),
                false => format!("answered {status}{meaning}: {excerpt}"),
            }
        }
    }
}

/// Seconds, or an HTTP date; clamped. `None` for anything else.
fn parse_retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    let seconds = match value.parse::<i64>() {
        Ok(seconds) => u64::try_from(seconds).ok()?,
        Err(_) if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => u64::MAX,
        Err(_) => u64::try_from(parse_date(value)?.saturating_sub(now)).unwrap_or(0),
    };
    Some(Duration::from_secs(seconds).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in Unix seconds; older forms are not read.
fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.splitn(3, ':');
    let mut part = |max: i64| {
        let value: i64 = clock.next()?.parse().ok()?;
        (0..=max).contains(&value).then_some(value)
    };
    let (hour, minute, second) = (part(23)?, part(59)?, part(60)?);
    if words.next() != Some("GMT") || !(1..=31).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    // Days from the civil calendar, years beginning in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::FailureKind;

    fn status(status: u16, retry_after: Option<&str>) -> Answer {
        Answer::Status {
            status,
            retry_after: retry_after.map(str::to_owned),
            excerpt: String::new(),
        }
    }

    #[test]
    fn every_answer_has_its_verdict() {
        let later = Verdict::Later(None);
        for (code, verdict) in [
            (200, Verdict::Delivered),
            (202, Verdict::Delivered),
            (301, later.clone()),
            (308, later.clone()),
            (400, Verdict::Refused(Reason::Http400)),
            (401, Verdict::Unauthorized(AUTH_PROBE)),
            (403, Verdict::Unauthorized(AUTH_PROBE)),
            (404, later.clone()),
            (408, later.clone()),
            (410, Verdict::Refused(Reason::HttpOther)),
            (413, Verdict::TooLarge),
            (422, Verdict::Refused(Reason::HttpOther)),
            (425, later.clone()),
            (429, later.clone()),
            (500, later.clone()),
            (503, later),
        ] {
            assert_eq!(judge(&status(code, None), false, 0), verdict, "{code}");
        }
        let like_the_agent = judge(&status(403, None), true, 0);
        assert_eq!(like_the_agent, Verdict::Refused(Reason::HttpAuth));
        for (body_sent, verdict) in [(true, Verdict::Unknown), (false, Verdict::Later(None))] {
            let answer = Answer::Failed {
                failure: Failure {
                    kind: FailureKind::Timeout,
                    text: String::new(),
                },
                body_sent,
            };
            assert_eq!(judge(&answer, false, 0), verdict);
        }
    }

    #[test]
    fn retry_after_is_obeyed_within_bounds_and_garbage_ignored() {
        let now = 784_111_700;
        for (value, seconds) in [
            ("5", Some(5)),
            ("0", Some(1)),
            ("1000000000", Some(300)),
            ("99999999999999999999", Some(300)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(77)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ] {
            assert_eq!(
                judge(&status(429, Some(value)), false, now),
                Verdict::Later(seconds.map(Duration::from_secs)),
                "{value}"
            );
        }
    }
}
