//! What one sample counts for, by its sample rate.

/// Weight of the samples of one message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// 1 / rate, not truncated: for counters and sums.
    pub exact: f64,
    /// 1 / rate without its fraction: for counts of histograms.
    pub whole: u64,
    /// The rate gave no usable weight and counts as 1.
    pub clamped: bool,
}

// === impl Weight ===

impl Weight {
    /// No sampling.
    pub const ONE: Self = Self {
        exact: 1.0,
        whole: 1,
        clamped: false,
    };

    /// Weight at a sample rate. A rate of zero (or one so small or so odd that 1 / rate is not
    /// finite) would make a counter infinite; it counts as 1. A negative rate negates a counter, as
    /// in the Agent; a histogram cannot hold a value less than zero times and takes it once.
    #[inline]
    pub fn of_rate(rate: f64) -> Self {
        if rate == 1.0 {
            return Self::ONE;
        }
        let exact = 1.0 / rate;
        if !exact.is_finite() || rate.is_infinite() {
            return Self {
                clamped: true,
                ..Self::ONE
            };
        }
        // `as` takes the whole part and stops at the bounds of u64.
        let whole = if exact < 0.0 { 1 } else { exact as u64 };
        Self {
            exact,
            whole,
            clamped: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_rate() {
        let check = |rate: f64, exact: f64, whole: u64| {
            let weight = Weight::of_rate(rate);
            assert_eq!((weight.exact, weight.whole), (exact, whole), "rate {rate}");
        };
        check(1.0, 1.0, 1);
        check(0.5, 2.0, 2);
        check(0.4, 2.5, 2);
        check(2.0, 0.5, 0);
        check(-0.5, -2.0, 1);
        check(1e-30, 1.0 / 1e-30, u64::MAX);
    }

    #[test]
    fn no_rate_makes_a_weight_that_is_not_finite() {
        for rate in [
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            5e-324,
        ] {
            let weight = Weight::of_rate(rate);
            assert_eq!(
                weight,
                Weight {
                    clamped: true,
                    ..Weight::ONE
                },
                "rate {rate}"
            );
        }
    }
}
