//! Durations and sizes as people write them: `"15m"`, `"1h 30m"`, `"25 MiB"`.
//!
//! Both are written as strings with a unit: a bare number would leave seconds and milliseconds, bytes and kilobytes
//! to be guessed. The modules [`duration`] and [`size`] are for `#[serde(with = …)]`; values print back in the
//! largest unit that divides them, so that what is printed can be read again.

use std::time::Duration;

/// Units of durations, longest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of sizes, largest first, in bytes.
const SIZE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a duration such as `"250ms"`, `"15m"` or `"1h 30m"`.
///
/// Errors with what was expected, for the holder of the configuration file.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("`{text}` is not a duration: write a number and a unit (ms, s, m, h, d), such as \"15m\"");
    let total = sum_of_units(text, &DURATION_UNITS).ok_or_else(expected)?;
    Ok(Duration::from_millis(total))
}

/// Reads a size such as `"512 KiB"` or `"25 MiB"`, in bytes.
///
/// Errors with what was expected, for the holder of the configuration file.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let expected =
        || format!("`{text}` is not a size: write a number and a unit (B, KiB, MiB, GiB, TiB), such as \"25 MiB\"");
    sum_of_units(text, &SIZE_UNITS).ok_or_else(expected)
}

/// Adds up "number unit" pairs, each with a known unit; `None` if the text is anything else or overflows.
fn sum_of_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, worth) = units.iter().find(|(name, _)| *name == &rest[..letters])?;
        total = total.checked_add(number.checked_mul(*worth)?)?;
        rest = rest[letters..].trim_start();
    }
    Some(total)
}

/// A duration in its largest whole unit: `"15m"`.
pub fn show_duration(value: Duration) -> String {
    show(u64::try_from(value.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS, "")
}

/// A size in its largest whole unit: `"25 MiB"`.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS, " ")
}

fn show(value: u64, units: &[(&str, u64)], gap: &str) -> String {
    let whole = units.iter().find(|(_, worth)| value >= *worth && value.is_multiple_of(*worth));
    match whole {
        Some((name, worth)) => format!("{}{gap}{name}", value / worth),
        // Zero: any unit says the same; the one before last (seconds, KiB) reads best.
        None => format!("0{gap}{}", units[units.len() - 2].0),
    }
}

/// `#[serde(with = "human::duration")]` for [`Duration`] fields.
pub mod duration {
    use super::{parse_duration, show_duration};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    /// Reads the string form.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    /// Writes the string form.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_duration(*value))
    }
}

/// `#[serde(with = "human::optional_duration")]` for optional [`Duration`] fields.
pub mod optional_duration {
    use super::{parse_duration, show_duration};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    /// Reads the string form of a key that is there.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        parse_duration(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
    }

    /// Writes the string form.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_str(&show_duration(*value)),
            None => to.serialize_none(),
        }
    }
}

/// `#[serde(with = "human::size")]` for sizes in bytes.
pub mod size {
    use super::{parse_size, show_size};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads the string form.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        parse_size(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    /// Writes the string form.
    pub fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_size(*value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed_back() {
        for (text, millis) in
            [("250ms", 250), ("15m", 900_000), ("24h", 86_400_000), ("1h 30m", 5_400_000), ("90s", 90_000)]
        {
            let value = parse_duration(text).unwrap();
            assert_eq!(value.as_millis(), millis, "{text}");
            assert_eq!(parse_duration(&show_duration(value)).unwrap(), value, "{text}");
        }
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }

    #[test]
    fn sizes_are_read_and_printed_back() {
        for (text, bytes) in [("25 MiB", 25 << 20), ("64KiB", 65_536), ("0 B", 0), ("1 GiB 1 B", (1 << 30) + 1)] {
            let value = parse_size(text).unwrap();
            assert_eq!(value, bytes, "{text}");
            assert_eq!(parse_size(&show_size(value)).unwrap(), value, "{text}");
        }
        assert_eq!(show_size(25 << 20), "25 MiB");
    }

    #[test]
    fn what_has_no_unit_or_a_wrong_one_is_refused_with_an_example() {
        for text in ["", "15", "m", "15 minutes", "-3s", "1.5h", "99999999999999999999d", "18446744073709551615d"] {
            assert!(parse_duration(text).unwrap_err().contains("\"15m\""), "{text}");
        }
        for text in ["", "25", "25 MB", "25 mib", "x MiB", "99999999999 TiB"] {
            assert!(parse_size(text).unwrap_err().contains("\"25 MiB\""), "{text}");
        }
    }
}
