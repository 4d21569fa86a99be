//! Which lane reads what.
//!
//! Every lane with sockets has one member of each port group; lane 0 also reads the Unix datagram
//! sockets and accepts connections, which it then deals out. Lanes behind those are workers: no
//! sockets, they only take batches of others.

use crate::config::LanesConfig;

/// How many threads, and which processor each is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Lanes with sockets; at least one. They come first.
    pub(crate) readers: usize,
    /// By lane; `None` leaves the choice to the kernel.
    pub(crate) cpus: Vec<Option<usize>>,
}

// === impl Plan ===

impl Plan {
    /// The plan for these settings on a machine that lets us use `allowed_cpus`.
    pub(crate) fn new(config: &LanesConfig, allowed_cpus: &[usize]) -> Self {
        let readers = config.lanes.max(1);
        let lanes = readers.saturating_add(config.workers);
        let cpus = (0..lanes)
            .map(|lane| {
                let turn = lane.checked_rem(allowed_cpus.len())?;
                config.pin.then(|| allowed_cpus[turn])
            })
            .collect();
        Self { readers, cpus }
    }

    /// All lanes.
    pub(crate) fn lanes(&self) -> usize {
        self.cpus.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(lanes: usize, workers: usize, pin: bool, cpus: &[usize]) -> Plan {
        let config = LanesConfig {
            lanes,
            workers,
            pin,
            ..LanesConfig::default()
        };
        Plan::new(&config, cpus)
    }

    #[test]
    fn lanes_share_the_processors_we_may_use() {
        let plan = plan(2, 1, true, &[4, 6]);
        assert_eq!(plan.readers, 2);
        assert_eq!(plan.cpus, [Some(4), Some(6), Some(4)]);
    }

    #[test]
    fn there_is_always_a_lane_that_reads() {
        assert_eq!(plan(0, 0, false, &[0]).readers, 1);
        assert_eq!(plan(0, 3, true, &[]).cpus, [None; 4]);
    }
}
