//! The seam to whoever knows the clients behind UDP peers: named once per batch, applied per datagram.
//!
//! ```text
//!  UDP batch: peers ─▶ LaneClients::name ─▶ numbers ─▶ Sender ─▶ spelling's origin ─▶ Clients::address
//!                         once a batch       0 = not known            once a spelling
//! ```
//!
//! Nothing waits here. A peer that is not known yet has number 0, and a later batch may know better.

use std::fmt::Debug;
use std::net::IpAddr;

use greyhound_model::time::Stamp;
use greyhound_sys::peers::Peer;

/// Knows the clients behind UDP peers. One for the process.
pub trait Clients: Send + Sync + Debug {
    /// What a lane asks, from now on.
    fn lane(&self) -> Box<dyn LaneClients>;
    /// The address of a client. Called once per spelling.
    fn address(&self, client: u32) -> Option<IpAddr>;
}

/// A lane's own view of [`Clients`].
pub trait LaneClients: Send {
    /// Appends the number of the client behind each peer, 0 where it is not known (yet); a number is
    /// below 2³¹ and means the same for the life of the process. Called once per UDP batch, so it may cost
    /// some nanoseconds a peer, and must not block.
    fn name(&mut self, now: Stamp, peers: &[Peer], clients: &mut Vec<u32>);
}
