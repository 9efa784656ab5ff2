//! What a mailbox does with its mail by itself, as options of `set`.

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::cli::client::ClientError;
use crate::serve::http::types::{Absence, Forward, MailboxChange};

/// Options on forwarding and absence.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Forwarding and absence")]
pub(super) struct HandlingArguments {
    /// Send its mail on to this address within the trust space, and keep none (repeatable, up to five)
    #[arg(long, value_name = "ADDRESS", conflicts_with = "no_forward")]
    forward_to: Vec<String>,
    /// Keep the mail that is sent on as well
    #[arg(long, requires = "forward_to")]
    forward_keep_copy: bool,
    /// Send nothing on any more
    #[arg(long)]
    no_forward: bool,
    /// What correspondents are told while the holder is away, at most once a week each
    #[arg(long, value_name = "TEXT", requires = "absence_until", conflicts_with = "no_absence")]
    absence_text: Option<String>,
    /// First day of absence, as 2026-08-01, or an instant [default: now]
    #[arg(long, value_name = "DATE", requires = "absence_text", value_parser = parse_first)]
    absence_from: Option<Timestamp>,
    /// Last day of absence, as 2026-08-15, or the instant from which it is over
    #[arg(long, value_name = "DATE", requires = "absence_text", value_parser = parse_last)]
    absence_until: Option<Timestamp>,
    /// Answer citizens too
    #[arg(long, requires = "absence_text")]
    absence_citizens: bool,
    /// The holder is back
    #[arg(long)]
    no_absence: bool,
}

impl HandlingArguments {
    /// Puts them into a change.
    pub(super) fn apply(self, change: &mut MailboxChange) -> Result<(), ClientError> {
        if self.no_forward {
            change.forward = Some(None);
        } else if !self.forward_to.is_empty() {
            change.forward =
                Some(Some(Forward { to: self.forward_to, keep_copy: self.forward_keep_copy, since: None }));
        }
        if self.no_absence {
            change.absence = Some(None);
        } else if let (Some(text), Some(until)) = (self.absence_text, self.absence_until) {
            let from = self.absence_from.unwrap_or_else(Timestamp::now);
            if from >= until {
                return Err(ClientError::Local("the absence is over before it begins".into()));
            }
            let (from, until) = (whole_seconds(from), whole_seconds(until));
            change.absence = Some(Some(Absence { from, until, text, citizens: self.absence_citizens }));
        }
        Ok(())
    }
}

fn whole_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn parse_first(text: &str) -> Result<Timestamp, String> {
    parse(text, 0)
}

/// The last day counts whole: it is over when the next one begins.
fn parse_last(text: &str) -> Result<Timestamp, String> {
    parse(text, 1)
}

/// An instant (RFC 3339), or the beginning of a day here, so many days later.
fn parse(text: &str, days_later: i64) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let expected = || "expected a day, as 2026-08-15, or an instant, as 2026-08-15T12:00:00+02:00".to_owned();
    let day: Date = text.parse().map_err(|_| expected())?;
    let day = day.checked_add(days_later.days()).map_err(|_| expected())?;
    let start = day.to_zoned(TimeZone::system()).map_err(|_| expected())?;
    Ok(start.timestamp())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        handling: HandlingArguments,
    }

    fn change(arguments: &[&str]) -> Result<MailboxChange, String> {
        let line = ["set"].iter().chain(arguments);
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        let mut change = MailboxChange::default();
        line.handling.apply(&mut change).map_err(|error| error.to_string())?;
        Ok(change)
    }

    #[test]
    fn a_forward_is_set_whole_or_taken_away() {
        let set =
            change(&["--forward-to", "a@x.example", "--forward-to", "b@x.example", "--forward-keep-copy"]).unwrap();
        let forward = set.forward.unwrap().unwrap();
        assert_eq!((forward.to.len(), forward.keep_copy), (2, true));
        assert_eq!(change(&["--no-forward"]).unwrap().forward, Some(None));
        assert_eq!(change(&[]).unwrap(), MailboxChange::default());
        assert!(change(&["--forward-keep-copy"]).is_err());
        assert!(change(&["--no-forward", "--forward-to", "a@x.example"]).is_err());
    }

    #[test]
    fn an_absence_lasts_to_the_end_of_its_last_day() {
        let days = ["--absence-text", "Absente", "--absence-from", "2026-08-01", "--absence-until", "2026-08-01"];
        let absence = change(&days).unwrap().absence.unwrap().unwrap();
        let (from, until): (Timestamp, Timestamp) = (absence.from.parse().unwrap(), absence.until.parse().unwrap());
        assert_eq!(until.as_second() - from.as_second(), 86_400);
        let instant = ["--absence-text", "x", "--absence-until", "2096-08-15T12:00:00.5+02:00"];
        assert_eq!(change(&instant).unwrap().absence.unwrap().unwrap().until, "2096-08-15T10:00:00Z");
        assert_eq!(change(&["--no-absence"]).unwrap().absence, Some(None));
        for bad in [
            &["--absence-text", "x"][..],
            &["--absence-until", "2026-08-01"],
            &["--absence-text", "x", "--absence-until", "tomorrow"],
            &["--absence-text", "x", "--absence-from", "2026-08-02", "--absence-until", "2026-08-01"],
            &["--absence-citizens"],
        ] {
            assert!(change(bad).is_err(), "{bad:?}");
        }
    }
}
