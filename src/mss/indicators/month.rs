//! Months: what indicators are counted by. In UTC, as every instant of the server.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A month of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: i16,
    month: i8,
}

/// A text that is no month.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is no month; expected one as 2026-11")]
pub struct NotAMonth(pub String);

impl Month {
    /// The month of an instant, in Unix microseconds.
    pub fn of(at: u64) -> Self {
        let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_microsecond(at).ok());
        let date = at.unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).date();
        Self { year: date.year(), month: date.month() }
    }

    /// The month before it.
    #[must_use]
    pub fn previous(self) -> Self {
        Self::from_number(self.number().saturating_sub(1))
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self::from_number(self.number().saturating_add(1))
    }

    /// So many months before it.
    #[must_use]
    pub fn minus(self, months: u32) -> Self {
        Self::from_number(self.number().saturating_sub(months))
    }

    /// Its place in the order of months: what it is called on disk.
    pub fn number(self) -> u32 {
        let (year, month) = (i32::from(self.year), i32::from(self.month));
        u32::try_from(year * 12 + month - 1).unwrap_or(0)
    }

    /// The month with this number; the last that the calendar has for one beyond.
    pub fn from_number(number: u32) -> Self {
        let year = i16::try_from(number / 12).unwrap_or(9999).min(9999);
        Self { year, month: i8::try_from(number % 12 + 1).unwrap_or(1) }
    }

    /// Its first instant, in Unix microseconds.
    pub fn start(self) -> u64 {
        let first = Date::new(self.year, self.month, 1).and_then(|day| day.to_zoned(TimeZone::UTC));
        first.map_or(0, |first| u64::try_from(first.timestamp().as_microsecond()).unwrap_or(0))
    }

    /// The first instant after it, in Unix microseconds.
    pub fn end(self) -> u64 {
        self.next().start()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = NotAMonth;

    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let parse = || {
            let (year, month) = text.split_once('-')?;
            let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let (year, month) =
                (Some(year).filter(|year| year.len() == 4), Some(month).filter(|month| month.len() == 2));
            let (year, month) = (year.filter(|text| is_plain(text))?, month.filter(|text| is_plain(text))?);
            let found = Self { year: year.parse().ok()?, month: month.parse().ok()? };
            // What is counted is of now.
            ((1..=12).contains(&found.month) && found.year >= 1970).then_some(found)
        };
        parse().ok_or_else(|| NotAMonth(text.to_owned()))
    }
}

impl TryFrom<String> for Month {
    type Error = NotAMonth;

    fn try_from(text: String) -> Result<Self, NotAMonth> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> String {
        month.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_begins_and_ends_at_midnight_in_utc() {
        let november = month("2026-11");
        assert_eq!((november.start(), november.end()), (1_793_491_200_000_000, 1_796_083_200_000_000));
        assert_eq!(Month::of(november.start()), november);
        assert_eq!(Month::of(november.start() - 1), month("2026-10"));
        assert_eq!(Month::of(november.end()), month("2026-12"));
        assert_eq!(Month::of(u64::MAX).to_string(), "9999-12");
    }

    #[test]
    fn months_are_numbered_across_years() {
        assert_eq!(month("2026-01").previous(), month("2025-12"));
        assert_eq!(month("2025-12").next(), month("2026-01"));
        assert_eq!(month("2026-02").minus(14), month("2024-12"));
        assert_eq!(Month::from_number(month("2026-11").number()), month("2026-11"));
        assert!(month("2026-11") > month("2026-09") && month("2027-01") > month("2026-12"));
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "+026-11", "2026-11-01", "1969-12", "2026-+1"]
        {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
