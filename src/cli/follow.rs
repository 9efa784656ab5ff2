//! `caducee follow`: a message's way.

use std::process::ExitCode;

use clap::Args;

use super::client::{ServerArguments, path, query};
use super::output::{Exit, table};
use crate::mail::queue::Words;
use crate::mail::trail::Happening;
use crate::serve::http::types::{FollowQuery, Followed, FollowedEvent};

/// Shows what happened to a message: accepted, tried, delivered, reported
#[derive(Args, Debug)]
pub(super) struct Follow {
    #[command(flatten)]
    server: ServerArguments,
    /// The message's Message-ID, with or without its angle brackets
    message_id: String,
}

impl Follow {
    pub(super) fn run(self) -> ExitCode {
        let wanted = FollowQuery { message_id: self.message_id };
        self.server.run(async |client, output| {
            let followed: Followed = client.get(&(path(&["follow"]) + &query(&wanted)?)).await?;
            output.result(&followed, listing);
            Ok(Exit::Done)
        })
    }
}

fn listing(followed: &Followed) -> String {
    let row = |event: &FollowedEvent| {
        let Line { what, who, detail } = line(&event.what);
        [time(&event.at), what, who, detail, event.reference.clone()]
    };
    table(["time (UTC)", "what", "whom", "detail", "reference"], followed.events.iter().map(row))
}

/// `2026-11-25T13:03:07.125000Z` to the second: what people read.
fn time(at: &str) -> String {
    at.get(..19).unwrap_or(at).replace('T', " ")
}

struct Line {
    what: String,
    who: String,
    detail: String,
}

fn line(happening: &Happening) -> Line {
    let of = |what: &str, who: String, detail: String| Line { what: what.into(), who, detail };
    match happening {
        Happening::Accepted { door, sender, queued, delivered, mss, by } => {
            let sender = if sender.is_empty() { "<>" } else { sender };
            let mut details = vec![format!("from {sender} by {door}")];
            details.extend(by.as_ref().map(|by| match &by.person {
                Some(person) => format!("written by {person} in {}", by.mailbox),
                None => format!("written in {}", by.mailbox),
            }));
            details.extend((!delivered.is_empty()).then(|| format!("delivered to {}", delivered.len())));
            details.extend((!queued.is_empty()).then(|| format!("queued for {}", queued.len())));
            details.extend(mss.iter().map(|(name, value)| format!("{name}: {value}")));
            of("accepted", [delivered.as_slice(), queued].concat().join(", "), details.join("; "))
        }
        Happening::Tried { recipient, result, words, attempt } => {
            of(result, recipient.clone(), format!("try {attempt}: {}", said(words)))
        }
        Happening::Handled { action } => of(action, String::new(), "by the operator".into()),
        Happening::Reported { action, recipients, report } => {
            of("sender told", recipients.join(", "), format!("{action}; report {report}"))
        }
        Happening::ReportLost { action, recipients, reason } => {
            of("sender not told", recipients.join(", "), format!("{action}; {reason}"))
        }
        Happening::ReportCame { action, recipient, report, text } => {
            let details = [Some(action), Some(text).filter(|text| !text.is_empty()), report.as_ref()];
            of("report came", recipient.clone().unwrap_or_default(), joined(details))
        }
        Happening::Disposition { recipient, disposition, notification, error } => {
            let details = [Some(disposition), error.as_ref(), notification.as_ref()];
            of("notification came", recipient.clone().unwrap_or_default(), joined(details))
        }
    }
}

fn joined<'a>(details: impl IntoIterator<Item = Option<&'a String>>) -> String {
    details.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// `250 2.6.0 taken [mx.other.example]`
fn said(words: &Words) -> String {
    let code = words.code.map(|code| code.to_string());
    let host = words.host.as_ref().map(|host| format!("[{host}]"));
    let rule = words.rule.as_ref().map(|rule| format!("[rule {rule}]"));
    let parts = [code, Some(words.status.clone()), Some(words.text.clone()), host, rule];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::trail::Author;

    #[test]
    fn every_kind_of_event_reads_as_one_line() {
        let words = Words {
            code: Some(550),
            status: "5.1.1".into(),
            text: "no such user".into(),
            host: Some("mx.nord.example".into()),
            rule: None,
        };
        let unlisted = Words { code: None, host: None, rule: Some("dn-not-listed".into()), ..words.clone() };
        let tried = |words: &Words| Happening::Tried {
            recipient: "b@nord.example".into(),
            result: "failed".into(),
            words: words.clone(),
            attempt: 2,
        };
        let text = |what: &str| Some(what.to_owned());
        let events = [
            Happening::Accepted {
                door: "submission".into(),
                sender: "a@aura.example".into(),
                queued: vec!["b@nord.example".into()],
                delivered: vec!["c@aura.example".into()],
                mss: vec![("X-MSS-INS".into(), "O".into())],
                by: Some(Author { person: text("899700000001"), mailbox: "c@aura.example".into() }),
            },
            tried(&words),
            tried(&unlisted),
            Happening::Handled { action: "held".into() },
            Happening::Reported {
                action: "failed".into(),
                recipients: vec!["b@nord.example".into()],
                report: "<r@a>".into(),
            },
            Happening::ReportLost { action: "failed".into(), recipients: Vec::new(), reason: "closed".into() },
            Happening::ReportCame {
                action: "failed".into(),
                recipient: None,
                report: text("<r@b>"),
                text: "5.1.1".into(),
            },
            Happening::Disposition {
                recipient: text("b@nord.example"),
                disposition: "processed/error".into(),
                notification: None,
                error: text("902^Patient inconnu"),
            },
        ];
        let lines: Vec<String> = events
            .iter()
            .map(|event| {
                let Line { what, who, detail } = line(event);
                format!("{what} | {who} | {detail}")
            })
            .collect();
        assert_eq!(
            lines,
            [
                "accepted | c@aura.example, b@nord.example | from a@aura.example by submission; written by 899700000001 in c@aura.example; delivered to 1; queued for 1; X-MSS-INS: O",
                "failed | b@nord.example | try 2: 550 5.1.1 no such user [mx.nord.example]",
                "failed | b@nord.example | try 2: 5.1.1 no such user [rule dn-not-listed]",
                "held |  | by the operator",
                "sender told | b@nord.example | failed; report <r@a>",
                "sender not told |  | failed; closed",
                "report came |  | failed; 5.1.1; <r@b>",
                "notification came | b@nord.example | processed/error; 902^Patient inconnu",
            ]
        );
        assert_eq!(time("2026-11-25T13:03:07.125000Z"), "2026-11-25 13:03:07");
    }
}
