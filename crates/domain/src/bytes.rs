//! Numbers of bytes, as people write them: with their unit.

/// Units by their size.
pub(crate) const UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
];

/// Reads a whole number with one of these units; none where it is not that. What is too large for any
/// limit is the largest there is.
pub(crate) fn read(text: &str, units: &[(&str, u64)]) -> Option<u128> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    if number.is_empty() {
        return None;
    }
    Some(number.parse().map_or(u128::MAX, |number: u64| u128::from(number) * u128::from(*factor)))
}

/// A number and its unit: the largest binary one that it is a whole number of.
pub(crate) fn show(value: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| value > 0 && value.is_multiple_of(*factor);
    let binary = UNITS.iter().filter(|(name, _)| *name == "B" || name.contains('i'));
    let (unit, factor) = binary.rev().find(fits).copied().unwrap_or(("B", 1));
    format!("{}{unit}", value / factor)
}

/// A number for people: in the largest binary unit that it is at least one of, with one digit behind the
/// point.
pub(crate) fn about(value: u64) -> String {
    let reaches = |(name, factor): &&(&str, u64)| name.contains('i') && value >= *factor;
    match UNITS.iter().rev().find(reaches) {
        Some((unit, factor)) => format!("{:.1} {unit}", value as f64 / *factor as f64),
        None => format!("{value} B"),
    }
}
