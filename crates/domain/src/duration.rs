//! Durations as people write them.

use std::time::Duration;

/// Reads `30s`, `5m`, `1h`, `30d`, `500ms`, `100us`.
///
/// # Errors
/// It is none of these; the text says so.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("`{text}` is no duration: expected 30s, 5m, 1h or 30d");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "us" => return Ok(Duration::from_micros(number)),
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(wrong)
}

/// Writes one as [`parse_duration`] reads it, in the largest unit that it is a whole number of.
#[must_use]
pub fn write_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let units = [
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
    ];
    let fits = units.iter().find(|(_, unit)| micros > 0 && micros.is_multiple_of(*unit));
    let none = if micros == 0 { ("ms", 1) } else { ("us", 1) };
    let (unit, size) = fits.copied().unwrap_or(none);
    format!("{}{unit}", micros / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["30d", "36h", "90m", "59s", "1500ms", "0ms"] {
            assert_eq!(write_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn durations_carry_their_unit() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h", 3_600), ("30d", 2_592_000)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_secs(seconds));
        }
        for (text, micros) in [("1500us", 1500), ("2ms", 2000), ("0ms", 0)] {
            let duration = parse_duration(text).unwrap();
            assert_eq!((duration.as_micros(), write_duration(duration).as_str()), (micros, text));
        }
        for wrong in ["", "30", "s", "1y", "-1s", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
