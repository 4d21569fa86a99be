//! Numbers of the vectors: plain ones, and `"NaN"`, `"+Inf"`, `"-Inf"`.

use serde_json::Value;

/// Relative error allowed where sums may be made in another order.
const TOLERANCE: f64 = 1e-9;

/// The double a value stands for.
pub(crate) fn of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "+Inf" => Some(f64::INFINITY),
            "-Inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Whether both are the same double; NaN is the same as NaN.
pub(crate) fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// Whether they are the same up to rounding.
pub(crate) fn near(a: f64, b: f64) -> bool {
    same(a, b) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

/// Whether two values say the same, numbers compared by `equal`.
pub(crate) fn equal_values(a: &Value, b: &Value, equal: fn(f64, f64) -> bool) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal_values(a, b, equal))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal_values(a, b, equal)))
        }
        (a, b) if a == b => true,
        // A text is a number only beside a number: the tag "NaN" is a text.
        (a @ Value::Number(_), b) | (a, b @ Value::Number(_)) => {
            matches!((of(a), of(b)), (Some(a), Some(b)) if equal(a, b))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_numbers_and_doubles_are_the_same_number() {
        assert!(equal_values(&json!([1, "NaN"]), &json!([1.0, "NaN"]), same));
        assert!(!equal_values(&json!("1"), &json!("1.0"), same));
        assert!(!equal_values(&json!([1.0]), &json!([1.0 + 1e-12]), same));
        assert!(equal_values(&json!([1.0]), &json!([1.0 + 1e-12]), near));
        assert!(!equal_values(&json!([1.0]), &json!([1.0 + 1e-8]), near));
    }
}
