//! Settings from environment variables: `DD_` names for every key, `GREYHOUND_` names for ours.
//!
//! The variables are an argument; [`from_process`] is the one place that looks at the real ones.
//! An empty `DD_` variable counts as not set, as in the Agent. An empty `GREYHOUND_` one is a value
//! where the setting takes an empty text, so that a default can be switched off.

use std::collections::HashMap;
use std::ffi::OsString;

use crate::error::SettingsError;
use crate::layer::Layer;
use crate::place::Place;
use crate::report::Report;
use crate::report::nearest::Nearest;
use crate::store::{self, Assignment, Store};
use crate::table;

/// The variable that names the settings file.
pub const CONFIG_FILE: &str = "GREYHOUND_CONFIG";

/// Names under our prefix that are not settings.
const NOT_SETTINGS: [&str; 7] = [
    CONFIG_FILE,
    "GREYHOUND_READY_FILE",
    "GREYHOUND_VECTORS",
    "GREYHOUND_BLESS",
    "GREYHOUND_BIN",
    "GREYHOUND_NO_SKIP",
    "GREYHOUND_HARNESS_INSIDE",
];

/// Variables, later ones winning.
pub type Variables = Vec<(OsString, OsString)>;

/// The variables of this process.
pub fn from_process() -> Variables {
    std::env::vars_os().collect()
}

/// Reads the variables that are settings into their layer.
pub(crate) fn load(
    variables: &Variables,
    store: &mut Store,
    report: &mut Report,
    error: &mut SettingsError,
) {
    let mut texts: HashMap<&str, &OsString> = HashMap::new();
    let mut unknown: Vec<&str> = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        if table::table().index_of_env(name).is_some() {
            texts.insert(name, value);
        } else if !NOT_SETTINGS.contains(&name) {
            unknown.push(name);
        }
    }
    report_unknown(unknown, report);

    for (index, row) in table::table().rows().iter().enumerate() {
        for name in row.env_names() {
            let Some(value) = texts.get(name.as_str()) else {
                continue;
            };
            let place = Place::Environment { name: name.clone() };
            let Some(text) = value.to_str() else {
                let shown = "text that is not UTF-8".to_owned();
                error.push(store::wrong(row, place, shown, row.kind.describe()));
                break;
            };
            if text.is_empty() && !(name.starts_with("GREYHOUND_") && row.kind.takes_empty()) {
                continue;
            }
            let mut asides = Vec::new();
            let read = row.read_text_leniently(text, &mut asides);
            for aside in &asides {
                report.push_aside(row.key, place.clone(), aside);
            }
            match read {
                Ok(value) => {
                    store.assign(
                        Assignment {
                            index,
                            place,
                            value,
                        },
                        Layer::Environment,
                    );
                }
                Err(mismatch) => {
                    error.push(store::wrong(row, place, mismatch.shown, mismatch.expected));
                }
            }
            break;
        }
    }
}

/// Ours and DogStatsD's names are reported in any case; other `DD_` variables belong to tracers and
/// client libraries, so only those that look like a slip.
fn report_unknown(mut unknown: Vec<&str>, report: &mut Report) {
    const CLOSELY_OURS: [&str; 4] = ["GREYHOUND_", "DD_GREYHOUND_", "DD_DOGSTATSD_", "DD_STATSD_"];
    unknown.retain(|name| name.starts_with("DD_") || name.starts_with("GREYHOUND_"));
    if unknown.is_empty() {
        return;
    }
    unknown.sort_unstable();
    let names = Nearest::environment();
    for name in unknown {
        let is_ours = CLOSELY_OURS.iter().any(|prefix| name.starts_with(prefix))
            && !NAMES_OF_CLIENTS.contains(&name);
        let is_slip =
            name.len() >= 10 && !NAMES_OF_CLIENTS.contains(&name) && names.find(name).is_some();
        if is_ours || is_slip {
            let place = Place::Environment {
                name: name.to_owned(),
            };
            report.push_unknown(name, place, &names);
        }
    }
}

/// Read by DogStatsD clients and tracers, so they may stand in our environment too.
const NAMES_OF_CLIENTS: [&str; 10] = [
    "DD_DOGSTATSD_HOST",
    "DD_DOGSTATSD_URL",
    "DD_DOGSTATSD_DISABLE",
    "DD_DOGSTATSD_PATH",
    "DD_DOGSTATSD_START_DELAY",
    "DD_ENTITY_ID",
    "DD_EXTERNAL_ENV",
    "DD_SERVICE",
    "DD_VERSION",
    "DD_ORIGIN_DETECTION_ENABLED",
];
