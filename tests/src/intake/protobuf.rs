//! Protobuf read by hand, so that the proof does not hang on the code it proves: nothing unknown is skipped,
//! nothing cut short is forgiven.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// An integer, not yet zigzag decoded.
    Varint(u64),
    /// A double.
    Double(f64),
    /// Text, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
}

/// The fields of a message, in order. An error is the last item.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Result<(u32, Value<'a>), String> {
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).map_err(|_| format!("the key {key} is too large"))?;
        if number == 0 {
            return Err("a field without a number".to_owned());
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => {
                let bytes = take(&mut self.rest, 8)?;
                let bytes = bytes.try_into().map_err(|_| "eight bytes".to_owned())?;
                Value::Double(f64::from_le_bytes(bytes))
            }
            2 => {
                let len = varint(&mut self.rest)?;
                let len = usize::try_from(len).map_err(|_| "an endless field".to_owned())?;
                Value::Bytes(take(&mut self.rest, len)?)
            }
            other => return Err(format!("field {number} has wire type {other}")),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Packed integers.
pub(super) fn packed(mut bytes: &[u8]) -> Result<Vec<u64>, String> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        numbers.push(varint(&mut bytes)?);
    }
    Ok(numbers)
}

pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("not UTF-8: {}", bytes.escape_ascii()))
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for (index, byte) in rest.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            break;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            if index > 0 && *byte == 0 {
                return Err("an integer longer than it needs to be".to_owned());
            }
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err("an integer that does not end".to_owned())
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest
        .split_at_checked(len)
        .ok_or_else(|| format!("{len} bytes announced, {} there", rest.len()))?;
    *rest = left;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_to_the_last_byte_and_damage_is_said() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'o', b'k'];
        let fields: Vec<_> = Fields::of(&message).collect();
        assert_eq!(
            fields,
            [Ok((1, Value::Varint(150))), Ok((2, Value::Bytes(b"ok")))]
        );
        for bad in [
            &message[..6],
            &[0x08, 0x80],
            &[0x08, 0x80, 0],
            &[0x00],
            &[0x0d, 1],
        ] {
            assert!(Fields::of(bad).any(|field| field.is_err()), "{bad:?}");
        }
    }

    #[test]
    fn zigzag_goes_both_ways() {
        for (coded, plain) in [(0, 0), (1, -1), (2, 1), (4_294_967_295, -2_147_483_648)] {
            assert_eq!(unzigzag(coded), plain);
        }
    }
}
