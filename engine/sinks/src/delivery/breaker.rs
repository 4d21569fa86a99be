//! When to leave a destination alone.
//!
//! ```text
//!  closed ──error──▶ open for a while ──▶ half open: one probe ──success──▶ closed
//!                        ▲                        │
//!                        └────────error───────────┘   each wait longer, up to a bound
//! ```
//!
//! Waits grow by a factor and are shaken over their upper half, so that many senders do not come back
//! together. Outcomes of requests that left before the last change of state say nothing new and are
//! ignored.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// Waits after errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffConfig {
    /// Wait after the first error.
    pub base: Duration,
    /// Growth with each further one; at least 1.
    pub factor: f64,
    /// Longest wait.
    pub max: Duration,
    /// Errors one success makes good; 0 = all of them.
    pub recovery: u32,
    /// Of the waits' randomness; `None` = a new one each start.
    pub seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Send, and report back with this number.
    Go(u64),
    /// Not before; `None`: not before the probe is back.
    Wait(Option<Instant>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Open(Instant),
    HalfOpen,
}

#[derive(Debug)]
pub(super) struct Breaker {
    config: BackoffConfig,
    state: State,
    /// Grows with every change of state.
    generation: u64,
    errors: u32,
    random: u64,
}

// === impl BackoffConfig ===

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(2),
            factor: 2.0,
            max: Duration::from_secs(64),
            recovery: 2,
            seed: None,
        }
    }
}

// === impl Breaker ===

impl Breaker {
    pub(super) fn new(config: BackoffConfig) -> Self {
        let seed = config
            .seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Self {
            config,
            state: State::Closed,
            generation: 0,
            errors: 0,
            random: seed | 1,
        }
    }

    pub(super) fn permit(&mut self, now: Instant) -> Permit {
        match self.state {
            State::Closed => Permit::Go(self.generation),
            State::Open(until) if now < until => Permit::Wait(Some(until)),
            State::Open(_) => {
                self.change(State::HalfOpen);
                Permit::Go(self.generation)
            }
            State::HalfOpen => Permit::Wait(None),
        }
    }

    pub(super) fn succeeded(&mut self, permit: u64) {
        if permit != self.generation {
            return;
        }
        self.errors = match self.config.recovery {
            0 => 0,
            step => self.errors.saturating_sub(step),
        };
        if self.state != State::Closed {
            self.change(State::Closed);
        }
    }

    /// Opens after an error that grows the waits, or for `wait` when the other side named one.
    pub(super) fn failed(&mut self, permit: u64, now: Instant, wait: Option<Duration>) {
        if permit != self.generation {
            return;
        }
        self.errors = self.errors.saturating_add(1);
        let wait = wait.unwrap_or_else(|| self.shaken());
        self.change(State::Open(now + wait));
    }

    /// Opens for `wait`, without an error on the account.
    pub(super) fn hold(&mut self, permit: u64, now: Instant, wait: Duration) {
        if permit == self.generation {
            self.change(State::Open(now + wait));
        }
    }

    /// Forgets what happened.
    pub(super) fn reset(&mut self) {
        self.errors = 0;
        self.change(State::Closed);
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn errors(&self) -> u32 {
        self.errors
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    fn shaken(&mut self) -> Duration {
        // Beyond some dozens of errors the bound holds anyway.
        let exponent = self.errors.saturating_sub(1).min(64);
        let growth = self.config.factor.max(1.0).powi(exponent.cast_signed());
        let whole = (self.config.base.as_secs_f64() * growth).min(self.config.max.as_secs_f64());
        Duration::from_secs_f64(whole * (0.5 + 0.5 * self.next_random()))
    }

    /// Uniform from 0 to 1, by xorshift.
    fn next_random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(breaker: &mut Breaker, now: Instant) -> u64 {
        match breaker.permit(now) {
            Permit::Go(permit) => permit,
            Permit::Wait(until) => panic!("waits until {until:?}"),
        }
    }

    #[test]
    fn waits_grow_to_their_bound_and_are_shaken_over_the_upper_half() {
        let mut breaker = Breaker::new(BackoffConfig {
            seed: Some(7),
            ..BackoffConfig::default()
        });
        let mut now = Instant::now();
        let mut different = std::collections::BTreeSet::new();
        for whole in [2, 4, 8, 16, 32, 64, 64, 64, 64] {
            let permit = go(&mut breaker, now);
            breaker.failed(permit, now, None);
            let Permit::Wait(Some(until)) = breaker.permit(now) else {
                panic!("open after an error");
            };
            let wait = (until - now).as_secs_f64();
            assert!(wait >= f64::from(whole) / 2.0 && wait <= f64::from(whole));
            different.insert((wait * 1e6) as u64);
            now = until;
        }
        assert_eq!(different.len(), 9);
    }

    #[test]
    fn one_probe_decides() {
        let mut breaker = Breaker::new(BackoffConfig::default());
        let now = Instant::now();
        let before = go(&mut breaker, now);
        let same = go(&mut breaker, now);
        breaker.failed(before, now, Some(Duration::from_secs(5)));
        // The other one left before the breaker opened.
        breaker.failed(same, now, None);
        assert_eq!(breaker.errors(), 1);
        let later = now + Duration::from_secs(5);
        assert_eq!(breaker.permit(now), Permit::Wait(Some(later)));
        let probe = go(&mut breaker, later);
        assert_eq!(breaker.permit(later), Permit::Wait(None));
        breaker.succeeded(same);
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.succeeded(probe);
        assert_eq!((breaker.state(), breaker.errors()), (State::Closed, 0));
    }

    #[test]
    fn a_hold_costs_no_error() {
        let mut breaker = Breaker::new(BackoffConfig::default());
        let now = Instant::now();
        let permit = go(&mut breaker, now);
        breaker.hold(permit, now, Duration::from_secs(60));
        assert_eq!(breaker.errors(), 0);
        assert!(matches!(breaker.permit(now), Permit::Wait(Some(_))));
    }
}
