//! A person's data as a page to read and print: one file, no script, nothing fetched.

use maud::{DOCTYPE, Markup, html};

use super::texts;
use crate::serve::http::types::{
    MailboxTraces, Person, PersonEvent, PersonMailbox, PersonMeans, PersonNotice, PersonStructure,
};

const STYLE: &str = "body{font:16px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}\
    table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}th,td{border:1px solid #999;padding:.35rem .5rem;\
    text-align:left;vertical-align:top}th{background:#eee}h2{margin-top:2rem}";

/// The whole page.
pub(super) fn page(person: &Person) -> String {
    let body = html! {
        (DOCTYPE)
        html lang="fr" {
            head {
                meta charset="utf-8";
                meta name="referrer" content="no-referrer";
                title { (texts::TITLE) " – " (person.person) }
                style { (STYLE) }
            }
            body {
                h1 { (texts::TITLE) }
                p { "Personne : " strong { (person.person) } ". Opérateur : " (person.operator) ". Établi le " (person.made_at) "." }
                p { (texts::RIGHTS) }
                h2 { "Boîtes aux lettres" }
                (none_or(person.mailboxes.is_empty(), html! { @for mailbox in &person.mailboxes { (held(mailbox)) } }))
                h2 { "Responsable de boîtes de structures" }
                (none_or(person.responsible_for.is_empty(), html! { @for held in &person.responsible_for { (structure(held)) } }))
                h2 { "Conditions d'utilisation acceptées pour d'autres boîtes" }
                (none_or(person.accepted.is_empty(), table(&["Boîte", "Version", "Le"], person.accepted.iter().map(|each| {
                    vec![each.mailbox.clone(), optional(each.version.as_ref()), optional(each.at.as_ref())]
                }))))
                h2 { "Actes sur d'autres boîtes" }
                (none_or(person.acts.is_empty(), events(&person.acts)))
                h2 { "Boîtes d'autres personnes qui renvoient vers les siennes" }
                (none_or(person.forwarding.is_empty(), list(&person.forwarding)))
                h2 { "Annuaire national : autres boîtes publiées à son nom" }
                (none_or(person.directory.is_empty(), list(&person.directory)))
                h2 { "Accès à d'autres boîtes" }
                (none_or(person.access.is_empty(), table(&["Boîte", "Nom inscrit", "Droits", "Depuis", "Jusqu'à"], person.access.iter().map(|access| {
                    vec![access.mailbox.clone(), access.name.clone(), access.rights.join(", "), access.since.clone(), optional(access.until.as_ref())]
                }))))
                h2 { "Moyens d'accès à d'autres boîtes" }
                (none_or(person.means.is_empty(), means(&person.means)))
                h2 { "Sessions ouvertes" }
                (none_or(person.sessions.is_empty(), table(&["Boîte", "Porte", "Depuis l'adresse", "Début"], person.sessions.iter().map(|session| {
                    vec![session.mailbox.clone(), session.door.clone(), session.peer.clone(), session.began_at.clone()]
                }))))
                h2 { "Traces" }
                (none_or(person.traces.count == 0, html! {
                    p {
                        @if person.traces.more { "Plus de " }
                        (person.traces.count) " traces, de " (optional(person.traces.first.as_ref())) " à "
                        (optional(person.traces.last.as_ref())) "."
                    }
                }))
                (list(&person.traces.mailboxes.iter().map(traces_of_mailbox).collect::<Vec<_>>()))
                @if !person.traces.unreadable.is_empty() {
                    p { "Une partie des traces n’a pas pu être lue : il peut y en avoir d’autres." }
                }
                h2 { "Pourquoi, et jusqu'à quand" }
                (table(&["Données", "Fondement", "Conservation"], person.grounds.iter().map(|ground| {
                    vec![ground.data.clone(), ground.why.clone(), ground.until.clone()]
                })))
            }
        }
    };
    body.into_string()
}

fn traces_of_mailbox(traces: &MailboxTraces) -> String {
    let at_least = if traces.more { "plus de " } else { "" };
    format!("{} : {at_least}{} traces, qui que ce soit qui ait agi", traces.mailbox, traces.count)
}

fn held(mailbox: &PersonMailbox) -> Markup {
    let mut rows = vec![
        ("Nature".to_owned(), mailbox.kind.clone()),
        ("État".to_owned(), mailbox.state.clone()),
        ("Dans cet état depuis".to_owned(), optional(mailbox.state_since.as_ref())),
        ("Créée le".to_owned(), mailbox.created_at.clone()),
    ];
    rows.extend(mailbox.holder.iter().cloned());
    rows.extend([
        ("Adresse de notification".to_owned(), optional(mailbox.notification_address.as_ref())),
        ("Conditions d'utilisation".to_owned(), optional(mailbox.terms_version.as_ref())),
        ("Acceptées le".to_owned(), optional(mailbox.terms_accepted_at.as_ref())),
        ("Dernière connexion".to_owned(), optional(mailbox.last_login_at.as_ref())),
        ("Renvoi vers".to_owned(), mailbox.forward_to.join(", ")),
        ("Texte d'absence".to_owned(), optional(mailbox.absence.as_ref())),
        ("Notes de l'opérateur".to_owned(), optional(mailbox.comment.as_ref())),
        ("Second facteur".to_owned(), if mailbox.second_factor { "oui".into() } else { "non".into() }),
        ("Contenu".to_owned(), format!("{} messages, {} octets", mailbox.messages, mailbox.bytes)),
        ("Partagée avec".to_owned(), mailbox.shared_with.join(", ")),
    ]);
    rows.extend(mailbox.settings.iter().cloned());
    rows.extend([
        ("Réseaux de connexion, vus pour la dernière fois le".to_owned(), mailbox.networks.join(", ")),
        ("Messages en cours d'envoi".to_owned(), mailbox.on_their_way.to_string()),
    ]);
    rows.extend(mailbox.directory.iter().map(|(name, value)| (format!("Annuaire national : {name}"), value.clone())));
    html! {
        h3 { (mailbox.address) }
        (named(&rows))
        @if !mailbox.means.is_empty() { (means(&mailbox.means)) }
        @if !mailbox.notices.is_empty() { (notices(&mailbox.notices)) }
        @if !mailbox.journal.is_empty() { (events(&mailbox.journal)) }
    }
}

fn structure(held: &PersonStructure) -> Markup {
    let mut rows = held.holder.clone();
    rows.push(("Adresse de notification".to_owned(), optional(held.notification_address.as_ref())));
    html! {
        h3 { (held.mailbox) }
        (named(&rows))
        @if !held.notices.is_empty() { (notices(&held.notices)) }
    }
}

fn named(rows: &[(String, String)]) -> Markup {
    html! {
        table { @for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) { tr { th { (name) } td { (value) } } } }
    }
}

fn list(addresses: &[String]) -> Markup {
    html! { ul { @for address in addresses { li { (address) } } } }
}

fn notices(notices: &[PersonNotice]) -> Markup {
    let row = |notice: &PersonNotice| vec![notice.notice.clone(), notice.to.clone(), notice.at.clone()];
    table(&["Avis en attente", "À l'adresse", "Du"], notices.iter().map(row))
}

fn events(events: &[PersonEvent]) -> Markup {
    let row = |event: &PersonEvent| {
        let (detail, reason) = (optional(event.detail.as_ref()), optional(event.reason.as_ref()));
        vec![event.at.clone(), event.mailbox.clone(), event.step.clone(), detail, event.by.clone(), reason]
    };
    table(&["Le", "Boîte", "Événement", "Détail", "Par", "Motif"], events.iter().map(row))
}

fn means(means: &[PersonMeans]) -> Markup {
    let head = ["Boîte", "Moyen", "Nom", "Créé le", "Dernier usage", "Échéance"];
    table(
        &head,
        means.iter().map(|means| {
            let (used, ends) = (optional(means.last_used_at.as_ref()), optional(means.expires_at.as_ref()));
            vec![means.mailbox.clone(), means.kind.clone(), means.label.clone(), means.created_at.clone(), used, ends]
        }),
    )
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Markup {
    html! {
        table {
            tr { @for name in head { th { (name) } } }
            @for row in rows { tr { @for cell in row { td { (cell) } } } }
        }
    }
}

fn none_or(is_none: bool, some: Markup) -> Markup {
    if is_none {
        html! { p { "Aucune donnée." } }
    } else {
        some
    }
}

fn optional(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_in_itself_and_escapes_what_people_wrote() {
        let mailbox = PersonMailbox {
            address: "anne.roux@aura.example".into(),
            comment: Some("<script>alert(1)</script>".into()),
            ..PersonMailbox::default()
        };
        let text = page(&Person { mailboxes: vec![mailbox], ..Person::default() });
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !text.contains("<script"));
        assert!(!text.contains("http") && !text.contains("src="), "nothing is fetched");
        assert!(text.starts_with("<!DOCTYPE html>") && text.contains("Aucune donnée."));
    }
}
