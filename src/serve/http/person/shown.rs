//! What is held about a person, as they are shown it: nothing is left out but secrets, and what others' data are.

use crate::accounts::notice::OutgoingNotice;
use crate::accounts::person::{HeldGrant, HeldMailbox, HeldMeans, HeldStructure, Line};
use crate::accounts::publication::Standing;
use crate::accounts::{Account, OpenSession, right_of};
use crate::serve::http::convert::shown_pace;
use crate::serve::http::message_flags::date;
use crate::serve::http::types::{
    PersonAcceptance, PersonAccess, PersonEvent, PersonMailbox, PersonMeans, PersonNotice, PersonSession,
    PersonStructure,
};
use crate::store::{Credential, CredentialKind, Holder, SecondFactor, SuspendedFor};

pub(super) fn mailbox(held: &HeldMailbox, person: &str) -> PersonMailbox {
    let (account, data) = (&held.account, &held.account.data);
    let changed = Some(data.state_changed_at).filter(|at| *at > 0);
    PersonMailbox {
        address: account.address.to_string(),
        kind: account.kind.to_string(),
        state: account.state.to_string(),
        created_at: date(data.created_at),
        state_since: changed.map(date),
        holder: holder(&data.holder),
        notification_address: data.notification_address.clone(),
        terms_version: data.terms_version.clone(),
        terms_accepted_at: data.terms_accepted_at.map(date),
        last_login_at: data.last_login_at.map(date),
        forward_to: data.forward.iter().flat_map(|forward| forward.to.clone()).collect(),
        absence: data.absence.as_ref().map(|absence| absence.text.clone()),
        comment: data.comment.clone(),
        second_factor: held.factor.is_some(),
        messages: held.usage.as_ref().map_or(0, |usage| usage.messages),
        bytes: held.usage.as_ref().map_or(0, |usage| usage.bytes),
        means: held.means.iter().map(|(_, credential)| means(account, credential)).collect(),
        shared_with: data.access_list.iter().map(|grant| grant.name.clone()).filter(|name| !name.is_empty()).collect(),
        settings: [settings(account), life(account, person), factors(held.factor.as_ref())].concat(),
        directory: held.beside.directory.as_ref().map(directory).unwrap_or_default(),
        networks: held.beside.networks.iter().map(|at| date(*at)).collect(),
        notices: waiting(&held.beside.notices, held.beside.new_mail_due),
        on_their_way: held.beside.on_their_way as u64,
        journal: held.beside.journal.iter().map(|line| event(line, person)).collect(),
    }
}

type Pair = (String, String);

/// Those of these that have a value.
fn pairs<const N: usize>(all: [(&str, Option<String>); N]) -> Vec<Pair> {
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn yes(is_so: bool) -> Option<String> {
    is_so.then(|| "oui".to_owned())
}

/// What the mailbox is set to.
fn settings(account: &Account) -> Vec<Pair> {
    let data = &account.data;
    let bounce = data.notice_bounce.as_ref().map(|bounce| format!("{}, {}", bounce.status, date(bounce.at)));
    let absence = data.absence.as_ref().map(|absence| format!("{} – {}", date(absence.from), date(absence.until)));
    pairs([
        ("Boîte de test", yes(data.test)),
        ("Limitée aux domaines de l’opérateur", yes(data.restricted)),
        ("Liste rouge", yes(data.red_list)),
        ("Dématérialisation acceptée", yes(data.zero_paper)),
        ("Quota en octets", data.quota.map(|quota| quota.to_string())),
        ("Mot de passe sans poste enrôlé", yes(data.allow_password)),
        ("Copie des envois", yes(data.save_sent)),
        ("Langue", data.language.clone()),
        ("Avis de nouveaux messages", data.new_mail_notices.map(shown_pace)),
        ("Adresse de notification refusée", bounce),
        ("Renvoi depuis le", data.forward.as_ref().map(|forward| date(forward.since))),
        ("Période d’absence", absence),
    ])
}

/// Where it is in its life, and why.
fn life(account: &Account, person: &str) -> Vec<Pair> {
    let data = &account.data;
    let suspended_for = data.suspended_for.map(|why| match why {
        SuspendedFor::Request => "conditions d’utilisation jamais acceptées",
        SuspendedFor::Terms => "nouvelles conditions d’utilisation non acceptées",
    });
    let closing = data.closing.as_ref();
    pairs([
        ("Motif de l’état", data.state_reason.clone()),
        ("Suspendue pour", suspended_for.map(str::to_owned)),
        ("Conditions acceptées par", data.terms_accepted_by.as_deref().map(|by| whom(by, person))),
        ("Conditions annoncées", data.terms_told.clone()),
        ("Annoncées le", data.terms_told_at.map(date)),
        ("Fermeture annoncée le", closing.map(|closing| date(closing.announced_at))),
        ("Fermeture rappelée le", closing.and_then(|closing| closing.reminded_at).map(date)),
        ("Fermeture à partir du", closing.map(|closing| date(closing.on))),
    ])
}

/// What is shown beside the password; secrets and codes aside.
fn factors(factor: Option<&SecondFactor>) -> Vec<Pair> {
    let Some(factor) = factor else { return Vec::new() };
    let mailed: Vec<String> = factor.mailed_at.iter().map(|at| date(*at)).collect();
    pairs([
        ("Application d’authentification depuis", factor.authenticator.as_ref().map(|each| date(each.since))),
        ("Application en cours d’ajout depuis", factor.begun.as_ref().map(|each| date(each.since))),
        ("Codes de secours restants", Some(factor.recovery.len().to_string())),
        ("Codes envoyés par courriel", Some(mailed.join(", ")).filter(|mailed| !mailed.is_empty())),
        ("Codes faux depuis le dernier bon", Some(factor.failures.to_string()).filter(|_| factor.failures > 0)),
        ("Codes refusés jusqu’à", Some(date(factor.locked_until)).filter(|_| factor.locked_until > 0)),
    ])
}

/// How a mailbox stands in the national directory.
fn directory(standing: &Standing) -> Vec<Pair> {
    let published = standing.published.as_ref();
    let waiting = standing.waiting.first();
    pairs([
        ("Publiée sous", published.map(|image| image.place.to_string())),
        ("Adresse publiée", published.map(|image| image.address.clone())),
        ("Description publiée", published.and_then(|image| image.description.clone())),
        ("Responsable publié", published.and_then(|image| image.responsible.clone())),
        ("État connu le", standing.published_at.map(date)),
        ("Publication essayée sous", standing.attempt.as_ref().map(ToString::to_string)),
        ("Publication en attente depuis", waiting.map(|pending| date(pending.at))),
        (
            "Dernière réponse de l’annuaire",
            waiting.map(|pending| pending.words.clone()).filter(|words| !words.is_empty()),
        ),
        ("Refus de l’annuaire", standing.task.as_ref().map(|task| format!("{} {}", task.status, task.words))),
    ])
}

/// Notices that wait, and the one of new messages that is to be written.
fn waiting(notices: &[OutgoingNotice], new_mail_due: Option<i64>) -> Vec<PersonNotice> {
    let shown = |notice: &OutgoingNotice| PersonNotice {
        notice: notice.notice.name().to_owned(),
        to: notice.to.to_string(),
        at: date(notice.at),
    };
    let due = |at| PersonNotice { notice: "new-mail".to_owned(), to: String::new(), at: date(at) };
    notices.iter().map(shown).chain(new_mail_due.map(due)).collect()
}

pub(super) fn structure(held: &HeldStructure) -> PersonStructure {
    let data = &held.account.data;
    PersonStructure {
        mailbox: held.account.address.to_string(),
        holder: holder(&data.holder),
        notification_address: data.notification_address.clone(),
        notices: waiting(&held.notices, None),
    }
}

pub(super) fn acceptance(account: &Account) -> PersonAcceptance {
    PersonAcceptance {
        mailbox: account.address.to_string(),
        version: account.data.terms_version.clone(),
        at: account.data.terms_accepted_at.map(date),
    }
}

pub(super) fn addresses(accounts: &[Account]) -> Vec<String> {
    accounts.iter().map(|account| account.address.to_string()).collect()
}

pub(super) fn event((key, entry): &Line, person: &str) -> PersonEvent {
    PersonEvent {
        mailbox: entry.address.clone(),
        at: date(i64::try_from(key.at / 1_000_000).unwrap_or(i64::MAX)),
        step: entry.step.clone(),
        detail: entry.detail.clone(),
        by: whom(&entry.by, person),
        reason: entry.reason.clone(),
    }
}

/// Who did something, for this person: nobody else's number is told.
fn whom(by: &str, person: &str) -> String {
    let is_nobodys = matches!(by, "server" | "operator") || by.starts_with("administrator");
    if is_nobodys || by == person { by.to_owned() } else { "une autre personne".to_owned() }
}

fn holder(holder: &Holder) -> Vec<(String, String)> {
    let fields = [
        ("Civilité", &holder.title),
        ("Prénom", &holder.first_name),
        ("Nom", &holder.last_name),
        ("Numéro national", &holder.national_id),
        ("Numéro de structure", &holder.structure_id),
        ("Structure", &holder.entity),
        ("Service", &holder.service),
        ("Libellé", &holder.label),
        ("Profession", &holder.profession),
        ("Spécialité", &holder.speciality),
        ("Numéro d’activité", &holder.activity_id),
        ("Responsable", &holder.responsible),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
}

pub(super) fn access(held: &HeldGrant) -> PersonAccess {
    let grant = &held.grant;
    PersonAccess {
        mailbox: held.account.address.to_string(),
        name: grant.name.clone(),
        rights: grant.rights.iter().map(|right| right_of(*right).name().to_owned()).collect(),
        since: date(grant.since),
        until: grant.until.map(date),
    }
}

pub(super) fn elsewhere(held: &HeldMeans) -> PersonMeans {
    means(&held.account, &held.credential)
}

fn means(account: &Account, credential: &Credential) -> PersonMeans {
    let kind = match credential.kind {
        CredentialKind::Password { .. } => "mot de passe",
        CredentialKind::Device { .. } => "poste enrôlé",
        CredentialKind::CertificateFingerprint { .. }
        | CredentialKind::CertificateSubject { .. }
        | CredentialKind::CertificateStructure { .. } => "certificat",
    };
    PersonMeans {
        mailbox: account.address.to_string(),
        kind: kind.to_owned(),
        label: credential.label.clone(),
        created_at: date(credential.created_at),
        last_used_at: credential.last_used_at.map(date),
        expires_at: credential.expires_at.map(date),
    }
}

pub(super) fn shown_session(session: &OpenSession) -> PersonSession {
    PersonSession {
        mailbox: session.login.address.to_string(),
        door: session.door.to_owned(),
        peer: session.peer.to_string(),
        began_at: date(session.began_at),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::accounts::person::Beside;
    use crate::store;
    use crate::store::AccountId;

    #[test]
    fn all_that_a_record_says_of_its_holder_is_told() {
        let said = |text: &str| Some(text.to_owned());
        // Without a default: a field that comes anew has to be thought of here.
        let whole = Holder {
            title: said("1"),
            first_name: said("2"),
            last_name: said("3"),
            national_id: said("4"),
            structure_id: said("5"),
            entity: said("6"),
            service: said("7"),
            label: said("8"),
            profession: said("9"),
            speciality: said("10"),
            responsible: said("11"),
            activity_id: said("12"),
        };
        let mut told: Vec<u32> = holder(&whole).iter().map(|(_, value)| value.parse().unwrap()).collect();
        told.sort_unstable();
        assert_eq!(told, (1..=12).collect::<Vec<_>>());
    }

    #[test]
    fn all_that_a_mailboxs_record_says_is_told() {
        let at = |day: i64| 1_790_000_000 + day * 86_400;
        let record = json!({
            "address": "lea@aura.example", "kind": "CAB", "state": "suspended", "test": true, "restricted": true,
            "red_list": true, "zero_paper": true, "holder": { "last_name": "nom-7" },
            "access_list": [{ "person": "899700000002", "name": "accès-7" }],
            "notification_address": "lea@fai.example", "quota": 4711, "allow_password": true, "save_sent": true,
            "terms_version": "cgu-7", "terms_accepted_at": at(1), "terms_accepted_by": "par-7", "terms_told": "cgu-8",
            "terms_told_at": at(2), "suspended_for": "terms",
            "closing": { "announced_at": at(3), "reminded_at": at(4), "on": at(5) },
            "created_at": at(6), "state_changed_at": at(7), "state_reason": "motif-7", "last_login_at": at(8),
            "language": "langue-7", "comment": "note-7", "forward": { "to": ["renvoi@x.example"], "since": at(9) },
            "absence": { "from": at(10), "until": at(11), "text": "absence-7" }, "new_mail_notices": "hourly",
            "notice_bounce": { "at": at(12), "status": "550 5.1.1" },
        });
        let data: store::Account = serde_json::from_value(record).unwrap();
        let fields = serde_json::to_value(&data).unwrap();
        let address = crate::mss::Address::parse(&data.address).unwrap();
        let (kind, state) = (crate::mss::Kind::Cab, crate::mss::MailboxState::Suspended);
        let account = Account { id: AccountId(7), address, kind, state, data };
        let held = HeldMailbox { account, usage: None, means: Vec::new(), factor: None, beside: Beside::default() };
        let told = serde_json::to_string(&mailbox(&held, "par-7")).unwrap();
        let day = |day| date(at(day));
        let [accepted, announced, created, turned, login] = [1, 2, 6, 7, 8].map(day);
        let closing = [3, 4, 5].map(day);
        for field in fields.as_object().unwrap().keys() {
            let wanted: Vec<&str> = match field.as_str() {
                "address" => vec!["lea@aura.example"],
                "kind" => vec!["CAB"],
                "state" => vec!["suspended"],
                "test" => vec!["Boîte de test"],
                "restricted" => vec!["Limitée aux domaines"],
                "red_list" => vec!["Liste rouge"],
                "zero_paper" => vec!["Dématérialisation"],
                "holder" => vec!["nom-7"],
                "access_list" => vec!["accès-7"],
                "notification_address" => vec!["lea@fai.example"],
                "quota" => vec!["4711"],
                "allow_password" => vec!["Mot de passe sans poste"],
                "save_sent" => vec!["Copie des envois"],
                "terms_version" => vec!["cgu-7"],
                "terms_accepted_at" => vec![&accepted],
                "terms_accepted_by" => vec!["par-7"],
                "terms_told" => vec!["cgu-8"],
                "terms_told_at" => vec![&announced],
                "suspended_for" => vec!["Suspendue pour"],
                "closing" => closing.iter().map(String::as_str).collect(),
                "created_at" => vec![&created],
                "state_changed_at" => vec![&turned],
                "state_reason" => vec!["motif-7"],
                "last_login_at" => vec![&login],
                "language" => vec!["langue-7"],
                "comment" => vec!["note-7"],
                "forward" => vec!["renvoi@x.example", "Renvoi depuis"],
                "absence" => vec!["absence-7", "Période d’absence"],
                "new_mail_notices" => vec!["hourly"],
                "notice_bounce" => vec!["550 5.1.1"],
                // They say nothing of anybody; of a forgotten mailbox nobody is told, since nobody is known.
                "changed_at" | "next_credential" | "sealed_key" | "forgotten_at" => Vec::new(),
                other => panic!("where is `{other}` told?"),
            };
            for wanted in wanted {
                assert!(told.contains(wanted), "{field}: {wanted} is not in {told}");
            }
        }
    }

    #[test]
    fn nobody_elses_number_is_told() {
        let of = |by| whom(by, "899700000001");
        for by in ["server", "operator", "administrator uid 0", "administrator", "899700000001"] {
            assert_eq!(of(by), by);
        }
        assert_eq!(of("899700000002"), "une autre personne");
    }
}
