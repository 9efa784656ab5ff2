//! The date in an mbox file's `From ` line.
//!
//! Mostly C's asctime (`Sun Nov 22 00:49:54 2026`), without a zone and taken as UTC, as those who write it mean it. Some programs add a
//! zone before or after the year, others write an RFC 5322 date.

use jiff::Timestamp;
use jiff::civil::{DateTime, date};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The date of a `From ` line in Unix seconds, if it has one from its day of the week to its end.
pub fn of_from_line(line: &[u8]) -> Option<i64> {
    let line = std::str::from_utf8(line.get(..line.len().min(512))?).ok()?;
    let words: Vec<&str> = line.strip_prefix("From ")?.split_ascii_whitespace().collect();
    // The sender may hold blanks and even the name of a day: the date is what stands last.
    let day = words.iter().rposition(|word| DAYS.contains(&word.trim_end_matches(',')))?;
    let words = &words[day + 1..];
    of_asctime(words).or_else(|| of_rfc5322(words))
}

/// The date of a header field (RFC 5322 §3.3), in Unix seconds: with or without a day of the week, a comment at its end.
pub fn of_header(value: &str) -> Option<i64> {
    let value = value.split_once('(').map_or(value, |(date, _comment)| date);
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let day_named = words.first().is_some_and(|word| DAYS.contains(&word.trim_end_matches(',')));
    of_rfc5322(if day_named { &words[1..] } else { &words })
}

/// `Nov 22 00:49:54 2026`, with a zone perhaps before or after the year.
fn of_asctime(words: &[&str]) -> Option<i64> {
    let [month, day, time, rest @ ..] = words else { return None };
    let (year, zone) = match rest {
        [year] => (year, None),
        [one, two] if zone(one).is_some() => (two, Some(one)),
        [year, last] => (year, Some(last)),
        _ => return None,
    };
    seconds(year, month, day, time, zone.copied())
}

/// `22 Nov 2026 00:49:54 +0100`.
fn of_rfc5322(words: &[&str]) -> Option<i64> {
    match words {
        [day, month, year, time] => seconds(year, month, day, time, None),
        [day, month, year, time, zone] => seconds(year, month, day, time, Some(zone)),
        _ => None,
    }
}

fn seconds(year: &str, month: &str, day: &str, time: &str, zone_text: Option<&str>) -> Option<i64> {
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1;
    let year: i16 = year.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut parts = time.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    // A leap second is the second before it.
    let second = parts.next().map_or(Some(0), number)?.min(59);
    if parts.next().is_some() {
        return None;
    }
    let day = date_of(year, i8::try_from(month).ok()?, number(day)?)?;
    let civil = DateTime::from_parts(day, jiff::civil::Time::new(hour, minute, second, 0).ok()?);
    let utc = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(utc - zone_text.map_or(Some(0), zone)?)
}

fn date_of(year: i16, month: i8, day: i8) -> Option<jiff::civil::Date> {
    // jiff::civil::date panics on what is no date; Date::new does not.
    let first = date(year, month, 1);
    first.with().day(day).build().ok()
}

fn number(text: &str) -> Option<i8> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Seconds east of Greenwich. Names of zones other than the universal ones are not unique; they are taken as UTC.
fn zone(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix(['+', '-']) {
        let (hours, minutes) = (number(digits.get(..2)?)?, number(digits.get(2..4)?)?);
        let east = i64::from(hours) * 3600 + i64::from(minutes) * 60;
        return (digits.len() == 4 && minutes < 60).then_some(if text.starts_with('-') { -east } else { east });
    }
    let name = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase());
    name.then_some(0)
}

/// A date as asctime writes it, in UTC. What lies outside of the years that can be written becomes 1970.
pub fn text(date: i64) -> String {
    let moment = Timestamp::from_second(date).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: i64 = 1_795_308_594;

    #[test]
    fn dates_as_programs_write_them() {
        for line in [
            "From a@b.example Sun Nov 22 00:49:54 2026\n",
            "From - Sun Nov 22 00:49:54 2026\r\n",
            "From \"Dr Sun\" Sun Nov 22 00:49:54 2026",
            "From 1234@xxx Sun Nov 22 00:49:54 +0000 2026",
            "From a@b Sun Nov 22 01:49:54 +0100 2026",
            "From a@b Sun Nov 22 00:49:54 2026 GMT",
            "From a@b Sun, 22 Nov 2026 01:49:54 +0100",
            "From  Sun Nov 22 00:49:54 UTC 2026",
        ] {
            assert_eq!(of_from_line(line.as_bytes()), Some(MOMENT), "{line}");
        }
        assert_eq!(of_from_line(b"From a Thu Jan  1 00:00 1970"), Some(0));
    }

    #[test]
    fn prose_is_no_date() {
        for line in [
            "From Sun to Mon it rained",
            "From a@b.example",
            "From the Sun Nov 22 at 10:30 in 2026 we write",
            "From a Sun Nov 31 00:00:00 2026",
            "From a Sun Nov 22 25:00:00 2026",
            "From a Sun Nov 22 00:00:00 1",
        ] {
            assert_eq!(of_from_line(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(text(MOMENT), "Sun Nov 22 00:49:54 2026");
        assert_eq!(of_from_line(format!("From x {}", text(8)).as_bytes()), Some(8));
    }
}
