//! Traces as CSV (RFC 4180, UTF-8): for spreadsheets and for whoever asks an operator for them.

use crate::cli::trace_line::{Line, line};
use crate::serve::http::types::ShownTrace;

const COLUMNS: [&str; 15] = [
    "at",
    "action",
    "role",
    "person",
    "login",
    "means",
    "device",
    "mailbox",
    "door",
    "peer",
    "subject",
    "whom",
    "detail",
    "message_id",
    "reference",
];

/// The traces, a line each behind a line of names.
pub(super) fn written(traces: &[ShownTrace]) -> String {
    let mut out = String::new();
    put(&mut out, COLUMNS);
    for trace in traces {
        let Line { who, detail, .. } = line(trace);
        let (actor, origin) = (trace.actor.clone(), trace.origin.clone());
        let role = actor.by.map(|by| format!("{by:?}").to_lowercase());
        let message_id = trace.message.as_ref().map(|message| message.message_id.clone());
        let optional = [role, actor.person, actor.login, actor.means, actor.device, trace.mailbox.clone()];
        let [role, person, login, means, device, mailbox] = optional.map(Option::unwrap_or_default);
        let [peer, subject, message_id] = [origin.peer, origin.subject, message_id].map(Option::unwrap_or_default);
        let action = trace.what.name().to_owned();
        let (at, reference) = (trace.at.clone(), trace.reference.clone());
        let fields = [
            at,
            action,
            role,
            person,
            login,
            means,
            device,
            mailbox,
            origin.door,
            peer,
            subject,
            who,
            detail,
            message_id,
            reference,
        ];
        put(&mut out, fields.each_ref().map(String::as_str));
    }
    out
}

fn put<const N: usize>(out: &mut String, fields: [&str; N]) {
    out.push_str(&fields.map(quoted).join(","));
    out.push_str("\r\n");
}

/// A field as it stands in a line. One that a spreadsheet would take for a formula is kept from being one: addresses and
/// other operators' words stand here.
fn quoted(field: &str) -> String {
    let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !field.contains(['"', ',', '\r', '\n']) {
        return field.to_owned();
    }
    format!("\"{guard}{}\"", field.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Action, Actor, By, Trace};

    #[test]
    fn what_others_wrote_is_text_in_a_spreadsheet() {
        let tried = Action::Tried {
            recipient: "=1+1@x.example".into(),
            result: "failed".into(),
            words: "550 \"no\", never".into(),
            attempt: 1,
        };
        let actor = Actor { by: Some(By::Server), ..Actor::default() };
        let trace =
            Trace { at: 1_000_000, actor, mailbox: Some("a@b".into()), reference: "r".into(), ..Trace::of(tried) };
        let lines = written(&[trace.into()]);
        let lines: Vec<&str> = lines.split_terminator("\r\n").collect();
        assert_eq!(lines[0].split(',').count(), COLUMNS.len());
        assert_eq!(
            lines[1],
            "1970-01-01T00:00:01.000000Z,tried,server,,,,,a@b,,,,\"'=1+1@x.example\",\"try 1: 550 \"\"no\"\", never\",,r"
        );
    }
}
