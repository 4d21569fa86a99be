//! From sources to a store, a typed read-out and a report; or to all that is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::env::{self, Variables};
use crate::error::{SetError, SettingsError};
use crate::file;
use crate::layer::Layer;
use crate::place::Place;
use crate::report::nearest::Nearest;
use crate::report::{Report, UnsupportedKey};
use crate::secrets::Secrets;
use crate::settings::{SecretBackend, Settings};
use crate::store::Store;
use crate::table::Applies;

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named on the command line.
    pub file: Option<PathBuf>,
    /// What to do when neither the command line nor the environment names a file.
    pub default_file: DefaultFile,
    /// Environment variables; see [`env::from_process`].
    pub environment: Variables,
    /// Settings given as flags, in order; later ones win.
    pub flags: Vec<Flag>,
    /// What handles were found to stand for.
    pub secrets: Secrets,
}

/// Whether the usual places are searched for a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultFile {
    /// Take the first of [`file::DEFAULT_PATHS`] that can be read.
    #[default]
    Search,
    /// Start without a file.
    None,
}

/// One setting from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As typed, for messages: `--set`, `--print`.
    pub name: String,
    /// The setting.
    pub key: String,
    /// Its value in the notation of the environment.
    pub text: String,
}

/// Settings that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Values with their origins, for listings and later changes.
    pub store: Store,
    /// The same, typed.
    pub settings: Settings,
    /// What is worth a word.
    pub report: Report,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Reads all sources. Blocks on the file, and on the program that resolves secrets when the settings
/// name handles it was not asked for yet.
///
/// # Errors
/// Every wrong value and every unreadable source, together.
pub fn load(sources: &Sources) -> Result<Loaded, SettingsError> {
    let path = choose_file(sources);
    let (mut store, mut report, mut error) = layers(sources, |store, report, error| {
        if let Some(path) = &path {
            file::load(path, store, report, error);
        }
    });
    if error.is_empty() {
        let backend = SecretBackend::read(&store);
        sources.secrets.resolve(&backend, &mut store, &mut error);
    }
    finish(store, &mut report, error, path)
}

/// The same with the file's text at hand: for tests, editors and fuzzing. No file is read, no program
/// is run, and handles of secrets stay as they are.
///
/// # Errors
/// As [`load`].
pub fn load_text(text: &str, name: &Path, sources: &Sources) -> Result<Loaded, SettingsError> {
    let path: Arc<Path> = Arc::from(name);
    let (store, mut report, error) = layers(sources, |store, report, error| {
        file::load_text(text, &path, store, report, error);
    });
    finish(store, &mut report, error, Some(name.to_owned()))
}

fn choose_file(sources: &Sources) -> Option<PathBuf> {
    let from_environment = || {
        let named = sources
            .environment
            .iter()
            .rev()
            .find(|(name, _)| name == env::CONFIG_FILE);
        named
            .map(|(_, path)| PathBuf::from(path))
            .filter(|path| !path.as_os_str().is_empty())
    };
    let from_search = || match sources.default_file {
        DefaultFile::Search => file::find_default(),
        DefaultFile::None => None,
    };
    sources
        .file
        .clone()
        .or_else(from_environment)
        .or_else(from_search)
}

fn layers(
    sources: &Sources,
    load_file: impl FnOnce(&mut Store, &mut Report, &mut SettingsError),
) -> (Store, Report, SettingsError) {
    let mut store = Store::new();
    let mut report = Report::default();
    let mut error = SettingsError::default();
    load_file(&mut store, &mut report, &mut error);
    env::load(&sources.environment, &mut store, &mut report, &mut error);
    load_flags(&sources.flags, &mut store, &mut error);
    (store, report, error)
}

fn finish(
    store: Store,
    report: &mut Report,
    error: SettingsError,
    file: Option<PathBuf>,
) -> Result<Loaded, SettingsError> {
    if !error.is_empty() {
        return Err(error);
    }
    let settings = Settings::read(&store, report);
    for resolved in store.iter() {
        if resolved.row.applies == Applies::NoEffect && !resolved.is_default() {
            let place = resolved.place.into_owned();
            report.unsupported.push(UnsupportedKey {
                key: resolved.row.key,
                place,
            });
        }
    }
    Ok(Loaded {
        store,
        settings,
        report: std::mem::take(report),
        file,
    })
}

/// A flag is typed for this program alone, so an unknown key there is an error.
fn load_flags(flags: &[Flag], store: &mut Store, error: &mut SettingsError) {
    for flag in flags {
        let place = Place::Flag {
            name: flag.name.clone(),
        };
        match store.set_text(
            &flag.key.to_lowercase(),
            Layer::Cli,
            &flag.text,
            place.clone(),
        ) {
            Ok(_) => {}
            Err(SetError::Wrong(problem)) => error.push(problem),
            Err(SetError::UnknownKey(_) | SetError::DefaultLayer(_)) => {
                let mut expected = "is not a setting".to_owned();
                if let Some(nearest) = Nearest::keys().find(&flag.key) {
                    expected.push_str(&format!(", did you mean `{nearest}`?"));
                }
                let (key, value) = (flag.key.clone(), String::new());
                error.push(crate::error::Problem {
                    place,
                    key,
                    value,
                    expected,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
