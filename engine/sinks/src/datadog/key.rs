//! Whether the key is accepted, asked at the start and once in a while. The answer is for people:
//! nothing is held back because of it.

use std::sync::Weak;
use std::time::Duration;

use hyper::header::HeaderMap;
use tracing::{info, warn};

use super::intake::Intake;
use super::join;
use crate::client::{Answer, Client};

/// The check asks again this soon when nobody answered.
const SOON: Duration = Duration::from_secs(60);

/// Asks until the destination is gone.
pub(super) async fn check(intake: Weak<Intake>, client: Client, url: String, every: Duration) {
    let Some(uri) = join(&url, "/api/v1/validate") else {
        return;
    };
    let mut before = None;
    loop {
        let Some(intake) = intake.upgrade() else {
            return;
        };
        let mut headers = HeaderMap::new();
        headers.insert(Intake::key_header(), intake.key());
        let end = intake.key_end();
        let verdict = match client.get(&uri, &headers).await {
            Answer::Status {
                status: 200..=299, ..
            } => Some(true),
            Answer::Status {
                status: 401 | 403, ..
            } => Some(false),
            Answer::Status { .. } | Answer::Failed { .. } => None,
        };
        match verdict {
            Some(true) => intake.note_key(None),
            Some(false) => intake.note_key(Some(format!(
                "the API key ending in {end} is not accepted; set `api_key`"
            ))),
            None => {}
        }
        if verdict.is_some() && verdict != before {
            match verdict {
                Some(true) => info!(url, key_end = %end, "the API key is accepted"),
                _ => warn!(url, key_end = %end, "the API key is not accepted; data is kept"),
            }
            before = verdict;
        }
        drop(intake);
        let wait = match verdict {
            Some(_) => every.max(SOON),
            None => SOON,
        };
        tokio::time::sleep(wait).await;
    }
}
