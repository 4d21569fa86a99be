//! What the reader says of itself, once a second.

use std::time::SystemTime;

use super::{Config, Mode};
use crate::flow::Flow;
use crate::mirror::MirrorCounts;
use crate::namespace::Sysctls;
use crate::stats::{CpuStats, Totals};

/// How the reader is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has not looked around yet.
    #[default]
    Starting,
    /// It loads its table.
    Syncing,
    /// All is well.
    Ready,
    /// Something is missing; the rest works.
    Degraded(Trouble),
    /// It can do nothing here, and why.
    Unsupported(Trouble),
}

/// What is wrong, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// One line.
    pub what: String,
    /// What mends it, a command where there is one; may be empty.
    pub cure: String,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct View {
    /// What it does.
    pub mode: Mode,
    /// How it is.
    pub state: State,
    /// By namespace, in the order of the settings.
    pub namespaces: Vec<NamespaceView>,
    /// Share of entries listened to.
    pub sampling_rate: f64,
    /// Stale flows at the last look.
    pub stale: StaleView,
}

/// One namespace.
#[derive(Clone, Debug, Default)]
pub struct NamespaceView {
    /// As the operator called it.
    pub name: String,
    /// Its number.
    pub inode: Option<u64>,
    /// How it is there.
    pub state: State,
    /// What the kernel is set to.
    pub sysctls: Sysctls,
    /// Entries and their maximum.
    pub totals: Option<Totals>,
    /// Counters of each CPU.
    pub per_cpu: Vec<CpuStats>,
    /// Receive buffer granted, in bytes; 0 = nobody listens.
    pub receive_buffer_bytes: usize,
    /// Events lost since the start, exactly.
    pub lost_events: u64,
    /// Rows of the table.
    pub rows: usize,
    /// Bytes of the table.
    pub table_bytes: usize,
    /// What happened to the table.
    pub mirror: MirrorCounts,
    /// The last load of the table.
    pub load: Option<LoadView>,
    /// All is well, and yet it may not be what the operator wants.
    pub hint: Option<Trouble>,
}

/// A load of the table.
#[derive(Clone, Debug)]
pub struct LoadView {
    /// When it ended.
    pub at: SystemTime,
    /// Why it was made.
    pub cause: &'static str,
    /// Rows of the dump.
    pub rows: u64,
    /// How long it took.
    pub millis: u64,
    /// Events were lost while it ran.
    pub is_lossy: bool,
}

/// What the last look for stale flows found.
#[derive(Clone, Debug, Default)]
pub struct StaleView {
    /// When; `None` = never.
    pub at: Option<SystemTime>,
    /// How many.
    pub count: usize,
    /// Some of them.
    pub flows: Vec<(String, Flow)>,
}

// === impl State ===

impl State {
    /// One word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Syncing => "syncing",
            Self::Ready => "ready",
            Self::Degraded(_) => "degraded",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// What is wrong, where something is.
    pub fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Degraded(trouble) | Self::Unsupported(trouble) => Some(trouble),
            _ => None,
        }
    }

    /// Why, where there is something to say.
    pub fn reason(&self) -> Option<&str> {
        self.trouble().map(|trouble| &*trouble.what)
    }
}

// === impl View ===

impl View {
    pub(super) fn starting(config: &Config) -> Self {
        Self {
            mode: config.mode,
            state: State::Starting,
            namespaces: Vec::new(),
            sampling_rate: 1.0,
            stale: StaleView::default(),
        }
    }
}
