//! Sizes in bytes: `10Mb`, `16MiB`, `65536`.

/// Units, each 1024 of the one before: so does the Agent, whatever the letters say.
const UNITS: [(char, u64); 4] = [
    ('k', 1 << 10),
    ('m', 1 << 20),
    ('g', 1 << 30),
    ('t', 1 << 40),
];

/// Reads a size: a whole number, then nothing, `B`, or one of K, M, G, T with `B` or `iB` after it,
/// in any case.
pub fn parse(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let unit_at = lower
        .find(|byte: char| byte.is_ascii_alphabetic())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(unit_at);
    let scale = match unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(unit)
    {
        "" if unit == "ib" => return None,
        "" => 1,
        letter => {
            UNITS
                .iter()
                .find(|(name, _)| letter.strip_prefix(*name) == Some(""))?
                .1
        }
    };
    let number = super::number::int(number)?;
    u64::try_from(number).ok()?.checked_mul(scale)
}

/// The largest unit that divides the size evenly.
pub fn format(bytes: u64) -> String {
    const NAMES: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    NAMES
        .into_iter()
        .find(|(_, scale)| bytes != 0 && bytes.is_multiple_of(*scale))
        .map_or_else(
            || bytes.to_string(),
            |(name, scale)| format!("{}{name}", bytes / scale),
        )
}
