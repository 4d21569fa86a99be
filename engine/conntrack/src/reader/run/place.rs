//! One namespace of the reader: its sockets, how it is, and when to try again.
//!
//! What failed is tried again after one second, then two, up to a minute; what cannot work here (no right, no
//! module) is tried once a minute, because rights and modules can be given later. A namespace that is
//! gone is let go of: our sockets would keep it alive.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::super::Config;
use super::super::view::{NamespaceView, State, Trouble};
use super::listen::{self, Listening};
use crate::error::QueryError;
use crate::exchange::Exchange;
use crate::mirror::Mirror;
use crate::namespace::{Namespace, Sysctls};
use crate::sampling::Sampler;
use crate::stats::{CpuStats, Totals};

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// One namespace.
pub(super) struct Place {
    pub(super) namespace: Namespace,
    pub(super) exchange: Option<Exchange>,
    pub(super) listening: Option<Listening>,
    state: State,
    sysctls: Sysctls,
    /// Which one the sockets are in.
    inode: Option<u64>,
    retry_at: Instant,
    retry_in: Duration,
    /// Since when it is asked and never had an entry.
    quiet_since: Option<Instant>,
}

// === impl Place ===

impl Place {
    pub(super) fn new(namespace: Namespace, now: Instant) -> Self {
        Self {
            namespace,
            exchange: None,
            listening: None,
            state: State::Starting,
            sysctls: Sysctls::default(),
            inode: None,
            retry_at: now,
            retry_in: RETRY_MIN,
            quiet_since: None,
        }
    }

    /// Lets go of a namespace whose file is gone, or is another's by now. Whether it did.
    pub(super) fn leave_if_gone(&mut self, now: Instant) -> bool {
        let is_here = self.exchange.is_none()
            || self.namespace.is_own()
            || self.namespace.inode().ok() == self.inode;
        if !is_here {
            self.exchange = None;
            self.listening = None;
            let error = QueryError::NoNamespace(self.namespace.name.clone());
            self.fail(&error, now);
        }
        !is_here
    }

    /// Opens the socket for requests, if there is none and it may be tried again.
    pub(super) fn open(&mut self, now: Instant) {
        if self.exchange.is_some() || now < self.retry_at {
            return;
        }
        let opened = self.namespace.exchange().and_then(|mut exchange| {
            // Whoever may not ask may open a socket all the same.
            exchange.totals()?;
            Ok(exchange)
        });
        match opened {
            Ok(exchange) => {
                self.inode = self.namespace.inode().ok();
                self.sysctls = self.namespace.sysctls().unwrap_or_default();
                self.exchange = Some(exchange);
                self.state = State::Ready;
                self.retry_in = RETRY_MIN;
                self.quiet_since = Some(now);
            }
            Err(error) if error.is_final() => self.give_up(&error, now),
            Err(error) => self.fail(&error, now),
        }
    }

    /// Joins, if it has not yet.
    pub(super) fn listen(&mut self, config: &Config, sampler: &Sampler, now: Instant) {
        if self.listening.is_some() || self.exchange.is_none() || now < self.retry_at {
            return;
        }
        match Listening::start(&self.namespace, config, sampler, now) {
            Ok(listening) => {
                self.listening = Some(listening);
                self.state = match self.sysctls.events {
                    Some(0) => State::Degraded(Trouble {
                        what: self.named("net.netfilter.nf_conntrack_events is 0: no events come"),
                        cure: self.command("sysctl -w net.netfilter.nf_conntrack_events=2"),
                    }),
                    _ => State::Ready,
                };
            }
            Err(error) => self.fail(&error, now),
        }
    }

    fn fail(&mut self, error: &QueryError, now: Instant) {
        self.state = State::Degraded(self.trouble(error));
        self.retry_at = now + self.retry_in;
        self.retry_in = (self.retry_in * 2).min(RETRY_MAX);
    }

    pub(super) fn give_up(&mut self, error: &QueryError, now: Instant) {
        self.exchange = None;
        self.listening = None;
        self.state = State::Unsupported(self.trouble(error));
        self.retry_at = now + RETRY_MAX;
    }

    fn trouble(&self, error: &QueryError) -> Trouble {
        Trouble {
            what: self.named(&error.to_string()),
            cure: error.cure().to_owned(),
        }
    }

    fn named(&self, what: &str) -> String {
        format!("namespace {}: {what}", self.namespace.name)
    }

    /// A command as it has to be given for this namespace.
    fn command(&self, command: &str) -> String {
        let name = &self.namespace.name;
        match name.as_str() {
            "self" => command.to_owned(),
            "host" => format!("{command}, on the host"),
            path if path.starts_with('/') => format!("nsenter --net={path} {command}"),
            name => format!("ip netns exec {name} {command}"),
        }
    }

    /// Said of a namespace that never had an entry for a while: nothing is wrong, but nothing can come.
    fn hint(&mut self, entries: Option<u32>, config: &Config) -> Option<Trouble> {
        if entries.is_none_or(|entries| entries > 0) {
            self.quiet_since = None;
        }
        let quiet = self.quiet_since?.elapsed();
        (quiet >= config.quiet).then(|| Trouble {
            what: self.named("no flow is tracked: no firewall rule there uses connection tracking"),
            cure: format!(
                "name the namespace that translates in greyhound.conntrack.namespaces (host, a path, a name); or \
                 track here: {}",
                self.command(
                    "nft 'table inet track { chain pre { type filter hook prerouting priority -150; ct state new \
                     counter; }; }'"
                )
            ),
        })
    }

    /// How it is. Two requests.
    pub(super) fn view(
        &mut self,
        mirror: Option<&Mutex<Mirror>>,
        config: &Config,
    ) -> NamespaceView {
        let mut view = NamespaceView {
            name: self.namespace.name.clone(),
            inode: self.namespace.inode().ok(),
            state: self.state.clone(),
            sysctls: self.sysctls,
            ..NamespaceView::default()
        };
        let asked = self
            .exchange
            .as_mut()
            .and_then(|exchange| Some((exchange.totals().ok()?, exchange.per_cpu().ok()?)));
        match asked {
            Some((totals, per_cpu)) => {
                view.hint = self.hint(Some(totals.entries), config);
                view.totals = Some(totals);
                view.per_cpu = per_cpu;
            }
            // Everybody may read these.
            None if self.namespace.is_own() => {
                view.totals = Totals::of_proc().ok();
                view.per_cpu = CpuStats::of_proc().unwrap_or_default();
            }
            None => {}
        }
        if let Some(listening) = &self.listening {
            listening.describe(&mut view);
        }
        if let Some(mirror) = mirror {
            let mirror = listen::lock(mirror);
            view.rows = mirror.table().len();
            view.table_bytes = mirror.table().bytes();
            view.mirror = *mirror.counts();
        }
        view
    }
}
