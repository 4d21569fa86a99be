//! Network namespaces to look into, and what the kernel is set to there.
//!
//! Translation is recorded in the namespace that does it: an engine in a container sees nothing in its own and
//! has to look in the host's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greyhound_sys::netns;

use crate::error::QueryError;
use crate::events::{EventConfig, EventSocket};
use crate::exchange::Exchange;

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// As the operator called it.
    pub name: String,
    /// The file behind it; `None` = our own.
    path: Option<PathBuf>,
}

/// What the kernel is set to, where it can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sysctls {
    /// `nf_conntrack_events`: 0 none, 1 all, 2 for entries made while somebody listens.
    pub events: Option<u32>,
    /// `nf_conntrack_acct`
    pub acct: Option<u32>,
    /// `nf_conntrack_timestamp`
    pub timestamp: Option<u32>,
    /// `nf_conntrack_udp_timeout`, in seconds.
    pub udp_timeout: Option<u32>,
}

// === impl Namespace ===

impl Namespace {
    /// By the operator's word: `self`, `host`, the path of a file, or the name of one in `/run/netns`.
    pub fn from_text(text: &str) -> Self {
        let path = match text {
            "self" => None,
            "host" => Some(PathBuf::from("/proc/1/ns/net")),
            path if path.starts_with('/') => Some(PathBuf::from(path)),
            name => Some(Path::new("/run/netns").join(name)),
        };
        Self {
            name: text.to_owned(),
            path,
        }
    }

    /// Our own.
    pub fn own() -> Self {
        Self::from_text("self")
    }

    /// Whether it is the one this process is in, by its word.
    pub fn is_own(&self) -> bool {
        self.path.is_none()
    }

    /// Its number; the same for two names of one namespace.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn inode(&self) -> io::Result<u64> {
        let own = Path::new("/proc/thread-self/ns/net");
        netns::inode(self.path.as_deref().unwrap_or(own))
    }

    /// A socket for requests in it. Blocks for a moment; costs a thread for another namespace than our own.
    ///
    /// # Errors
    /// [`QueryError::NoNamespace`] or [`QueryError::NamespaceRefused`] when it cannot be entered; else what the
    /// kernel says.
    pub fn exchange(&self) -> Result<Exchange, QueryError> {
        self.within(Exchange::open)
    }

    /// A socket that listens in it. Blocks as [`exchange`](Self::exchange) does.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub fn listen(&self, config: &EventConfig) -> Result<EventSocket, QueryError> {
        self.within(|| EventSocket::open(config))
    }

    /// What the kernel is set to there.
    ///
    /// # Errors
    /// When it cannot be entered.
    pub fn sysctls(&self) -> Result<Sysctls, QueryError> {
        self.within(|| Ok(Sysctls::read()))
    }

    fn within<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, QueryError> {
        let done = match &self.path {
            None => work(),
            Some(path) => netns::within(path, work)
                .map_err(|error| QueryError::entering(&self.name, error))?,
        };
        done.map_err(QueryError::from_io)
    }
}

// === impl Sysctls ===

impl Sysctls {
    /// How long the kernel keeps an entry that nobody answers.
    pub fn udp_timeout(&self) -> Duration {
        const DEFAULT: u32 = 30;
        Duration::from_secs(self.udp_timeout.unwrap_or(DEFAULT).into())
    }

    /// Those of this thread's namespace.
    fn read() -> Self {
        let read = |name: &str| -> Option<u32> {
            let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
            fs::read_to_string(path).ok()?.trim().parse().ok()
        };
        Self {
            events: read("events"),
            acct: read("acct"),
            timestamp: read("timestamp"),
            udp_timeout: read("udp_timeout"),
        }
    }
}
