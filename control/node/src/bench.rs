//! Load of exactly known size, for `greyhound bench` and whoever measures with it.
//!
//! ```text
//!  Recipe ─▶ corpus ─▶ Pool: packets built beforehand, with running totals of what is in them
//!                        │
//!  Schedule: what is due ▼ now       Sender: up to 32 packets a call, over one or many sockets
//!        └─────────────▶ loop ─────────────▶ kernel: accepted, or refused (queue full)
//! ```
//!
//! One thread, no allocation while sending. What is reported is what the kernel accepted and what
//! it refused; both together are what was offered. UDP packets that the receiver's queue has no room for
//! are accepted here and dropped there: the receiver's kernel counts those.

pub mod pool;
pub mod report;
pub mod schedule;
pub mod sender;

use std::io;
use std::time::{Duration, Instant};

use greyhound_telemetry::{Latency, LatencyHistogram};
use greyhound_wire::corpus::{Corpus, Draws, Popularity, Recipe};

use crate::client::destination::Destination;
use pool::{Framing, Pool, Tally};
use schedule::Schedule;
use sender::{SendError, Sender, WhenFull};

/// How long one set of contexts stays when they churn: a bucket of the Agent.
pub const CHURN_PERIOD: Duration = Duration::from_secs(10);

/// Packets sent between two looks at the clock.
const PACKETS_PER_LOOK: usize = 256;
/// A pool has room for every context twice, within these bounds.
const POOL_MESSAGES: std::ops::RangeInclusive<usize> = 200_000..=4_000_000;

/// What to send, where to and how fast.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to.
    pub destination: Destination,
    /// Which messages; `contexts` are those alive at a time.
    pub recipe: Recipe,
    /// Which of them how often.
    pub popularity: Popularity,
    /// Longest packet in bytes; 0 = one message a packet.
    pub pack_bytes: usize,
    /// How fast.
    pub pace: Pace,
    /// Packets that are due leave together, once in this time.
    pub tick: Duration,
    /// Ends the measured part; `None` = only `messages` does.
    pub duration: Option<Duration>,
    /// Ends the measured part, rounded up to whole packets.
    pub messages: Option<u64>,
    /// Messages a second at which every context is sent once before; `None` = not done.
    pub warm: Option<f64>,
    /// Sockets, and so source ports, to spread packets over.
    pub sources: usize,
    /// What a full queue means.
    pub when_full: WhenFull,
    /// Bytes of payloads put into one write of a stream; 0 = one payload a write.
    pub gather_bytes: usize,
    /// Contexts replaced by new ones every [`CHURN_PERIOD`].
    pub churn: usize,
}

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as the kernel takes it.
    FlatOut,
    /// Messages a second.
    Messages(f64),
    /// Bytes of payload a second.
    Bytes(f64),
}

/// What was sent.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Before the measured part: every context once.
    pub warm: Tally,
    /// In the measured part, by the kernel.
    pub accepted: Tally,
    /// In the measured part, turned away because a queue was full.
    pub refused: Tally,
    /// How long the measured part took.
    pub elapsed: Duration,
    /// Messages that the schedule asked for; `None` when there was none.
    pub scheduled_messages: Option<u64>,
    /// How late packets left, in nanoseconds.
    pub lag: Latency,
    /// How long each call of the kernel took, in nanoseconds.
    pub calls: Latency,
    /// Processor time the sending thread used; `None` where the kernel does not tell.
    pub sender_cpu: Option<Duration>,
    /// `udp`, `unixgram` or `unixstream`.
    pub transport: &'static str,
    /// Mean length of a packet's payload.
    pub packet_bytes: f64,
}

/// Why load could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The other side is not there, or went away.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Nothing to do.
    #[error("there is nothing to send: a bench needs at least one context")]
    NoContexts,
    /// Whoever was to give the signal did not.
    #[error("cannot wait for the signal to start")]
    Signal(#[source] io::Error),
}

/// Pools in the order of their time, and the place in the one in use.
struct Supply {
    pools: Vec<Pool>,
    current: usize,
    at: usize,
}

// === impl Plan ===

impl Plan {
    /// Sends everything; `go` is called when all is built and connected, and may block. Takes as long
    /// as the plan says.
    ///
    /// # Errors
    ///
    /// When the destination is not there or stops taking, or `go` fails.
    pub fn run(&self, go: impl FnOnce() -> io::Result<()>) -> Result<Outcome, BenchError> {
        let mut sender = Sender::connect(&self.destination, self.sources, self.gather_bytes)?;
        let corpus = self.corpus();
        if self.recipe.contexts == 0 {
            return Err(BenchError::NoContexts);
        }
        let framing = sender.framing();
        let warm_pool = self
            .warm
            .map(|_| Pool::build(&corpus, 0..self.recipe.contexts, self.pack_bytes, framing));
        let mut supply = Supply::new(self.pools(&corpus, framing));
        drop(corpus);
        go().map_err(BenchError::Signal)?;

        let mut warm = Tally::default();
        if let (Some(pool), Some(rate)) = (&warm_pool, self.warm) {
            warm = self.warm_up(&mut sender, pool, rate)?;
        }
        self.measure(&mut sender, &mut supply, warm)
    }

    fn corpus(&self) -> Corpus {
        let periods = self.periods() - 1;
        Corpus::of(&Recipe {
            contexts: self.recipe.contexts + periods * self.churn,
            ..self.recipe.clone()
        })
    }

    /// How many sets of contexts the measured part sees.
    fn periods(&self) -> usize {
        match self.duration {
            Some(duration) if self.churn > 0 => {
                let periods = duration.as_secs().div_ceil(CHURN_PERIOD.as_secs());
                usize::try_from(periods).unwrap_or(usize::MAX).max(1)
            }
            _ => 1,
        }
    }

    fn pools(&self, corpus: &Corpus, framing: Framing) -> Vec<Pool> {
        let messages = self.recipe.contexts.saturating_mul(2);
        let messages = messages.clamp(*POOL_MESSAGES.start(), *POOL_MESSAGES.end());
        (0..self.periods())
            .map(|period| {
                let first = period * self.churn;
                let window = first..first + self.recipe.contexts;
                let seed = self.recipe.seed.wrapping_add(1 + period as u64);
                let draws = Draws::new(window, self.popularity, seed).take(messages);
                Pool::build(corpus, draws, self.pack_bytes, framing)
            })
            .collect()
    }

    /// Every context once, waiting where a queue is full.
    fn warm_up(&self, sender: &mut Sender, pool: &Pool, rate: f64) -> Result<Tally, BenchError> {
        sender.set_when_full(WhenFull::Wait)?;
        let schedule = Schedule::new(rate / pool.messages_per_packet(), self.tick);
        let start = Instant::now();
        let mut sent = 0;
        while sent < pool.len() {
            let due = schedule.due(start.elapsed()) as usize;
            let until = due.min(pool.len()).min(sent + PACKETS_PER_LOOK);
            if until == sent {
                schedule.sleep(start);
                continue;
            }
            sender.send(pool, sent..until)?;
            sent = until;
        }
        Ok(sender.take_counts().0)
    }

    fn measure(
        &self,
        sender: &mut Sender,
        supply: &mut Supply,
        warm: Tally,
    ) -> Result<Outcome, BenchError> {
        sender.set_when_full(self.when_full)?;
        let schedule = self.schedule(supply.pool());
        let lags = LatencyHistogram::new(&[]);
        let mut lag = lags.recorder();
        let (mut packets, mut messages) = (0, 0);
        let cpu_before = thread_cpu();
        let start = Instant::now();
        let ended = loop {
            let elapsed = start.elapsed();
            let wanted = self
                .messages
                .map_or(u64::MAX, |all| all - all.min(messages));
            if wanted == 0 || self.duration.is_some_and(|duration| elapsed >= duration) {
                break elapsed;
            }
            if self.churn > 0 {
                supply.turn((elapsed.as_secs() / CHURN_PERIOD.as_secs()) as usize);
            }
            let mut count = PACKETS_PER_LOOK;
            if let Some(schedule) = &schedule {
                let due = schedule.due(elapsed).saturating_sub(packets);
                if due == 0 {
                    schedule.sleep_at_most(start, self.duration);
                    continue;
                }
                count = count.min(usize::try_from(due).unwrap_or(count));
                let late = elapsed.saturating_sub(schedule.due_at(packets));
                lag.record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
            }
            let range = supply.next(count, wanted);
            let sum = supply.pool().sum(range.clone());
            sender.send(supply.pool(), range)?;
            packets += sum.packets;
            messages += sum.messages;
        };
        sender.check()?;
        lag.publish();
        let sender_cpu = thread_cpu()
            .zip(cpu_before)
            .map(|(after, before)| after.saturating_sub(before));
        let (accepted, refused, calls) = sender.take_counts();
        let per_packet = supply.pool().messages_per_packet();
        Ok(Outcome {
            warm,
            accepted,
            refused,
            elapsed: ended,
            scheduled_messages: schedule.map(|schedule| {
                let until = self.duration.unwrap_or(ended).min(ended);
                let due = (schedule.due(until.saturating_sub(Duration::from_nanos(1))) as f64
                    * per_packet) as u64;
                self.messages.map_or(due, |all| all.min(due))
            }),
            lag: lags.read(),
            calls,
            sender_cpu,
            transport: sender.transport(),
            packet_bytes: supply.pool().bytes_per_packet(),
        })
    }

    fn schedule(&self, pool: &Pool) -> Option<Schedule> {
        let packets_per_second = match self.pace {
            Pace::FlatOut => return None,
            Pace::Messages(rate) => rate / pool.messages_per_packet(),
            Pace::Bytes(rate) => rate / pool.bytes_per_packet(),
        };
        Some(Schedule::new(packets_per_second, self.tick))
    }
}

// === impl Supply ===

impl Supply {
    fn new(pools: Vec<Pool>) -> Self {
        Self {
            pools,
            current: 0,
            at: 0,
        }
    }

    fn pool(&self) -> &Pool {
        &self.pools[self.current]
    }

    /// Goes on to the pool of this period.
    fn turn(&mut self, period: usize) {
        let wanted = period.min(self.pools.len() - 1);
        if wanted != self.current {
            self.current = wanted;
            self.at = 0;
        }
    }

    /// The next packets in a row: at least one, at most `count`, and no more than hold `messages`.
    fn next(&mut self, count: usize, messages: u64) -> std::ops::Range<usize> {
        if self.at == self.pool().len() {
            self.at = 0;
        }
        let until = (self.at + count).min(self.pool().len());
        let until = self.pool().cut(self.at..until, messages);
        let range = self.at..until;
        self.at = until;
        range
    }
}

/// Processor time of the calling thread so far.
fn thread_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests;
