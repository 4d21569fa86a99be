//! The ring against a `VecDeque`, under real threads, and under every interleaving loom can find.

#[cfg(loom)]
mod loom_runs;
#[cfg(not(loom))]
mod oracle;
#[cfg(not(loom))]
mod threads;
