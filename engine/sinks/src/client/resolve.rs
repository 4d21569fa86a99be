//! Names to addresses, never waiting for long.
//!
//! A look-up may hang in the C library for tens of seconds; it does so on a thread of its own, one at
//! a time, and is given up after 5 s. Addresses that once worked are used for 5 minutes while the
//! resolver is silent. A failure is remembered for a second, so that retries do not storm it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Mutex;
use tower_service::Service;

const PATIENCE: Duration = Duration::from_secs(5);
const FRESH: Duration = Duration::from_secs(1);
const LAST_GOOD: Duration = Duration::from_secs(300);

/// Names at most; destinations and proxies are a handful.
const NAMES_MAX: usize = 64;

/// Looks names up; clones share what they know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver {
    known: Arc<Mutex<HashMap<String, Known>>>,
}

/// What is known of a name.
#[derive(Clone, Debug)]
struct Known {
    asked_at: Instant,
    good_at: Option<Instant>,
    addresses: Vec<SocketAddr>,
    error: Option<String>,
}

/// There is no address.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve {name}: {why}")]
pub(crate) struct ResolveError {
    name: String,
    why: String,
}

// === impl Resolver ===

impl Resolver {
    async fn resolve(self, name: String) -> Result<std::vec::IntoIter<SocketAddr>, ResolveError> {
        // Held while looking up: one hanging look-up is enough.
        let mut known = self.known.lock().await;
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        let before = known.get(&name).cloned();
        if let Some(before) = before
            .as_ref()
            .filter(|known| known.asked_at.elapsed() < FRESH)
        {
            return before.answer(&name);
        }
        let found = look_up(&name).await;
        let now = Instant::now();
        let entry = match found {
            Ok(addresses) => Known {
                asked_at: now,
                good_at: Some(now),
                addresses,
                error: None,
            },
            Err(why) => {
                let good = before
                    .filter(|known| known.good_at.is_some_and(|good| good.elapsed() < LAST_GOOD));
                Known {
                    asked_at: now,
                    good_at: good.as_ref().and_then(|known| known.good_at),
                    addresses: good.map(|known| known.addresses).unwrap_or_default(),
                    error: Some(why),
                }
            }
        };
        let answer = entry.answer(&name);
        known.insert(name, entry);
        answer
    }
}

impl Known {
    fn answer(&self, name: &str) -> Result<std::vec::IntoIter<SocketAddr>, ResolveError> {
        if self.addresses.is_empty() {
            return Err(ResolveError {
                name: name.to_owned(),
                why: self
                    .error
                    .clone()
                    .unwrap_or_else(|| "no address".to_owned()),
            });
        }
        Ok(self.addresses.clone().into_iter())
    }
}

async fn look_up(name: &str) -> Result<Vec<SocketAddr>, String> {
    // The port is filled in by the connector.
    let found: Result<_, io::Error> =
        match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, 0))).await {
            Ok(found) => found,
            Err(_) => return Err("the resolver does not answer".to_owned()),
        };
    found
        .map(Iterator::collect)
        .map_err(|error| error.to_string())
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().resolve(name.as_str().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_address_is_an_error_that_names_it() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let resolver = Resolver::default();
        let error = runtime
            .block_on(resolver.clone().resolve("nowhere.invalid".to_owned()))
            .expect_err("reserved for being nothing");
        assert!(error.to_string().contains("nowhere.invalid"), "{error}");
        let again = runtime.block_on(async {
            let mut known = resolver.known.lock().await;
            let entry = known.get_mut("nowhere.invalid").expect("remembered");
            entry.addresses = vec!["127.0.0.1:0".parse().expect("an address")];
            entry.good_at = Some(Instant::now());
            entry.asked_at = Instant::now()
                .checked_sub(FRESH * 2)
                .expect("the machine runs longer");
            drop(known);
            resolver.clone().resolve("nowhere.invalid".to_owned()).await
        });
        let addresses = again.expect("the last good addresses are used").count();
        assert_eq!(addresses, 1);
    }
}
