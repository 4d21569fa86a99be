//! What the main thread waits for: signals, and the end of a stop.
//!
//! The channel holds 8 events. Pushed by the thread that watches signals and by the one that stops,
//! popped by the main thread. A signal that finds it full is one of many, and adds nothing.

use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Ending;
use super::watch::Reloads;

/// Something the main thread waits for.
pub(super) enum Event {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// The stop went through.
    Finished(Box<Ending>),
}

/// Turns signals into events, on a thread of its own. From here on they no longer end the process.
pub(super) fn watch(events: SyncSender<Event>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("cannot watch signals")?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot watch SIGHUP")?;
    drop(entered);
    let watch = async move {
        loop {
            let event = next_event(&mut terminate, &mut interrupt, &mut hangup).await;
            // A full channel already holds more signals than anybody will look at.
            if events.try_send(event).is_err() {
                thread::yield_now();
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(watch))
        .context("cannot watch signals")?;
    Ok(())
}

async fn next_event(terminate: &mut Signal, interrupt: &mut Signal, hangup: &mut Signal) -> Event {
    tokio::select! {
        _ = terminate.recv() => Event::Stop,
        _ = interrupt.recv() => Event::Stop,
        _ = hangup.recv() => Event::Reload,
    }
}

/// Blocks until the first signal to stop; asks for a reload when one comes that says so.
pub(super) fn wait_for_stop(inbox: &Receiver<Event>, reloads: &Reloads) {
    for event in inbox {
        match event {
            Event::Stop => return,
            Event::Reload => reloads.ask(),
            Event::Finished(_) => {}
        }
    }
}
