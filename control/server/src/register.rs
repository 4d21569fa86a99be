//! What the server sees of the rest of the program: small traits, owned here. Their adapters stand in the
//! binary, so this crate can be read, built and tested alone.

use std::path::PathBuf;

use serde_json::Value;

use crate::rest::Route;

/// One section of the status page. Called on a blocking thread; must not wait for the data plane.
pub trait StatusSection: Send + Sync {
    /// Lower case, one word: the name in `/agent/{component}/status`.
    fn name(&self) -> &str;
    /// Its content for programs.
    fn json(&self, verbose: bool) -> Value;
    /// Its content for people, without title; empty = left out of the page.
    fn text(&self, verbose: bool) -> String;
    /// What an operator should know first.
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// Something wrong, and what cures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub what: String,
    /// The setting or command that cures it.
    pub cure: String,
}

/// How bad a [`Problem`] is; the worst sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Data is lost, or nothing works.
    Critical,
    /// Data may be lost soon, or something asked for is off.
    Warning,
    /// Worth knowing.
    Note,
}

/// Gives files to a flare. Called on a blocking thread.
pub trait FlareSource: Send + Sync {
    /// For messages about this source.
    fn name(&self) -> &str;
    /// Adds its files.
    fn collect(&self, into: &mut FlareFiles);
}

/// Files of a flare before scrubbing, held in memory and bounded.
#[derive(Debug)]
pub struct FlareFiles {
    files: Vec<(String, Vec<u8>)>,
    left_bytes: usize,
    /// Files that were cut or left out.
    cut: Vec<String>,
}

/// One part of the process that can be well or not.
pub trait HealthCheck: Send + Sync {
    /// The name in `/agent/status/health`.
    fn name(&self) -> &str;
    /// Cheap: called for every probe.
    fn is_healthy(&self) -> bool;
}

/// Routes of one subsystem, added to the table at start.
pub trait RouteGroup: Send + Sync {
    /// Called once.
    fn routes(&self) -> Vec<Route>;
}

/// What the process can be asked and told.
pub trait Commands: Send + Sync {
    /// Begins an orderly stop; returns at once.
    fn stop(&self);
    /// The host name everything is flushed under; empty when unknown.
    fn hostname(&self) -> String;
    /// What runs.
    fn version(&self) -> Version;
}

/// Version of the running program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number.
    pub minor: u64,
    /// Third number.
    pub patch: u64,
    /// Behind a `-`; empty = a release.
    pub pre: String,
    /// Behind a `+`.
    pub meta: String,
    /// Commit it was built from, when known.
    pub commit: String,
}

/// Statistics about each metric, as `dogstatsd-stats` shows them.
pub trait DogstatsdStats: Send + Sync {
    /// Context key to `{name, count, last_seen, tags}`.
    ///
    /// # Errors
    /// Why there are none.
    fn stats(&self) -> Result<Value, NoStats>;
}

/// Why there are no statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStats {
    /// DogStatsD is off.
    NoServer,
    /// Statistics are off (`dogstatsd_metrics_stats_enable`).
    NotEnabled,
}

/// The live contexts, as `dogstatsd-contexts-*` asks for them. Called on a blocking thread.
pub trait Contexts: Send + Sync {
    /// Writes the dump and names its file.
    ///
    /// # Errors
    /// One line for the caller.
    fn dump(&self) -> Result<PathBuf, String>;
    /// Names with the most contexts.
    ///
    /// # Errors
    /// One line for the caller.
    fn top(&self, query: &TopContexts) -> Result<Value, String>;
}

/// What `dogstatsd-contexts-top` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopContexts {
    /// Names to list.
    pub metrics: usize,
    /// Tags to list for each.
    pub tags: usize,
    /// Read the last dump instead of the live contexts.
    pub from_dump: bool,
}

// === impl FlareFiles ===

impl FlareFiles {
    /// Bytes of one file; of a longer one the end is kept.
    pub const FILE_BYTES_MAX: usize = 50 << 20;
    /// Bytes of all files.
    pub const BYTES_MAX: usize = 200 << 20;

    /// No files yet.
    pub fn new() -> Self {
        Self {
            files: Vec::new(),
            left_bytes: Self::BYTES_MAX,
            cut: Vec::new(),
        }
    }

    /// Adds a file. `path` is relative, with `/` between its parts; whoever writes the archive checks it.
    pub fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        let (path, mut bytes) = (path.into(), bytes.into());
        let kept = bytes.len().min(Self::FILE_BYTES_MAX).min(self.left_bytes);
        if kept < bytes.len() {
            bytes.drain(..bytes.len() - kept);
            self.cut.push(path.clone());
        }
        self.left_bytes -= kept;
        self.files.push((path, bytes));
    }

    /// Paths of files that are not there whole.
    pub fn cut(&self) -> &[String] {
        &self.cut
    }

    /// The files, in the order they came.
    pub fn into_files(self) -> Vec<(String, Vec<u8>)> {
        self.files
    }
}

impl Default for FlareFiles {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_keeps_its_end_and_is_named() {
        let mut files = FlareFiles::new();
        let mut long = vec![b'a'; FlareFiles::FILE_BYTES_MAX];
        long.extend_from_slice(b"end");
        files.add("log/long", long);
        files.add("short", "x");
        assert_eq!(files.cut(), ["log/long"]);
        let files = files.into_files();
        assert_eq!(files[0].1.len(), FlareFiles::FILE_BYTES_MAX);
        assert!(files[0].1.ends_with(b"end"));
        assert_eq!(files[1], ("short".to_owned(), b"x".to_vec()));
    }

    #[test]
    fn all_files_together_are_bounded() {
        let mut files = FlareFiles::new();
        for n in 0..5 {
            files.add(format!("{n}"), vec![0; FlareFiles::FILE_BYTES_MAX]);
        }
        assert_eq!(files.cut(), ["4"]);
        assert!(files.into_files()[4].1.is_empty());
    }
}
