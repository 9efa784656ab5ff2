//! Days as they are written in French, in whatever is read by holders and senders.

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
pub fn day(date: Date) -> String {
    // jiff's months go from 1 to 12.
    let month = MONTHS[usize::from(date.month().unsigned_abs()) - 1];
    let day = if date.day() == 1 { "1er".to_owned() } else { date.day().to_string() };
    format!("{day} {month} {}", date.year())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_written_as_people_do() {
        assert_eq!(day(date(2026, 11, 25)), "25 novembre 2026");
        assert_eq!(day(date(1970, 1, 1)), "1er janvier 1970");
        assert_eq!(day(date(2027, 12, 31)), "31 décembre 2027");
    }
}
