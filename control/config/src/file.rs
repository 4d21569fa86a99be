//! The settings file: `datadog.yaml`, or one of our own in the same format.
//!
//! Nested maps and dotted names mean the same: `a: {b: 1}` and `a.b: 1`. Keys are matched without
//! regard to case. A key of nobody's is reported once, at the highest name that leads nowhere.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Problem, SettingsError};
use crate::kind::read;
use crate::layer::Layer;
use crate::node::{Body, Mark, Node};
use crate::place::Place;
use crate::report::Report;
use crate::report::nearest::Nearest;
use crate::store::{self, Assignment, Store};
use crate::table::{self, Named};
use crate::yaml;

/// Longest file read.
pub const FILE_LEN_BYTES_MAX: usize = 1 << 20;

/// Files tried when none is named, in this order.
pub const DEFAULT_PATHS: [&str; 2] = [
    "/etc/greyhound/greyhound.yaml",
    "/etc/datadog-agent/datadog.yaml",
];

/// Walks a document and sorts what it finds.
struct Walk<'a> {
    path: &'a Arc<Path>,
    names: Nearest,
    /// Where each row was set, to notice the second time.
    seen: HashMap<usize, Mark>,
    assignments: Vec<Assignment>,
    report: &'a mut Report,
    error: &'a mut SettingsError,
}

/// The first of the usual files that can be opened.
pub(crate) fn find_default() -> Option<PathBuf> {
    DEFAULT_PATHS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file() && File::open(path).is_ok())
}

/// The file's tree with every scalar as the text it was written as; `None` when it is no YAML. For showing
/// a file without its secrets.
pub fn tree(text: &str) -> Option<serde_json::Value> {
    yaml::parse(text).ok().map(Node::into_json)
}

/// Reads a file into its layer. Problems are added to `error`, and nothing is assigned then.
pub(crate) fn load(path: &Path, store: &mut Store, report: &mut Report, error: &mut SettingsError) {
    let shared: Arc<Path> = Arc::from(path);
    match read_text(path) {
        Ok(text) => load_text(&text, &shared, store, report, error),
        Err(problem) => error.push(source_problem(&shared, problem.0, problem.1)),
    }
}

/// The same for text that is already here.
pub(crate) fn load_text(
    text: &str,
    path: &Arc<Path>,
    store: &mut Store,
    report: &mut Report,
    error: &mut SettingsError,
) {
    let root = match yaml::parse(text) {
        Ok(root) => root,
        Err(refused) => return error.push(source_problem(path, refused.at, refused.message)),
    };
    let mut walk = Walk {
        path,
        names: Nearest::keys(),
        seen: HashMap::new(),
        assignments: Vec::new(),
        report,
        error,
    };
    walk.enter("", root);
    let assignments = walk.assignments;
    if error.is_empty() {
        for assignment in assignments {
            store.assign(assignment, Layer::File);
        }
    }
}

/// Reads at most [`FILE_LEN_BYTES_MAX`], as text.
fn read_text(path: &Path) -> Result<String, (Mark, String)> {
    let whole = Mark::default();
    let cannot_read = |error: io::Error| (whole, format!("cannot read the settings file: {error}"));
    let metadata = std::fs::metadata(path).map_err(cannot_read)?;
    if metadata.is_dir() {
        return Err((whole, "is a directory, expected a settings file".to_owned()));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_LEN_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(path)
        .map_err(cannot_read)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    if bytes.len() > FILE_LEN_BYTES_MAX {
        return Err((whole, format!("longer than {FILE_LEN_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = before.iter().filter(|&&byte| byte == b'\n').count();
        let columns = String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count();
        let at = Mark {
            line: u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1),
            column: u32::try_from(columns).unwrap_or(u32::MAX).saturating_add(1),
        };
        (at, "not UTF-8 text".to_owned())
    })
}

fn source_problem(path: &Arc<Path>, at: Mark, expected: String) -> Problem {
    let place = Place::File {
        path: Arc::clone(path),
        at,
    };
    Problem {
        place,
        key: String::new(),
        value: String::new(),
        expected,
    }
}

// === impl Walk ===

impl Walk<'_> {
    /// Takes the node found under `prefix`, which leads to settings but is none.
    fn enter(&mut self, prefix: &str, node: Node) {
        let entries = match node.body {
            Body::Map(entries) => entries,
            Body::Null => return,
            Body::Scalar(_) | Body::List(_) => {
                let expected = "expected a mapping of settings".to_owned();
                let value = node.shown();
                let key = prefix.to_owned();
                let place = self.place(node.at);
                let problem = if prefix.is_empty() {
                    let expected = format!("the file holds {value}, {expected}");
                    Problem {
                        place,
                        key,
                        value: String::new(),
                        expected,
                    }
                } else {
                    let expected = "a mapping of settings".to_owned();
                    Problem {
                        place,
                        key,
                        value,
                        expected,
                    }
                };
                return self.error.push(problem);
            }
        };
        for entry in entries {
            let name = entry.key.to_lowercase();
            let path = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            match table::table().named(&path) {
                Named::Row(index) => self.assign(index, entry.at, &entry.value),
                Named::Prefix => self.enter(&path, entry.value),
                Named::Unknown => {
                    let place = self.place(entry.at);
                    self.report.push_unknown(&path, place, &self.names);
                }
            }
        }
    }

    fn assign(&mut self, index: usize, key_at: Mark, node: &Node) {
        let row = table::table().rows()[index];
        if let Some(first) = self.seen.insert(index, key_at) {
            let expected = format!("set a second time, first at line {}", first.line);
            let place = self.place(key_at);
            let key = row.key.to_owned();
            return self.error.push(Problem {
                place,
                key,
                value: String::new(),
                expected,
            });
        }
        if node.body == Body::Null {
            return;
        }
        let mut asides = Vec::new();
        let read = read::value(&row.kind, node, &mut asides);
        for aside in &asides {
            self.report
                .push_aside(row.key, self.place(aside.mismatch.at), aside);
        }
        match read {
            Ok(value) => {
                let place = self.place(node.at);
                self.assignments.push(Assignment {
                    index,
                    place,
                    value,
                });
            }
            Err(mismatch) => {
                let place = self.place(mismatch.at);
                self.error
                    .push(store::wrong(row, place, mismatch.shown, mismatch.expected));
            }
        }
    }

    fn place(&self, at: Mark) -> Place {
        Place::File {
            path: Arc::clone(self.path),
            at,
        }
    }
}
