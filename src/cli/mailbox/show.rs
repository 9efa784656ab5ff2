//! How mailboxes are shown to people.

use crate::cli::output::{pairs, size, table, tick};
use crate::mss::lifecycle::DAYS_TO_ACCEPT;
use crate::serve::http::types::{Absence, AccessGrant, Forward, Mailbox};

/// A table of mailboxes.
pub(super) fn listing(mailboxes: &[Mailbox]) -> String {
    if mailboxes.is_empty() {
        return "No mailbox.".into();
    }
    let row = |mailbox: &Mailbox| {
        [
            mailbox.address.clone(),
            mailbox.kind.clone(),
            stage(mailbox),
            tick(mailbox.test),
            holder_name(mailbox),
            mailbox.used_messages.to_string(),
            size(mailbox.used_bytes),
            mailbox.quota.map_or_else(|| "none".into(), size),
        ]
    };
    table(["address", "kind", "state", "test", "holder", "messages", "used", "quota"], mailboxes.iter().map(row))
}

/// Everything about one mailbox.
pub(super) fn details(mailbox: &Mailbox) -> String {
    let holder = &mailbox.holder;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    pairs([
        ("address", mailbox.address.clone()),
        ("id", mailbox.id.to_string()),
        ("kind", mailbox.kind.clone()),
        ("state", mailbox.state.clone()),
        ("stage", mailbox.stage.clone()),
        ("closing on", text(&mailbox.closing_on)),
        ("terms accepted", text(&mailbox.terms_version)),
        ("terms owed", text(&mailbox.terms_owed)),
        ("state since", text(&mailbox.state_changed_at)),
        ("reason", text(&mailbox.state_reason)),
        ("test", tick(mailbox.test)),
        ("restricted", tick(mailbox.restricted)),
        ("red list", tick(mailbox.red_list)),
        ("zero paper", tick(mailbox.zero_paper)),
        ("files what it sends", tick(mailbox.save_sent)),
        ("holder", holder_name(mailbox)),
        ("national id", text(&holder.national_id)),
        ("structure id", text(&holder.structure_id)),
        ("entity", text(&holder.entity)),
        ("service", text(&holder.service)),
        ("label", text(&holder.label)),
        ("profession", text(&holder.profession)),
        ("speciality", text(&holder.speciality)),
        ("responsible", text(&holder.responsible)),
        ("activity", text(&holder.activity_id)),
        ("access list", mailbox.access_list.iter().map(grant).collect::<Vec<_>>().join("; ")),
        ("sent on to", mailbox.forward.as_ref().map(forward).unwrap_or_default()),
        ("absence", mailbox.absence.as_ref().map(absence).unwrap_or_default()),
        ("messages", mailbox.used_messages.to_string()),
        ("used", used(mailbox)),
        ("password", password_state(mailbox).into()),
        ("certificates", mailbox.certificates.to_string()),
        ("notices to", notices(mailbox)),
        ("told of new mail", mailbox.new_mail_notices.clone().unwrap_or_else(|| "as the server does".into())),
        ("created", text(&mailbox.created_at)),
        ("last login", text(&mailbox.last_login_at)),
        ("comment", text(&mailbox.comment)),
    ])
}

/// How long a mailbox goes on that was opened again without the terms that its holder owes.
pub(super) fn owing(version: &str) -> String {
    format!(
        "The terms of use {version} are still to be accepted: the next run tells its holder again, who has {DAYS_TO_ACCEPT} days \
         from then; after that it is suspended as before."
    )
}

fn used(mailbox: &Mailbox) -> String {
    match mailbox.quota {
        Some(quota) => format!("{} of {}", size(mailbox.used_bytes), size(quota)),
        None => size(mailbox.used_bytes),
    }
}

/// Where it is in its life; an older server tells its state alone.
fn stage(mailbox: &Mailbox) -> String {
    Some(&mailbox.stage).filter(|stage| !stage.is_empty()).unwrap_or(&mailbox.state).clone()
}

fn notices(mailbox: &Mailbox) -> String {
    let address = mailbox.notification_address.clone().unwrap_or_default();
    match &mailbox.notices_refused {
        Some(status) => format!("{address} (takes NOTHING: {status})"),
        None => address,
    }
}

fn password_state(mailbox: &Mailbox) -> &'static str {
    match (mailbox.has_password, mailbox.allow_password) {
        (true, true) => "set; it opens the mailbox ALONE (for tests)",
        (true, false) => "set; with an enrolled workstation's certificate",
        (false, true) => "none set; it would open the mailbox ALONE (for tests)",
        (false, false) => "none set",
    }
}

/// Who else uses a mailbox, one a line.
pub(super) fn access_list(mailbox: &Mailbox) -> String {
    if mailbox.access_list.is_empty() {
        return format!("Nobody but its holder uses {}.", mailbox.address);
    }
    let row = |entry: &AccessGrant| {
        let who = entry.person.as_ref().or(entry.mailbox.as_ref()).cloned().unwrap_or_default();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        [who, entry.name.clone(), entry.rights.join(","), text(&entry.since), text(&entry.until)]
    };
    table(["who", "name", "rights", "since", "until"], mailbox.access_list.iter().map(row))
}

fn grant(grant: &AccessGrant) -> String {
    let who = grant.person.as_ref().or(grant.mailbox.as_ref()).map_or("", String::as_str);
    let name = if grant.name.is_empty() { String::new() } else { format!(" ({})", grant.name) };
    format!("{who}{name} {}", grant.rights.join(","))
}

fn forward(forward: &Forward) -> String {
    let copy = if forward.keep_copy { "a copy is kept" } else { "no copy is kept" };
    let since = forward.since.as_ref().map(|since| format!(", since {since}")).unwrap_or_default();
    format!("{} ({copy}{since})", forward.to.join(", "))
}

fn absence(absence: &Absence) -> String {
    let citizens = if absence.citizens { ", citizens too" } else { "" };
    format!("from {} until {}{citizens}: {}", absence.from, absence.until, absence.text)
}

/// Who holds it, in the order of a display name (MSSanté §4).
fn holder_name(mailbox: &Mailbox) -> String {
    let holder = &mailbox.holder;
    let person = [&holder.title, &holder.first_name, &holder.last_name];
    let person: Vec<&str> = person.into_iter().filter_map(|part| part.as_deref()).collect();
    if person.is_empty() {
        [&holder.label, &holder.entity].into_iter().find_map(Clone::clone).unwrap_or_default()
    } else {
        person.join(" ")
    }
}

/// A generated password, shown for the only time.
pub(super) fn password_once(password: &str) -> String {
    format!("Password: {password}\nIt is shown this once and kept nowhere in clear.")
}
