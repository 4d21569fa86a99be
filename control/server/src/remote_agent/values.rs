//! Values of the stream as JSON.

use prost_types::Value;
use prost_types::value::Kind;

/// A value; one of no kind is null.
pub fn json(value: &Value) -> serde_json::Value {
    value.kind.as_ref().map_or(serde_json::Value::Null, json_of)
}

/// The same of a kind. As deep as the message, which its reader has bounded.
pub(super) fn json_of(kind: &Kind) -> serde_json::Value {
    match kind {
        Kind::NullValue(_) => serde_json::Value::Null,
        Kind::StringValue(text) => text.clone().into(),
        Kind::BoolValue(flag) => (*flag).into(),
        Kind::NumberValue(number) => json_number(*number),
        Kind::ListValue(list) => list.values.iter().map(json).collect(),
        Kind::StructValue(fields) => fields
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), json(value)))
            .collect(),
    }
}

/// The wire has doubles only; a whole one was an integer.
fn json_number(number: f64) -> serde_json::Value {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
        return (number as i64).into();
    }
    number.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_integers_again() {
        for (number, text) in [
            (10.0, "10"),
            (-3.0, "-3"),
            (0.5, "0.5"),
            (1e300, "1e+300"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(json_number(number).to_string(), text);
        }
    }
}
