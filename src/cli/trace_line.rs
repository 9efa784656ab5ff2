//! A trace in one line, for people.

use crate::audit::{Action, Actor, FolderKind, MessageFacts};
use crate::serve::http::types::ShownTrace;

/// What a row of a list shows of a trace.
pub(super) struct Line {
    /// What happened.
    pub(super) what: String,
    /// To whom.
    pub(super) who: String,
    /// What else is known of it.
    pub(super) detail: String,
}

/// `2026-11-25T13:03:07.125000Z` to the second: what people read.
pub(super) fn time(at: &str) -> String {
    at.get(..19).unwrap_or(at).replace('T', " ")
}

/// Who did it, from where: what stands in a column of its own where traces of many people are listed.
pub(super) fn asker(trace: &ShownTrace) -> String {
    let Actor { by, person, login, means, device } = &trace.actor;
    let who = person.as_ref().or(login.as_ref()).cloned();
    let role = by.filter(|_| who.is_none()).map(|by| format!("{by:?}").to_lowercase());
    let how = [means.clone(), device.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let how = (!how.is_empty()).then(|| format!("({how})"));
    let from = trace.origin.peer.as_ref().map(|peer| format!("from {peer}"));
    let door = (!trace.origin.door.is_empty()).then(|| format!("by {}", trace.origin.door));
    [who.or(role), how, door, from].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A trace as a row.
pub(super) fn line(trace: &ShownTrace) -> Line {
    let of = |what: &str, who: String, detail: String| Line { what: what.into(), who, detail };
    match &trace.what {
        Action::Accepted { sender, queued, delivered } => accepted(trace, sender, queued, delivered),
        Action::Refused { rule, sender, recipient } => {
            let sender = if sender.is_empty() { "<>" } else { sender };
            of("refused", recipient.clone().unwrap_or_default(), format!("from {sender}; rule {rule}"))
        }
        Action::Tried { recipient, result, words, attempt } => {
            of(result, recipient.clone(), format!("try {attempt}: {words}"))
        }
        Action::Handled { handling } => of(handling, String::new(), "by the operator".into()),
        Action::Reported { result, recipients, report } => {
            of("sender told", recipients.join(", "), format!("{result}; report {report}"))
        }
        Action::ReportLost { result, recipients, reason } => {
            of("sender not told", recipients.join(", "), format!("{result}; {reason}"))
        }
        Action::ReportCame { result, recipient, report, text } => {
            let details = [Some(result), Some(text).filter(|text| !text.is_empty()), report.as_ref()];
            of("report came", recipient.clone().unwrap_or_default(), joined(details))
        }
        Action::Disposition { recipient, disposition, notification, error } => {
            let details = [Some(disposition), error.as_ref(), notification.as_ref()];
            of("notification came", recipient.clone().unwrap_or_default(), joined(details))
        }
        other => of(&other.name().replace('-', " "), trace.mailbox.clone().unwrap_or_default(), plain(other)),
    }
}

fn accepted(trace: &ShownTrace, sender: &str, queued: &[String], delivered: &[String]) -> Line {
    let sender = if sender.is_empty() { "<>" } else { sender };
    let mut details = vec![format!("from {sender} by {}", trace.origin.door)];
    let Actor { person, login, .. } = &trace.actor;
    details.extend(login.as_ref().map(|login| match person {
        Some(person) => format!("written by {person} in {login}"),
        None => format!("written in {login}"),
    }));
    details.extend((!delivered.is_empty()).then(|| format!("delivered to {}", delivered.len())));
    details.extend((!queued.is_empty()).then(|| format!("queued for {}", queued.len())));
    if let Some(MessageFacts { mss, size, .. }) = &trace.message {
        details.extend(size.map(|size| format!("{size} octets")));
        details.extend(mss.iter().map(|(name, value)| format!("{name}: {value}")));
    }
    Line { what: "accepted".into(), who: [delivered, queued].concat().join(", "), detail: details.join("; ") }
}

/// What the rest of the actions say, beside their name and the mailbox.
fn plain(action: &Action) -> String {
    let count = |messages: u32, folder: &FolderKind| format!("{messages} in {}", folder_name(*folder));
    match action {
        Action::LoginRefused { reason, asked } => joined([Some(reason), asked.as_ref()]),
        Action::LoginsRefused { count } => format!("{count} more within a minute"),
        Action::ManyRefused { rules } => {
            let rules: Vec<String> = rules.iter().map(|(rule, count)| format!("{count} by rule {rule}")).collect();
            format!("within a minute {}", rules.join(", "))
        }
        Action::LoggedOut { reason } => reason.clone(),
        Action::Opened { folder } => folder_name(*folder).into(),
        Action::Read { folder, messages }
        | Action::Searched { folder, messages }
        | Action::Appended { folder, messages }
        | Action::Deleted { folder, messages } => count(*messages, folder),
        Action::Copied { folder, to, to_mailbox, messages } | Action::Moved { folder, to, to_mailbox, messages } => {
            let mailbox = to_mailbox.as_ref().map(|mailbox| format!(" of {mailbox}")).unwrap_or_default();
            format!("{} to {}{mailbox}", count(*messages, folder), folder_name(*to))
        }
        Action::Exported { messages } => format!("{messages} messages"),
        Action::Administered { what, fields, about } => {
            let fields = (!fields.is_empty()).then(|| fields.join(", "));
            joined([Some(what), fields.as_ref(), about.as_ref()])
        }
        Action::Lived { step, detail } => joined([Some(step), detail.as_ref()]),
        Action::Noticed { notice, result } => format!("{notice}; {result}"),
        Action::Published { operation, result } => format!("{operation}; {result}"),
        Action::JobRan { job, result, detail } => {
            joined([Some(job), Some(result), Some(detail).filter(|detail| !detail.is_empty())])
        }
        _ => String::new(),
    }
}

fn folder_name(folder: FolderKind) -> &'static str {
    match folder {
        FolderKind::Inbox => "INBOX",
        FolderKind::Sent => "Sent",
        FolderKind::Drafts => "Drafts",
        FolderKind::Trash => "Trash",
        FolderKind::Junk => "Junk",
        FolderKind::Archive => "Archive",
        FolderKind::Other => "another folder",
    }
}

fn joined<'a>(details: impl IntoIterator<Item = Option<&'a String>>) -> String {
    details.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{By, Origin, Trace};

    fn shown(action: Action) -> ShownTrace {
        ShownTrace::from(Trace::of(action))
    }

    #[test]
    fn every_kind_of_step_reads_as_one_line() {
        let text = |what: &str| Some(what.to_owned());
        let message = MessageFacts {
            message_id: "<x@y>".into(),
            size: Some(1_024),
            mss: vec![("X-MSS-INS".into(), "O".into())],
            ..MessageFacts::default()
        };
        let accepted = Trace {
            actor: Actor { person: text("899700000001"), login: text("c@aura.example"), ..Actor::default() },
            origin: Origin { door: "submission".into(), ..Origin::default() },
            message: Some(message),
            ..Trace::of(Action::Accepted {
                sender: "a@aura.example".into(),
                queued: vec!["b@nord.example".into()],
                delivered: vec!["c@aura.example".into()],
            })
        };
        let (folder, to) = (FolderKind::Inbox, FolderKind::Trash);
        let traces = [
            accepted.into(),
            shown(Action::Tried {
                recipient: "b@nord.example".into(),
                result: "failed".into(),
                words: "550 5.1.1 no such user [mx.nord.example]".into(),
                attempt: 2,
            }),
            shown(Action::Handled { handling: "held".into() }),
            shown(Action::Reported {
                result: "failed".into(),
                recipients: vec!["b@nord.example".into()],
                report: "<r@a>".into(),
            }),
            shown(Action::ReportLost { result: "failed".into(), recipients: Vec::new(), reason: "closed".into() }),
            shown(Action::ReportCame {
                result: "failed".into(),
                recipient: None,
                report: text("<r@b>"),
                text: "5.1.1".into(),
            }),
            shown(Action::Disposition {
                recipient: text("b@nord.example"),
                disposition: "processed/error".into(),
                notification: None,
                error: text("902^Patient inconnu"),
            }),
            shown(Action::Refused { rule: "not-listed".into(), sender: String::new(), recipient: None }),
            shown(Action::ManyRefused { rules: [("not-listed".to_owned(), 7), ("over-quota".to_owned(), 2)].into() }),
            shown(Action::Moved { folder, to, to_mailbox: text("e@aura.example"), messages: 3 }),
        ];
        let lines: Vec<String> = traces
            .iter()
            .map(|trace| {
                let Line { what, who, detail } = line(trace);
                format!("{what} | {who} | {detail}")
            })
            .collect();
        assert_eq!(
            lines,
            [
                "accepted | c@aura.example, b@nord.example | from a@aura.example by submission; written by 899700000001 in c@aura.example; delivered to 1; queued for 1; 1024 octets; X-MSS-INS: O",
                "failed | b@nord.example | try 2: 550 5.1.1 no such user [mx.nord.example]",
                "held |  | by the operator",
                "sender told | b@nord.example | failed; report <r@a>",
                "sender not told |  | failed; closed",
                "report came |  | failed; 5.1.1; <r@b>",
                "notification came | b@nord.example | processed/error; 902^Patient inconnu",
                "refused |  | from <>; rule not-listed",
                "many refused |  | within a minute 7 by rule not-listed, 2 by rule over-quota",
                "moved |  | 3 in INBOX to Trash of e@aura.example",
            ]
        );
        assert_eq!(time("2026-11-25T13:03:07.125000Z"), "2026-11-25 13:03:07");
    }

    #[test]
    fn who_asked_is_the_person_else_the_mailbox_else_the_role() {
        let by = |actor| asker(&ShownTrace::from(Trace { actor, ..Trace::of(Action::LoggedIn) }));
        let text = |what: &str| Some(what.to_owned());
        let whole = Actor { person: text("899"), login: text("a@b"), device: text("poste 3"), ..Actor::default() };
        assert_eq!(by(whole), "899 (poste 3)");
        assert_eq!(by(Actor { login: text("a@b"), means: text("password"), ..Actor::default() }), "a@b (password)");
        assert_eq!(by(Actor { by: Some(By::Server), ..Actor::default() }), "server");
        assert_eq!(by(Actor::default()), "");
    }
}
