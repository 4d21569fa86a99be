//! The kernel calls Greyhound makes: the one crate, beside the queue, where `unsafe` may stand.
//!
//! ```text
//!  bind                           receive                          around the process
//!  socket::udp    port groups     slots ◀── mmsg ── kernel         affinity  rlimit  cgroup
//!  socket::unix   bind aside      cmsg  who sent it                names     users and groups
//!  socket::holder who has it      peer  who is connected            wait      sleep, to the microsecond
//!                                 peers from where to where         netns     another network namespace
//!                                                                  priority  pages  who goes first, how memory is backed
//! ```
//!
//! The rule for unsafe code: one block makes one call, and its comment walks the manual page of
//! that call: what the kernel reads, what it writes, how long it may keep a pointer. What the
//! standard library or socket2 can do without `unsafe` is done with them.
//!
//! Nothing is lost here. What the kernel itself dropped is read with [`socket::kernel_drops`];
//! datagrams that were cut are marked, so that the caller can count them.
//!
//! Linux only: `recvmmsg`, `SO_MEMINFO` and `/proc` have no twin elsewhere.

pub mod affinity;
pub mod cgroup;
pub mod cmsg;
pub mod mmsg;
pub mod names;
pub mod netns;
pub mod pages;
pub mod peer;
pub mod peers;
pub mod prefetch;
pub mod priority;
pub mod rlimit;
pub mod slots;
pub mod socket;
pub mod wait;
