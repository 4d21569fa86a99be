//! The threads that send: one small runtime for all sinks that use a network.
//!
//! Made only when such a sink is configured. One thread drives all connections; name look-ups and the
//! disk queue wait on helper threads that come and go.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

/// Look-ups that hang and disks that stall each hold one.
const HELPERS_MAX: usize = 16;

/// Helpers and the sender need little: no deep calls, no recursion.
const STACK_LEN_BYTES: usize = 512 * 1024;

/// The runtime; ends when the last clone is dropped, without waiting for anybody.
#[derive(Clone, Debug)]
pub struct Egress(Arc<Owner>);

#[derive(Debug)]
struct Owner(Option<Runtime>);

// === impl Egress ===

impl Egress {
    /// Starts the sending thread.
    ///
    /// # Errors
    /// When the system has no thread or no descriptor left.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(HELPERS_MAX)
            .thread_stack_size(STACK_LEN_BYTES)
            .thread_name("gh-egress")
            .enable_all()
            .build()?;
        Ok(Self(Arc::new(Owner(Some(runtime)))))
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.0
            .0
            .as_ref()
            .expect("the runtime is taken only when the owner is dropped")
            .handle()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
