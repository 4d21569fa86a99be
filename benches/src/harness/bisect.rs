//! The largest rate that a server takes without loss, found by halving.
//!
//! A probe may fail by chance: another process had the core for too long. It may not succeed by
//! chance. So a rate counts as taken when one of a few tries is.

/// Share of messages whose loss still counts as none.
pub const LOSS_MAX: f64 = 0.001;

/// A sender that reaches less than this share of the rate asked for is the limit.
const REACHED_MIN: f64 = 0.97;

/// The capacity is seldom far from what is taken flat out, so the first steps are short.
const STEP: f64 = 1.4;

/// What one probe saw, in messages a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// What the sender really offered.
    pub offered: f64,
    /// What was taken of it.
    pub taken: f64,
}

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Ends when the bounds are that close, as a share.
    pub precision: f64,
    /// Tries of a rate before it counts as too high.
    pub tries: u32,
}

/// The largest rate, and what is in the way of more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Messages a second.
    pub rate: f64,
    /// The sender cannot offer more; the server might take it.
    pub sender_is_the_limit: bool,
}

// === impl Trial ===

impl Trial {
    /// Whether next to nothing was lost.
    pub fn is_loss_free(self) -> bool {
        self.taken >= self.offered * (1.0 - LOSS_MAX)
    }
}

// === impl Search ===

impl Search {
    /// Looks for the largest rate; `probe` sends at a rate, or flat out when given `None`. A rate of 0
    /// comes back when nothing down to a twentieth of what was taken is free of loss.
    ///
    /// # Errors
    ///
    /// Those of `probe`.
    pub fn run<E>(
        self,
        mut probe: impl FnMut(Option<f64>) -> Result<Trial, E>,
    ) -> Result<Found, E> {
        let flat_out = probe(None)?;
        if flat_out.is_loss_free() {
            return Ok(Found {
                rate: flat_out.offered,
                sender_is_the_limit: true,
            });
        }
        let mut high = flat_out.offered;
        let floor = flat_out.taken / 20.0;
        let mut low = None;
        let mut rate = flat_out.taken.min(high * 0.9);
        loop {
            match self.attempt(rate, &mut probe)? {
                Some(trial) if trial.offered < rate * REACHED_MIN => {
                    // Paced, the sender reaches less than flat out: nothing above can be tried.
                    return Ok(Found {
                        rate: trial.offered.max(low.unwrap_or(0.0)),
                        sender_is_the_limit: true,
                    });
                }
                Some(_) => low = Some(rate),
                None => high = rate,
            }
            let bottom = low.unwrap_or(0.0);
            if high - bottom <= high * self.precision || high < floor {
                return Ok(Found {
                    rate: bottom,
                    sender_is_the_limit: false,
                });
            }
            rate = match low {
                Some(low) => f64::midpoint(low, high).min(low * STEP),
                None => high / STEP,
            };
        }
    }

    /// The first try free of loss.
    fn attempt<E>(
        self,
        rate: f64,
        probe: &mut impl FnMut(Option<f64>) -> Result<Trial, E>,
    ) -> Result<Option<Trial>, E> {
        for _ in 0..self.tries.max(1) {
            let trial = probe(Some(rate))?;
            if trial.is_loss_free() {
                return Ok(Some(trial));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const SEARCH: Search = Search {
        precision: 0.02,
        tries: 2,
    };

    /// A server that takes `capacity`, driven by a sender that offers `reach` at most.
    fn search(capacity: f64, reach: f64) -> (Found, usize) {
        let mut probes = 0;
        let found = SEARCH.run(|rate| {
            probes += 1;
            let offered = rate.unwrap_or(reach).min(reach);
            let taken = offered.min(capacity);
            Ok::<_, Infallible>(Trial { offered, taken })
        });
        (found.unwrap(), probes)
    }

    #[test]
    fn the_capacity_is_found_within_the_precision() {
        for capacity in [900.0, 123_456.0, 4_800_000.0] {
            let (found, probes) = search(capacity, 9_000_000.0);
            assert!(!found.sender_is_the_limit);
            let share = found.rate / capacity;
            assert!((0.98..=1.0011).contains(&share), "{capacity}: {found:?}");
            assert!(probes < 20, "{capacity}: {probes} probes");
        }
    }

    #[test]
    fn a_server_faster_than_the_sender_is_said_to_be() {
        let (found, probes) = search(5e6, 1e6);
        assert_eq!(probes, 1);
        assert_eq!((found.rate, found.sender_is_the_limit), (1e6, true));
    }

    #[test]
    fn a_sender_that_is_slower_when_paced_is_the_limit() {
        let found = SEARCH.run(|rate| {
            let trial = match rate {
                None => Trial {
                    offered: 2e6,
                    taken: 1.8e6,
                },
                Some(_) => Trial {
                    offered: 1.2e6,
                    taken: 1.2e6,
                },
            };
            Ok::<_, Infallible>(trial)
        });
        let found = found.unwrap();
        assert_eq!((found.rate, found.sender_is_the_limit), (1.2e6, true));
    }

    #[test]
    fn bad_luck_is_tried_again_and_a_capacity_far_below_the_flood_is_found() {
        // Under flood much less is taken than without; every other probe is unlucky.
        let mut probes = 0;
        let found = SEARCH.run(|rate| {
            probes += 1;
            let offered = rate.unwrap_or(2e6);
            let capacity = if probes % 2 == 0 { 0.0 } else { 1e5 };
            let taken = match rate {
                None => 1e6,
                Some(_) => offered.min(capacity),
            };
            Ok::<_, Infallible>(Trial { offered, taken })
        });
        let rate = found.unwrap().rate;
        assert!((0.98e5..=1.0011e5).contains(&rate), "{rate}");
    }

    #[test]
    fn a_server_that_always_loses_has_no_rate() {
        let found = SEARCH.run(|rate| {
            let offered = rate.unwrap_or(1e6);
            Ok::<_, Infallible>(Trial {
                offered,
                taken: offered * 0.5,
            })
        });
        assert_eq!(found.unwrap().rate, 0.0);
    }

    #[test]
    fn a_probe_that_fails_ends_the_search() {
        assert_eq!(SEARCH.run(|_| Err::<Trial, _>("gone")), Err("gone"));
    }
}
