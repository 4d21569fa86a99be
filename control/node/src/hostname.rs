//! Which host the engine says it is.
//!
//! In order: the `hostname` setting (file or `DD_HOSTNAME`), the first line of `hostname_file`, the
//! kernel's name. Each has to be a name of RFC 1123 that says more than "this machine itself"; one that
//! is not is passed over with a warning, as the Agent does. The kernel's name is taken as it is when
//! nothing better is known, because a wrong name on a gauge is better than no gauge.

use std::fmt;
use std::path::{Path, PathBuf};

const KERNEL_NAME_FILE: &str = "/proc/sys/kernel/hostname";
const LEN_MAX: usize = 255;
const LABEL_LEN_MAX: usize = 63;
const LAST_RESORT: &str = "localhost";

/// Names that every machine has.
const LOCAL_NAMES: [&str; 4] = [
    "localhost",
    "localhost.localdomain",
    "localhost6.localdomain6",
    "ip6-localhost",
];

/// A host name, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname {
    /// The name.
    pub name: String,
    /// Where it was found.
    pub source: Source,
    /// Names that were passed over, each with the reason.
    pub refused: Vec<String>,
}

/// Where a host name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The `hostname` setting.
    Setting,
    /// The file that `hostname_file` names.
    File,
    /// The kernel.
    Kernel,
    /// Nowhere; it is a stand-in.
    None,
}

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It is empty.
    Empty,
    /// Every machine is called that.
    Local,
    /// It is longer than 255 bytes, or one of its labels longer than 63.
    TooLong,
    /// It has other bytes than letters, digits, dots and inner hyphens.
    Characters,
}

// === impl Hostname ===

impl Hostname {
    /// Finds the name. Empty arguments are settings that are not set. Reads at most two small files.
    pub fn find(setting: &str, file: &Path) -> Self {
        Self::find_with(setting, file, Path::new(KERNEL_NAME_FILE))
    }

    fn find_with(setting: &str, file: &Path, kernel: &Path) -> Self {
        let mut refused = Vec::new();
        let candidates = [
            (Source::Setting, Some(setting.to_owned())),
            (Source::File, read_name(file, &mut refused)),
        ];
        for (source, candidate) in candidates {
            let Some(name) = candidate.filter(|name| !name.is_empty()) else {
                continue;
            };
            match validate(&name) {
                Ok(()) => {
                    return Self {
                        name,
                        source,
                        refused,
                    };
                }
                Err(invalid) => {
                    refused.push(format!("{source} `{}` {invalid}", name.escape_debug()))
                }
            }
        }
        let name = read_name(kernel, &mut refused).unwrap_or_default();
        let (name, source) = match validate(&name) {
            Ok(()) => (name, Source::Kernel),
            Err(invalid @ Invalid::Local) => {
                refused.push(format!("{} `{name}` {invalid}", Source::Kernel));
                (name, Source::Kernel)
            }
            Err(invalid) => {
                refused.push(format!(
                    "{} `{}` {invalid}",
                    Source::Kernel,
                    name.escape_debug()
                ));
                (LAST_RESORT.to_owned(), Source::None)
            }
        };
        Self {
            name,
            source,
            refused,
        }
    }
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setting => "setting `hostname`",
            Self::File => "setting `hostname_file`",
            Self::Kernel => "kernel host name",
            Self::None => "stand-in",
        })
    }
}

// === impl Invalid ===

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Local => "names every machine, not this one; set `hostname`",
            Self::TooLong => "is too long for a host name",
            Self::Characters => "is not a host name (letters, digits, dots and inner hyphens)",
        })
    }
}

/// Whether `name` is a host name by RFC 1123, and says more than "this machine".
///
/// # Errors
/// The first rule it breaks.
pub fn validate(name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Err(Invalid::Empty);
    }
    if LOCAL_NAMES
        .iter()
        .any(|local| name.eq_ignore_ascii_case(local))
    {
        return Err(Invalid::Local);
    }
    if name.len() > LEN_MAX || name.split('.').any(|label| label.len() > LABEL_LEN_MAX) {
        return Err(Invalid::TooLong);
    }
    if name.split('.').all(is_label) {
        Ok(())
    } else {
        Err(Invalid::Characters)
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The first line of a file. An empty path is no file.
fn read_name(path: &Path, refused: &mut Vec<String>) -> Option<String> {
    if path.as_os_str().is_empty() {
        return None;
    }
    match read_short(path) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) => {
            refused.push(format!("{}: {error}", PathBuf::from(path).display()));
            None
        }
    }
}

/// A host name fits in this many bytes, so no more of the file is read.
fn read_short(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(LEN_MAX as u64 + 2)
        .read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| std::io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(setting: &str, file: Option<&str>, kernel: &str) -> Hostname {
        let dir = tempfile::tempdir().expect("a folder");
        let kernel_path = dir.path().join("kernel");
        std::fs::write(&kernel_path, kernel).expect("a file");
        let path = match file {
            Some(text) => {
                let path = dir.path().join("name");
                std::fs::write(&path, text).expect("a file");
                path
            }
            None => PathBuf::new(),
        };
        Hostname::find_with(setting, &path, &kernel_path)
    }

    #[test]
    fn the_first_source_that_names_a_host_wins() {
        for (setting, file, kernel, name, source) in [
            ("web-1", Some("db-1\n"), "box\n", "web-1", Source::Setting),
            ("", Some("db-1\n"), "box\n", "db-1", Source::File),
            ("", None, "box\n", "box", Source::Kernel),
            ("not a host", None, "box", "box", Source::Kernel),
            ("", Some("bad_name"), "box", "box", Source::Kernel),
            ("", None, "localhost", "localhost", Source::Kernel),
            ("", None, "(none)", LAST_RESORT, Source::None),
        ] {
            let found = find(setting, file, kernel);
            assert_eq!((found.name.as_str(), found.source), (name, source));
        }
    }

    #[test]
    fn what_was_passed_over_is_told() {
        let found = find("local_host", None, "box");
        assert_eq!(found.refused.len(), 1);
        assert!(
            found.refused[0].contains("`hostname` `local_host`"),
            "{found:?}"
        );
        let missing = Hostname::find_with(
            "",
            Path::new("/nonexistent/name"),
            Path::new("/nonexistent"),
        );
        assert_eq!(missing.source, Source::None);
        assert!(missing.refused[0].contains("/nonexistent/name"));
    }

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "web-1.example.com", "10.0.0.7", "1a", "A-b"] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        for (bad, reason) in [
            ("", Invalid::Empty),
            ("LocalHost", Invalid::Local),
            ("-a", Invalid::Characters),
            ("a-", Invalid::Characters),
            ("a..b", Invalid::Characters),
            ("a_b", Invalid::Characters),
            ("h\u{e9}", Invalid::Characters),
            ("a.", Invalid::Characters),
        ] {
            assert_eq!(validate(bad), Err(reason), "{bad}");
        }
        assert_eq!(validate(&"a".repeat(64)), Err(Invalid::TooLong));
        assert_eq!(validate(&["ab"; 100].join(".")), Err(Invalid::TooLong));
    }
}
