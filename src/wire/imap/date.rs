//! Dates, RFC 3501 §9: `date` of SEARCH and `date-time` of APPEND and INTERNALDATE. Proleptic Gregorian, no leap seconds.

use std::io::Write as _;

use super::cursor::{Cursor, ParseError};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// Days from 1970-01-01 to a civil date that is one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Howard Hinnant's algorithm: years begin in March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads `date`, bare or in quotes; gives the days since 1970-01-01.
pub fn date(cursor: &mut Cursor<'_>) -> Result<i64, ParseError> {
    let quoted = cursor.eat(b'"');
    let day = digits(cursor, 1, 2)?;
    let days = month_and_year(cursor, day)?;
    if quoted {
        cursor.expect(b'"', "Expected a closing quote after the date")?;
    }
    Ok(days)
}

/// Reads `date-time`, `"17-Jul-1996 02:44:25 -0700"`; gives seconds since 1970-01-01 UTC.
pub fn date_time(cursor: &mut Cursor<'_>) -> Result<i64, ParseError> {
    cursor.expect(b'"', "Expected a date and time in quotes")?;
    // date-day-fixed: two digits, or a space and one.
    let day = if cursor.eat(b' ') { digits(cursor, 1, 1)? } else { digits(cursor, 2, 2)? };
    let days = month_and_year(cursor, day)?;
    cursor.space()?;
    let hour = digits(cursor, 2, 2)?;
    cursor.expect(b':', "Expected a time as hh:mm:ss")?;
    let minute = digits(cursor, 2, 2)?;
    cursor.expect(b':', "Expected a time as hh:mm:ss")?;
    let second = digits(cursor, 2, 2)?;
    cursor.space()?;
    let west = match cursor.peek() {
        Some(b'-') => true,
        Some(b'+') => false,
        _ => return Err(ParseError::bad("Expected a zone as +hhmm or -hhmm")),
    };
    let _ = cursor.eat(b'-') || cursor.eat(b'+');
    let zone = digits(cursor, 4, 4)?;
    cursor.expect(b'"', "Expected a closing quote after the date")?;
    // 60 is a leap second.
    if hour > 23 || minute > 59 || second > 60 || zone % 100 > 59 {
        return Err(ParseError::bad("No such time"));
    }
    let offset = (zone / 100 * 60 + zone % 100) * 60;
    let local = days * DAY + hour * 3_600 + minute * 60 + second.min(59);
    Ok(if west { local + offset } else { local - offset })
}

/// Writes `date-time` in UTC, quotes included. Years outside of four digits are brought to the nearest that fits.
pub fn write_date_time(out: &mut Vec<u8>, at: i64) {
    let (min, max) = (days_from_civil(0, 1, 1) * DAY, days_from_civil(10_000, 1, 1) * DAY - 1);
    let at = at.clamp(min, max);
    let (year, month, day) = civil_from_days(at.div_euclid(DAY));
    let second = at.rem_euclid(DAY);
    let month = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&MONTHS[0]);
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "\"{day:2}-{month}-{year:04} {:02}:{:02}:{:02} +0000\"",
        second / 3_600,
        second / 60 % 60,
        second % 60
    );
}

/// Days since 1970-01-01 of a civil date, if there is such a day.
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let real = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    real.then(|| days_from_civil(year, month, day))
}

/// The number, from 1, of a month's English abbreviation.
pub fn month(name: &[u8]) -> Option<i64> {
    let index = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    i64::try_from(index + 1).ok()
}

fn month_and_year(cursor: &mut Cursor<'_>, day: i64) -> Result<i64, ParseError> {
    cursor.expect(b'-', "Expected a date as d-Mmm-yyyy")?;
    let month = month(cursor.run(|byte| byte.is_ascii_alphabetic())).ok_or(ParseError::bad("No such month"))?;
    cursor.expect(b'-', "Expected a date as d-Mmm-yyyy")?;
    let year = digits(cursor, 4, 4)?;
    days(year, month, day).ok_or(ParseError::bad("No such day"))
}

fn digits(cursor: &mut Cursor<'_>, least: usize, most: usize) -> Result<i64, ParseError> {
    let digits = cursor.run(|byte| byte.is_ascii_digit());
    if !(least..=most).contains(&digits.len()) {
        return Err(ParseError::bad("Date or time with a wrong number of digits"));
    }
    Ok(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}
