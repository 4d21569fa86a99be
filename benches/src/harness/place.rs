//! Where processes run: cores, scheduling class, network namespace. With the tools of util-linux, so that
//! any command line can be put there.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

/// Set in the copy of the harness that runs in its own namespace.
const INSIDE: &str = "GREYHOUND_HARNESS_INSIDE";

/// Which cores the two sides get, and whether other work on them has to wait.
#[derive(Clone, Debug)]
pub struct Place {
    /// Core of the sender.
    pub sender_core: usize,
    /// Core of the server.
    pub server_core: usize,
    /// Both under `SCHED_RR`.
    pub real_time: bool,
}

/// How a server is to be scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// As [`Place::real_time`] says.
    Usual,
    /// Never in real time.
    Ordinary,
    /// Never in real time, and on the sender's core too.
    BothCores,
}

// === impl Place ===

impl Place {
    /// A command for the sender's core.
    pub fn sender(&self, program: &str, class: Class) -> Command {
        let core = self.sender_core.to_string();
        match class {
            Class::BothCores => self.both(program),
            _ => pinned(program, &core, self.real_time && class == Class::Usual),
        }
    }

    /// A command for the server's core.
    pub fn server(&self, program: &str, class: Class) -> Command {
        let core = self.server_core.to_string();
        match class {
            Class::BothCores => self.both(program),
            _ => pinned(program, &core, self.real_time && class == Class::Usual),
        }
    }

    fn both(&self, program: &str) -> Command {
        let cores = format!("{},{}", self.sender_core, self.server_core);
        pinned(program, &cores, false)
    }
}

fn pinned(program: &str, cores: &str, real_time: bool) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]);
    if real_time {
        command.args(["chrt", "-r", "10"]);
    }
    command.arg(program);
    command
}

/// Whether processes may be put under `SCHED_RR` here.
pub fn may_be_real_time() -> bool {
    let status = Command::new("chrt").args(["-r", "10", "true"]).status();
    status.is_ok_and(|status| status.success())
}

/// Goes on in a network namespace of our own, if we may make one: no clash of ports, the kernel's
/// default length of Unix queues, no other traffic. Returns whether we are in one; in the process that
/// replaces this one.
///
/// # Errors
///
/// When the namespace can be made but not entered.
pub fn enter_namespace() -> Result<bool> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(true);
    }
    let probe = Command::new("unshare").args(["-n", "true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        return Ok(false);
    }
    let error = Command::new("unshare")
        .args(["-n", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("cannot enter a network namespace")
}

/// Datagrams a Unix socket made from now on may queue.
///
/// # Errors
///
/// When we may not say.
pub fn set_unix_queue(datagrams: u32) -> Result<()> {
    std::fs::write("/proc/sys/net/unix/max_dgram_qlen", datagrams.to_string())
        .context("cannot set net.unix.max_dgram_qlen; run as root")
}
