//! Atomics and cells: those of the standard library, or loom's when it explores interleavings.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

/// The standard cell behind loom's way of asking for the pointer.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

// === impl UnsafeCell ===

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Hands out the pointer; whoever reads or writes through it says why nobody else does.
    #[inline]
    pub(crate) fn with_mut<R>(&self, use_pointer: impl FnOnce(*mut T) -> R) -> R {
        use_pointer(self.0.get())
    }
}
