//! Which bin a value falls into.
//!
//! Key `k` stands for γ^(k − 1338) with γ = 1.015625, and takes the values that are nearer to it
//! than to its neighbours on the logarithmic scale: from γ^(k − 1338 − ½) to γ^(k − 1338 + ½). Key 0
//! takes everything too small to have one, negative values mirror positive ones, and ±32767 takes
//! all beyond about ±4.2e211. The numbers are the Agent's, so its sketches and ours merge.

/// Factor from one key to the next: 1 + 2/128.
pub const GAMMA: f64 = 1.015625;

/// The key of values beyond the range.
pub const MAX: i16 = i16::MAX;

/// The key of values beyond the range on the negative side.
pub const MIN: i16 = -MAX;

/// ln γ.
const GAMMA_LN: f64 = 0.015504186535965254;

/// The key of 1.
const BIAS: i32 = 1338;

/// The smallest value with a key of its own (key 1).
const SMALLEST: f64 = 9.941854089121368e-10;

/// 1.5 × 2^52: up here doubles are exactly the integers, so adding this rounds.
const SHIFT: f64 = 6_755_399_441_055_744.0;

/// How near to an edge the estimate is not trusted; fifty times its error.
const EDGE: f64 = 1e-6;

/// How many keys make a doubling.
const LOG_GAMMA_2: f64 = std::f64::consts::LN_2 / GAMMA_LN;

/// The middles of 32 equal parts of 1 to 2.
static CENTRES: [Centre; 32] = {
    let mut centres = [Centre {
        inverse: 0.0,
        log_gamma: 0.0,
    }; 32];
    let mut index = 0;
    while index < centres.len() {
        let centre = 1.0 + (index as f64 + 0.5) / 32.0;
        centres[index] = Centre {
            inverse: 1.0 / centre,
            log_gamma: ln_of_centre(centre) / GAMMA_LN,
        };
        index += 1;
    }
    centres
};

#[derive(Clone, Copy)]
struct Centre {
    inverse: f64,
    log_gamma: f64,
}

/// The key of a finite value. Cost: some multiplications and one table line; a logarithm for one
/// value in half a million.
#[inline]
pub fn of(value: f64) -> i16 {
    let size = value.abs();
    if size < SMALLEST {
        return 0;
    }
    let power = log_gamma_estimate(size);
    let mut shifted = power + SHIFT;
    if (power - (shifted - SHIFT)).abs() > 0.5 - EDGE {
        shifted = log_gamma(size) + SHIFT;
    }
    // The low bits of a shifted number are the integer it was rounded to.
    let key = (shifted.to_bits() as i32).wrapping_add(BIAS);
    let key = key.clamp(1, i32::from(MAX)) as i16;
    if value < 0.0 { -key } else { key }
}

/// The value a key stands for. At [`MAX`] and [`MIN`] that is only where the open bin begins.
pub fn value(key: i16) -> f64 {
    if key == 0 {
        return 0.0;
    }
    let size = GAMMA.powf(f64::from(i32::from(key).abs() - BIAS));
    if key < 0 { -size } else { size }
}

/// The definition; slow.
#[cold]
fn log_gamma(size: f64) -> f64 {
    size.ln() / GAMMA_LN
}

/// The logarithm to base γ of a normal positive number, right to 2e-8, so that only next to the edge
/// of a bin the definition has to be asked.
///
/// 1. The exponent of the double is the logarithm to base 2, but for the fraction.
/// 2. The first five bits of the fraction choose a centre `c` with a known logarithm.
/// 3. The rest is `ln(1 + r)` with |r| ≤ 1/64, for which four terms of the series do: the fifth is
///    below 2e-10, and a step of ln γ is 65 times less than one of `ln`.
#[inline]
fn log_gamma_estimate(size: f64) -> f64 {
    let bits = size.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let fraction = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let centre = &CENTRES[(bits >> 47) as usize % CENTRES.len()];
    let r = fraction * centre.inverse - 1.0;
    let series = r * (1.0 - r * 0.5) + r * r * r * (1.0 / 3.0 - r * 0.25);
    f64::from(exponent) * LOG_GAMMA_2 + (centre.log_gamma + series * (1.0 / GAMMA_LN))
}

/// The series of the inverse hyperbolic tangent, for 1 ≤ x < 2: the terms left out are below 1e-20.
const fn ln_of_centre(x: f64) -> f64 {
    let s = (x - 1.0) / (x + 1.0);
    let (mut power, mut sum, mut n) = (s, 0.0, 1.0);
    while n < 41.0 {
        sum += power / n;
        power *= s * s;
        n += 2.0;
    }
    2.0 * sum
}

/// Rounds to the nearest integer, halves to the even one. For magnitudes below 2^51, which logarithms
/// and ranks are; the addition does the rounding, as a call of the standard library would be slower
/// than the rest of [`of`] on processors the compiler may not assume more of.
#[inline]
pub(super) fn round_half_even(x: f64) -> f64 {
    if x.abs() < 2_251_799_813_685_248.0 {
        x + SHIFT - SHIFT
    } else {
        x.round_ties_even()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn check_values_of_the_agent() {
        for (value, key) in [
            (1.0, 1338),
            (2.0, 1383),
            (3.0, 1409),
            (0.5, 1293),
            (0.1, 1189),
            (10.0, 1487),
            (42.0, 1579),
            (100.0, 1635),
            (1000.0, 1784),
            (1e6, 2229),
            (1e9, 2675),
            (-2.5, -1397),
            (1e-9, 1),
            (SMALLEST, 1),
            (1e-10, 0),
            (-1e-10, 0),
            (0.0, 0),
            (-0.0, 0),
            (f64::MIN_POSITIVE, 0),
            (1e200, 31041),
            (4.15e211, 32766),
            (4.2e211, 32767),
            (1e212, 32767),
            (f64::MAX, 32767),
            (f64::MIN, -32767),
        ] {
            assert_eq!(of(value), key, "{value}");
        }
    }

    #[test]
    fn every_key_is_the_key_of_its_value() {
        for key in 1..MAX {
            assert_eq!(of(value(key)), key);
            assert_eq!(of(value(-key)), -key);
        }
        assert_eq!(value(0), 0.0);
        assert!(value(MAX).is_finite());
    }

    #[test]
    fn the_constants_belong_together() {
        assert_eq!(GAMMA, 1.0 + 2.0 / 128.0);
        assert!((GAMMA.ln() - GAMMA_LN).abs() < 1e-17);
        assert!((value(1) / SMALLEST - 1.0).abs() < 1e-12);
    }

    #[test]
    fn halves_go_to_the_even_side() {
        for (x, rounded) in [
            (0.5, 0.0),
            (1.5, 2.0),
            (2.5, 2.0),
            (-0.5, 0.0),
            (-1.5, -2.0),
        ] {
            assert_eq!(round_half_even(x), rounded, "{x}");
        }
        assert_eq!(round_half_even(1e300), 1e300);
    }

    /// The definition, step by step.
    fn slow(value: f64) -> i16 {
        if value < 0.0 {
            return -slow(-value);
        }
        if value < SMALLEST {
            return 0;
        }
        let key = (value.ln() / GAMMA_LN).round_ties_even() + 1338.0;
        if key > 32767.0 {
            32767
        } else if key < 1.0 {
            1
        } else {
            key as i16
        }
    }

    #[test]
    fn the_estimate_is_as_good_as_it_says() {
        // Every part of the table at both ends and between, over all exponents that have a key.
        for exponent in -30..=1023 {
            for step in 0..4096 {
                let low = f64::from(step) / 4096.0 + 1.0;
                for fraction in [low, (low + 1.0 / 4096.0).next_down()] {
                    let size = fraction * f64::from(exponent).exp2();
                    let error = (log_gamma_estimate(size) - log_gamma(size)).abs();
                    assert!(error < 2e-8, "{size} {error}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_value_has_the_key_of_the_definition(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(of(value), slow(value));
        }

        #[test]
        fn so_have_everyday_values(value in -1e6..1e6f64) {
            prop_assert_eq!(of(value), slow(value));
        }

        #[test]
        fn so_have_the_values_around_an_edge(key in 1..32767i32, steps in prop_oneof![-40i64..40, -(1i64 << 34)..1 << 34]) {
            let edge = GAMMA.powf(f64::from(key) - 1338.5);
            let value = f64::from_bits(edge.to_bits().wrapping_add_signed(steps));
            prop_assert_eq!(of(value), slow(value));
            prop_assert_eq!(of(-value), -slow(value));
        }

        #[test]
        fn rounding_is_that_of_the_standard_library(x in -1e16..1e16f64) {
            prop_assert_eq!(round_half_even(x), x.round_ties_even());
            let small = x / 1e13;
            prop_assert_eq!(round_half_even(small), small.round_ties_even());
        }
    }
}
