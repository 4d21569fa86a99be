//! Protobuf by hand: a message is written once, straight into its buffer.

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// An integer field; left out when 0, as proto3 does.
pub(crate) fn integer(out: &mut Vec<u8>, field: u32, value: i64) {
    if value != 0 {
        varint(out, u64::from(field << 3 | VARINT));
        varint(out, value.cast_unsigned());
    }
}

/// A double field; left out when it is +0.
pub(crate) fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        varint(out, u64::from(field << 3 | FIXED64));
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A field of eight bytes; written even when 0.
pub(crate) fn fixed(out: &mut Vec<u8>, field: u32, value: u64) {
    varint(out, u64::from(field << 3 | FIXED64));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Text or bytes; written even when empty.
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    start_of_bytes(out, field, value.len());
    out.extend_from_slice(value);
}

/// Key and length of what follows.
pub(crate) fn start_of_bytes(out: &mut Vec<u8>, field: u32, len: usize) {
    varint(out, u64::from(field << 3 | BYTES));
    varint(out, len as u64);
}

/// A message whose length is known once it is written: it is moved up to make room for its length.
pub(crate) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    varint(out, u64::from(field << 3 | BYTES));
    // One byte is enough below 128, which most are.
    let at = out.len();
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    if len < 0x80 {
        out[at] = len as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(10);
    varint(&mut prefix, len as u64);
    out.splice(at..=at, prefix);
}

/// An integer field of a type that is small for small negative numbers too.
pub(crate) fn integer_zigzag(out: &mut Vec<u8>, field: u32, value: i64) {
    if value != 0 {
        varint(out, u64::from(field << 3 | VARINT));
        varint(out, zigzag_long(value));
    }
}

pub(crate) fn zigzag_long(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(crate) fn zigzag(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)).cast_unsigned())
}

/// A varint and what follows it; `None` when there is none.
pub(crate) fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// Fields of a message: number, and the bytes of the whole field and of its content. Ends at the
/// first one that is not whole.
pub(crate) fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u32, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let start = rest;
        let (key, after) = read_varint(rest)?;
        let (content, after) = match key as u32 & 7 {
            VARINT => {
                let (_, end) = read_varint(after)?;
                (&after[..after.len() - end.len()], end)
            }
            FIXED64 => after.split_at_checked(8)?,
            BYTES => {
                let (len, after) = read_varint(after)?;
                after.split_at_checked(usize::try_from(len).ok()?)?
            }
            5 => after.split_at_checked(4)?,
            _ => return None,
        };
        rest = after;
        let whole = &start[..start.len() - after.len()];
        Some(((key >> 3) as u32, whole, content))
    })
}
