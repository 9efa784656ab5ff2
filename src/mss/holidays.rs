//! Working days in France: what the delay of an answer is counted in (MSSanté §5: ten working days).
//!
//! Monday to Friday, without the eleven public holidays of article L3133-1 of the Code du travail. Those of Alsace and Moselle
//! and of the overseas departments are not counted: who has them has a day less than ten, never the operator one more.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

/// Whether a day is a public holiday in all of France (Code du travail, L3133-1).
pub fn is_holiday(day: Date) -> bool {
    const FIXED: [(i8, i8); 8] = [(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)];
    // Easter Monday, Ascension, Whit Monday: days after Easter.
    const MOVING: [i64; 3] = [1, 39, 50];
    let easter = easter(day.year());
    FIXED.contains(&(day.month(), day.day())) || MOVING.iter().any(|after| later(easter, *after) == day)
}

/// Whether people work on a day.
pub fn is_working_day(day: Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !is_holiday(day)
}

/// The working day that is the `count`th after `day`; `day` itself for none.
pub fn working_days_after(day: Date, count: u32) -> Date {
    let mut reached = day;
    for _ in 0..count {
        reached = later(reached, 1);
        while !is_working_day(reached) && reached < Date::MAX {
            reached = later(reached, 1);
        }
    }
    reached
}

/// So many days later; the calendar's last day where it ends before.
pub(super) fn later(day: Date, days: i64) -> Date {
    // Beyond what a span of days can hold there is no calendar either.
    day.checked_add(days.clamp(-4_000_000, 4_000_000).days()).unwrap_or(Date::MAX)
}

/// Easter Sunday (Meeus, Jones and Butcher's reckoning of the Gregorian calendar).
fn easter(year: i16) -> Date {
    let year = i32::from(year);
    let (golden, century, of_century) = (year % 19, year / 100, year % 100);
    let correction = (century - (century + 8) / 25 + 1) / 3;
    let moon = (19 * golden + century - century / 4 - correction + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - moon - of_century % 4) % 7;
    let leap = (golden + 11 * moon + 22 * weekday) / 451;
    let march_based = moon + weekday - 7 * leap + 114;
    let (month, day) = (march_based / 31, march_based % 31 + 1);
    let field = |value: i32| i8::try_from(value).unwrap_or(1);
    Date::new(i16::try_from(year).unwrap_or(i16::MAX), field(month), field(day)).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn easter_falls_where_the_calendars_have_it() {
        for (year, month, day) in [
            (1961, 4, 2),
            (1999, 4, 4),
            (2000, 4, 23),
            (2008, 3, 23),
            (2011, 4, 24),
            (2024, 3, 31),
            (2025, 4, 20),
            (2026, 4, 5),
            (2027, 3, 28),
            (2038, 4, 25),
            (2049, 4, 18),
        ] {
            assert_eq!(easter(year), date(year, month, day));
        }
    }

    #[test]
    fn easter_is_a_sunday_between_the_22_of_march_and_the_25_of_april() {
        for year in 1583..=4099 {
            let easter = easter(year);
            assert_eq!(easter.weekday(), Weekday::Sunday, "{easter}");
            assert!((date(year, 3, 22)..=date(year, 4, 25)).contains(&easter), "{easter}");
        }
    }

    #[test]
    fn a_year_has_its_eleven_holidays() {
        let of = |year: i16| -> Vec<Date> {
            let first = date(year, 1, 1);
            (0..366).map(|n| later(first, n)).filter(|day| day.year() == year && is_holiday(*day)).collect()
        };
        let year = |days: [(i8, i8); 11], year| days.map(|(month, day)| date(year, month, day)).to_vec();
        let fixed_and = |monday, ascension, whit| {
            let mut days =
                [(1, 1), monday, (5, 1), (5, 8), ascension, whit, (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)];
            days.sort_unstable();
            days
        };
        assert_eq!(of(2026), year(fixed_and((4, 6), (5, 14), (5, 25)), 2026));
        assert_eq!(of(2027), year(fixed_and((3, 29), (5, 6), (5, 17)), 2027));
        // In 2008 Ascension was the first of May as well: ten days.
        assert_eq!(of(2008).len(), 10);
    }

    #[test]
    fn ten_working_days_skip_week_ends_and_holidays() {
        for (from, count, reached) in [
            // A Monday without holidays near.
            (date(2026, 6, 1), 10, date(2026, 6, 15)),
            // A Friday: the next one is a Monday.
            (date(2026, 6, 5), 1, date(2026, 6, 8)),
            // A Sunday counts from the Monday.
            (date(2026, 6, 7), 1, date(2026, 6, 8)),
            // Over 1 May (a Friday), 8 May (a Friday), Ascension (14 May).
            (date(2026, 4, 27), 10, date(2026, 5, 13)),
            (date(2026, 5, 7), 5, date(2026, 5, 18)),
            // Over Christmas and New Year, both Fridays in 2026/27.
            (date(2026, 12, 21), 10, date(2027, 1, 6)),
            (date(2026, 6, 6), 0, date(2026, 6, 6)),
        ] {
            assert_eq!(working_days_after(from, count), reached, "{count} after {from}");
        }
    }

    #[test]
    fn the_end_of_the_calendar_is_no_end_of_the_process() {
        assert_eq!(working_days_after(Date::MAX, 10), Date::MAX);
        assert_eq!(later(Date::MAX, i64::MAX), Date::MAX);
    }
}
