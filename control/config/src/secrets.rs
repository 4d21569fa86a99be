//! Values of the form `ENC[handle]`: fetched from the program of `secret_backend_command`, once, and
//! put into a layer of their own above the one that names the handle.
//!
//! ```text
//!  file, environment: ENC[a] ─▶ handles ─▶ cache? ─ no ─▶ backend: {"secrets":["a"]} on its stdin
//!                                  └────── yes ─▶ layer `secret` ◀── {"a":{"value":…}} ──┘
//! ```
//!
//! Only the value that counts is looked at, and only where a setting takes text: a credential, a
//! text, an item of a list, a key of an endpoint. Handles may be shown; what they stand for is seen by
//! nobody but the setting.

mod backend;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Problem, SettingsError};
use crate::layer::Layer;
use crate::place::Place;
use crate::secret::Secret;
use crate::settings::SecretBackend;
use crate::store::{Assignment, Store};
use crate::table;
use crate::value::Value;

/// Handles of one set of settings; a foreign file must not start a program with a million arguments.
const HANDLES_MAX: usize = 1000;

/// What has been fetched. Clones are the same cache.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Arc<Mutex<Cache>>);

/// What is known of secrets, without any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretReport {
    /// Every handle the settings name.
    pub handles: Vec<Handle>,
    /// Why the last attempt failed; `None` after one that did not.
    pub last_error: Option<String>,
}

/// One handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// What stands between the brackets.
    pub name: String,
    /// Which settings name it, and where.
    pub users: Vec<(&'static str, Place)>,
}

#[derive(Debug, Default)]
struct Cache {
    values: BTreeMap<String, Secret>,
    /// Fetch everything at the next occasion.
    is_stale: bool,
    report: SecretReport,
}

// === impl Secrets ===

impl Secrets {
    /// At the next load everything is fetched again.
    pub fn forget(&self) {
        self.cache().is_stale = true;
    }

    /// What is known.
    pub fn report(&self) -> SecretReport {
        self.cache().report.clone()
    }

    /// Puts what handles stand for into their layer. Blocks while the program runs.
    pub(crate) fn resolve(
        &self,
        backend: &SecretBackend,
        store: &mut Store,
        error: &mut SettingsError,
    ) {
        let found = find(store);
        let wanted: BTreeSet<&str> = found
            .iter()
            .flat_map(|used| used.handles.iter())
            .map(String::as_str)
            .collect();
        let missing = self.missing(&found, &wanted);
        if found.is_empty() || backend.command.as_os_str().is_empty() {
            return;
        }
        if wanted.len() > HANDLES_MAX {
            let why = format!("more than {HANDLES_MAX} secret handles");
            return self.refuse(&found, &why, error);
        }
        // Nobody who asks for the report waits for the program.
        let fetched = match missing.is_empty() {
            true => Ok(BTreeMap::new()),
            false => backend::fetch(backend, &missing),
        };
        let mut cache = match fetched {
            Ok(fetched) => {
                let mut cache = self.cache();
                cache.values.extend(fetched);
                cache
            }
            Err(failed) => return self.refuse(&found, &failed.to_string(), error),
        };
        cache
            .values
            .retain(|name, _| wanted.contains(name.as_str()));
        for used in &found {
            let value = used.resolved(&cache.values);
            let names: Vec<&str> = used.handles.iter().map(String::as_str).collect();
            let place = Place::Other {
                name: format!("secret {}", names.join(", ")),
            };
            let kind = &table::table().rows()[used.index].kind;
            if kind.accepts(&value) {
                let assignment = Assignment {
                    index: used.index,
                    place,
                    value,
                };
                store.assign(assignment, Layer::Secret);
            } else {
                let why = format!("what it stands for is not {}", kind.describe());
                used.refuse(&why, error);
            }
        }
    }

    /// Notes what is asked for, and says what of it has to be fetched.
    fn missing<'w>(&self, found: &[Use], wanted: &BTreeSet<&'w str>) -> Vec<&'w str> {
        let mut cache = self.cache();
        let is_stale = std::mem::take(&mut cache.is_stale);
        cache.report = SecretReport {
            handles: by_handle(found),
            last_error: None,
        };
        wanted
            .iter()
            .copied()
            .filter(|handle| is_stale || !cache.values.contains_key(*handle))
            .collect()
    }

    fn refuse(&self, found: &[Use], why: &str, error: &mut SettingsError) {
        self.cache().report.last_error = Some(why.to_owned());
        for used in found {
            used.refuse(why, error);
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what a backend printed; the error is what would be shown. For fuzzing.
///
/// # Errors
/// The answer is none, or lacks a handle.
#[cfg(feature = "fuzzing")]
pub fn read_answer(
    backend: &SecretBackend,
    handles: &[&str],
    answer: &[u8],
) -> Result<BTreeMap<String, Secret>, String> {
    backend::read(backend, handles, answer).map_err(|error| error.to_string())
}

/// A row whose value that counts names handles.
struct Use {
    index: usize,
    place: Place,
    value: Value,
    handles: Vec<String>,
}

fn find(store: &Store) -> Vec<Use> {
    let mut found = Vec::new();
    for (index, resolved) in store.iter().enumerate() {
        let mut handles = Vec::new();
        let mut note = |text: &str| handles.extend(handle(text).map(str::to_owned));
        match resolved.value {
            Value::Text(text) => note(text),
            Value::Secret(secret) => note(secret.reveal()),
            Value::List(items) => items.iter().for_each(|item| note(item)),
            Value::Endpoints(endpoints) => endpoints
                .iter()
                .flat_map(|(_, keys)| keys)
                .for_each(|key| note(key.reveal())),
            _ => {}
        }
        if !handles.is_empty() && resolved.layer < Layer::Secret {
            found.push(Use {
                index,
                place: resolved.place.into_owned(),
                value: resolved.value.clone(),
                handles,
            });
        }
    }
    found
}

/// What stands between `ENC[` and `]`.
fn handle(text: &str) -> Option<&str> {
    text.trim().strip_prefix("ENC[")?.strip_suffix(']')
}

fn by_handle(found: &[Use]) -> Vec<Handle> {
    let mut handles: BTreeMap<&str, Vec<(&'static str, Place)>> = BTreeMap::new();
    for used in found {
        let key = table::table().rows()[used.index].key;
        for handle in &used.handles {
            let users = handles.entry(handle).or_default();
            users.push((key, used.place.clone()));
        }
    }
    handles
        .into_iter()
        .map(|(name, users)| Handle {
            name: name.to_owned(),
            users,
        })
        .collect()
}

// === impl Use ===

impl Use {
    /// The value with every handle replaced. All handles are in `values`.
    fn resolved(&self, values: &BTreeMap<String, Secret>) -> Value {
        let text = |text: &str| {
            let secret = handle(text).and_then(|handle| values.get(handle));
            secret.map_or(text, Secret::reveal).to_owned()
        };
        let secret = |secret: &Secret| Secret::new(text(secret.reveal()));
        match &self.value {
            Value::Text(own) => Value::Text(text(own)),
            Value::Secret(own) => Value::Secret(secret(own)),
            Value::List(items) => Value::List(items.iter().map(|item| text(item)).collect()),
            Value::Endpoints(endpoints) => Value::Endpoints(
                endpoints
                    .iter()
                    .map(|(url, keys)| (url.clone(), keys.iter().map(secret).collect()))
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    fn refuse(&self, why: &str, error: &mut SettingsError) {
        let names: Vec<String> = self
            .handles
            .iter()
            .map(|handle| format!("ENC[{handle}]"))
            .collect();
        error.push(Problem {
            place: self.place.clone(),
            key: table::table().rows()[self.index].key.to_owned(),
            value: String::new(),
            expected: format!("{} cannot be resolved: {why}", names.join(" ")),
        });
    }
}

#[cfg(test)]
mod tests;
