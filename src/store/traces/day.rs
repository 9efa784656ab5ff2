//! Days of the calendar, in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::Span;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MICROSECONDS: u64 = 86_400_000_000;
/// 9999-12-31: the last day that has four digits for its year.
const LAST: u32 = 2_932_896;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// A day in UTC. Prints and reads as `2026-11-25`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

/// The text is no day between 1970-01-01 and 9999-12-31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a day: expected one like 2026-11-25")]
pub struct NotADay;

impl Day {
    /// The day of a moment in Unix microseconds.
    #[must_use]
    pub fn of(at: u64) -> Day {
        Day::from_number(u32::try_from(at / MICROSECONDS).unwrap_or(LAST))
    }

    /// The day so many days after 1970-01-01; at most 9999-12-31.
    #[must_use]
    pub fn from_number(number: u32) -> Day {
        Day(number.min(LAST))
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// Its first moment, in Unix microseconds.
    #[must_use]
    pub fn start(self) -> u64 {
        u64::from(self.0) * MICROSECONDS
    }

    /// The day after it.
    #[must_use]
    pub fn next(self) -> Day {
        Day::from_number(self.0 + 1)
    }

    /// The day so many days before it; at least 1970-01-01.
    #[must_use]
    pub fn back(self, days: u32) -> Day {
        Day(self.0.saturating_sub(days))
    }

    fn date(self) -> Date {
        EPOCH.saturating_add(Span::new().days(self.0))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Day {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, NotADay> {
        let date: Date = text.parse().map_err(|_| NotADay)?;
        let days = date.since(EPOCH).map_err(|_| NotADay)?.get_days();
        let day = Day::from_number(u32::try_from(days).map_err(|_| NotADay)?);
        // jiff reads more than one form of a date; a day has one.
        if day.to_string() == text { Ok(day) } else { Err(NotADay) }
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_back_as_it_prints_and_knows_its_first_moment() {
        for number in [0, 1, 59, 11_016, 20_782, LAST] {
            let day = Day::from_number(number);
            assert_eq!(day.to_string().parse(), Ok(day));
            assert_eq!(Day::of(day.start()), day);
            assert_eq!(Day::of(day.start() + MICROSECONDS - 1), day);
        }
        assert_eq!("2026-11-25".parse::<Day>().unwrap().number(), 20_782);
        assert_eq!(Day::of(u64::MAX).to_string(), "9999-12-31");
        assert_eq!(Day::of(0).back(3), Day::from_number(0));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["", "2026-11-31", "2026-1-1", "20261125", "1969-12-31", "2026-11-25T00:00", "../heads"] {
            assert_eq!(text.parse::<Day>(), Err(NotADay), "{text}");
        }
    }
}
