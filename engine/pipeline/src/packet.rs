//! Packets between the kernel and the processor: never one by one, always in slabs.
//!
//! ```text
//!  PacketPool ──▶ Slots ──▶ recvmmsg fills ──▶ PacketBatch ──▶ processed by whoever takes it
//!      ▲                                                              │
//!      └────────────────────── the slab comes back ───────────────────┘
//! ```

pub mod batch;
pub mod pool;
