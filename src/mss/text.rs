//! How days and bytes are written, in whatever holders, senders and programs read of us.

use std::fmt::Write;

use jiff::civil::Date;

const MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

/// `25 novembre 2026`, `1er janvier 2027`.
pub fn french_day(date: Date) -> String {
    // jiff's months go from 1 to 12.
    let month = MONTHS[usize::from(date.month().unsigned_abs()) - 1];
    let day = if date.day() == 1 { "1er".to_owned() } else { date.day().to_string() };
    format!("{day} {month} {}", date.year())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_written_as_people_do() {
        assert_eq!(french_day(date(2026, 11, 25)), "25 novembre 2026");
        assert_eq!(french_day(date(1970, 1, 1)), "1er janvier 1970");
        assert_eq!(french_day(date(2027, 12, 31)), "31 décembre 2027");
    }

    #[test]
    fn bytes_are_written_two_digits_each() {
        assert_eq!(hex(&[0, 9, 0xa0, 0xff]), "0009a0ff");
        assert_eq!(hex(&[]), "");
    }
}
