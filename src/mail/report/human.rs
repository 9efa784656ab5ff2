//! The part of a report that people read: French, a line, English.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::mail::queue::Kind;
use crate::mss::text::french_day;

use super::lines::harmless;
use super::texts::{self, Language, explain};
use super::{Action, Report, Reported};

/// Characters of a peer's words that people are shown.
const WORDS: usize = 500;

/// The order in which people want to know.
pub(super) const ORDER: [Action; 4] = [Action::Failed, Action::Delayed, Action::Relayed, Action::Delivered];

/// The whole text, with CRLF line ends. `whole` says that the original is enclosed entirely.
pub(super) fn text(report: &Report, recipients: &[&Reported], host: &str, whole: bool) -> String {
    let french = Letter { report, recipients, host, whole, language: Language::French }.write();
    let english = Letter { report, recipients, host, whole, language: Language::English }.write();
    format!("{french}\r\n{}\r\n\r\n{english}", "-".repeat(70))
}

struct Letter<'a> {
    report: &'a Report,
    recipients: &'a [&'a Reported],
    host: &'a str,
    whole: bool,
    language: Language,
}

impl Letter<'_> {
    fn write(&self) -> String {
        let language = self.language;
        let automatic = texts::AUTOMATIC.in_language(language);
        let mut text = format!("{}\r\n\r\n{automatic} {}.\r\n", texts::GREETING.in_language(language), self.host);
        for action in ORDER {
            let concerned: Vec<_> = self.recipients.iter().filter(|recipient| recipient.action == action).collect();
            if concerned.is_empty() {
                continue;
            }
            text.push_str(&format!("\r\n{}\r\n", texts::heading(action).in_language(language)));
            concerned.into_iter().for_each(|recipient| self.recipient(recipient, &mut text));
        }
        if self.report.original.envelope.kind == Kind::Forward {
            text.push_str(&format!("\r\n{}\r\n", texts::FORWARDED.in_language(language)));
        }
        let sent = moment(self.report.original.accepted_at, language);
        text.push_str(&format!("\r\n{} {sent}.\r\n", texts::SENT_ON.in_language(language)));
        if self.whole {
            text.push_str(&format!("{}\r\n", texts::ENCLOSED.in_language(language)));
        }
        let reference = harmless(&self.report.original.envelope.reference, WORDS);
        text.push_str(&format!("{} {reference}\r\n", texts::REFERENCE.in_language(language)));
        text
    }

    fn recipient(&self, recipient: &Reported, text: &mut String) {
        let language = self.language;
        text.push_str(&format!("\r\n    {}\r\n", harmless(&recipient.address.to_string(), WORDS)));
        if matches!(recipient.action, Action::Delivered | Action::Relayed) {
            return;
        }
        let words = &recipient.words;
        let (late, reason) = explain(recipient.action, words.rule.as_deref(), &words.status);
        let why: Vec<_> = late.into_iter().chain([reason.why]).map(|text| text.in_language(language)).collect();
        text.push_str(&format!("    {} {}\r\n", texts::WHY.in_language(language), why.join(" ")));
        let advice = reason.advice.in_language(language);
        text.push_str(&format!("    {} {advice}\r\n", texts::ADVICE.in_language(language)));
        if let Some(until) = recipient.retry_until.filter(|_| recipient.action == Action::Delayed) {
            let until = moment(until, language);
            text.push_str(&format!("    {} {until}.\r\n", texts::UNTIL.in_language(language)));
        }
        self.said(recipient, text);
    }

    /// The peer's own words, or ours for who has to help.
    fn said(&self, recipient: &Reported, text: &mut String) {
        let words = &recipient.words;
        let said = harmless(&words.text, WORDS);
        let status = harmless(&words.status, 20);
        let (open, close, colon) = match self.language {
            Language::French => ("« ", " »", " :"),
            Language::English => ("\"", "\"", ":"),
        };
        let line = match (words.code, &words.host) {
            (Some(code), Some(host)) => {
                let (answer, host) = (texts::ANSWER.in_language(self.language), harmless(host, 255));
                format!("{answer} {host}{colon} {open}{code} {status} {said}{close}")
            }
            _ if said.is_empty() => return,
            _ => format!("{} {status} {said}", texts::DETAIL.in_language(self.language)),
        };
        text.push_str(&format!("    {line}\r\n"));
    }
}

/// An instant in Paris, as people write it there or in English. The rule of the clocks is the Union's (directive 2000/84);
/// no time zone database is needed.
fn moment(at: i64, language: Language) -> String {
    const ENGLISH_MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let paris = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(TimeZone::UTC);
    let at = Timestamp::from_second(at).unwrap_or_default().to_zoned(paris);
    let (hour, minute) = (at.hour(), at.minute());
    match language {
        Language::French => format!("{} à {hour} h {minute:02} (heure de Paris)", french_day(at.date())),
        Language::English => {
            let month = ENGLISH_MONTHS[usize::from(at.month().unsigned_abs()).saturating_sub(1).min(11)];
            format!("{} {month} {} at {hour:02}:{minute:02} (Paris time)", at.day(), at.year())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_in_the_time_of_paris() {
        for (at, french, english) in [
            (1_763_769_600, "22 novembre 2025 à 1 h 00 (heure de Paris)", "22 November 2025 at 01:00 (Paris time)"),
            (1_751_328_000, "1er juillet 2025 à 2 h 00 (heure de Paris)", "1 July 2025 at 02:00 (Paris time)"),
            // The last Sunday of March, at one o'clock UTC.
            (1_743_296_399, "30 mars 2025 à 1 h 59 (heure de Paris)", "30 March 2025 at 01:59 (Paris time)"),
            (1_743_296_400, "30 mars 2025 à 3 h 00 (heure de Paris)", "30 March 2025 at 03:00 (Paris time)"),
        ] {
            assert_eq!(moment(at, Language::French), french);
            assert_eq!(moment(at, Language::English), english);
        }
    }
}
