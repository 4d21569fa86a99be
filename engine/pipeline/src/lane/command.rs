//! What a lane can be told while it runs.

use std::net::UdpSocket;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use greyhound_model::origin_table::OriginTable;
use greyhound_model::time::{BucketWidth, Stamp};
use greyhound_sys::peer::Credentials;

use crate::client::Clients;
use crate::ledger::{Ledger, ListenerId};
use crate::process::{LaneFlush, Timestamped};
use crate::rules::Rules;

/// To a lane. The channel holds a few hundred; who cannot put one in keeps it and says so.
#[derive(Debug)]
pub(crate) enum Command {
    /// Close the buckets that are over at this time and hand them to the flush thread.
    Close(Stamp),
    /// Hand over the samples that brought their own time.
    Timestamped,
    /// A new table of origins.
    Origins(Arc<OriginTable>),
    /// Who knows the clients behind UDP peers.
    Clients(Arc<dyn Clients>),
    /// Other rules, and their generation.
    Rules(u64, Arc<Rules>),
    /// Another bucket width.
    Width(BucketWidth),
    /// Listeners joined the ledger; packets of theirs may come from now on.
    Meet {
        ledger: Arc<Ledger>,
        expects_senders: Vec<bool>,
        done: Sender<()>,
    },
    /// Read these sockets as well.
    Listen(Sources),
    /// Drain the sockets of these listeners, but not after `drain_until`, and let go of them.
    Leave {
        listeners: Vec<ListenerId>,
        drain_until: Instant,
        done: Sender<()>,
    },
    /// A connection that lane 0 accepted.
    Adopt {
        listener: ListenerId,
        stream: UnixStream,
        peer: Credentials,
    },
    /// Read what the kernel still holds, but not after `drain_until`; work off the queue; hand over
    /// every bucket (or drop the open ones); end.
    Stop {
        drain_until: Instant,
        keep_open_buckets: bool,
    },
    /// Panic at the next packet, so that a test can watch the lane come back.
    #[cfg(test)]
    Break,
}

/// Sockets for one lane.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) udp: Vec<(ListenerId, Arc<UdpSocket>)>,
    pub(crate) unixgram: Vec<(ListenerId, Arc<UnixDatagram>)>,
    pub(crate) acceptors: Vec<(ListenerId, Arc<UnixListener>)>,
}

/// From a lane to the flush thread.
#[derive(Debug)]
pub(crate) enum Report {
    /// The answer to a close.
    Closed(LaneFlush),
    /// Samples that brought their own time; they do not wait for the grid.
    Timestamped(Vec<Timestamped>),
    /// The answer to a stop, the last report of this lane.
    Stopped(LaneFlush),
}
