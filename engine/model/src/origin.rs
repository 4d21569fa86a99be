//! Who sent a message, as far as the kernel or the client says.

/// How many tags an origin adds: low ⊂ orchestrator ⊂ high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cardinality {
    /// No tags at all.
    None,
    /// Tags with few values.
    #[default]
    Low,
    /// And those with one value per pod or task.
    Orchestrator,
    /// And those with one value per container.
    High,
}

/// The kernel's word on who is behind a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sender {
    /// Process id in our namespace; 0 = not known. Above every pid there can be: a client behind UDP, see
    /// [`Sender::of_client`].
    pub pid: u32,
}

/// What a client said of itself, resolved from the `c:` field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalData<'a> {
    /// Container id; empty = none.
    pub container_id: &'a [u8],
    /// cgroup inode; 0 = none.
    pub inode: u64,
}

/// What a client said of itself in the `e:` field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExternalData<'a> {
    /// Whether it is an init container.
    pub init: bool,
    /// Container name; empty = none.
    pub container_name: &'a [u8],
    /// Pod uid; empty = none.
    pub pod_uid: &'a [u8],
}

// === impl Sender ===

impl Sender {
    /// The kernel's pids stay below 2²².
    const CLIENT: u32 = 1 << 31;

    /// The client with this number behind a UDP peer; 0 = not known. One word for both kinds of
    /// sender, so that a message pays one comparison, whichever it has.
    #[inline]
    pub const fn of_client(client: u32) -> Self {
        Self {
            pid: match client {
                0 => 0,
                client => client | Self::CLIENT,
            },
        }
    }

    /// The number of the client, if it is one.
    pub const fn client(self) -> Option<u32> {
        match self.pid & Self::CLIENT {
            0 => None,
            _ => Some(self.pid & !Self::CLIENT),
        }
    }
}

// === impl Cardinality ===

impl Cardinality {
    /// The word a client or the settings used, in any case.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        [Self::None, Self::Low, Self::Orchestrator, Self::High]
            .into_iter()
            .find(|cardinality| text.eq_ignore_ascii_case(cardinality.as_str().as_bytes()))
    }

    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Orchestrator => "orchestrator",
            Self::High => "high",
        }
    }
}
