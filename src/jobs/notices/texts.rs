//! What notices say, in French, all of it here.
//!
//! Rules: no link (a notice must not teach people to click on links), no content, no name of a person; the mailbox is named
//! by its address, a device by its name.

use crate::accounts::day_of;
use crate::accounts::notice::{By, Notice};
use crate::mss::text::french_day;

/// A notice's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) subject: &'static str,
    /// Paragraphs.
    pub(super) body: Vec<String>,
}

/// What is said of `notice` about `mailbox`.
pub(super) fn text(notice: &Notice, mailbox: &str) -> Text {
    let (subject, what) = match notice {
        Notice::Code { code, until } => return code_text(code.reveal(), *until, mailbox),
        Notice::NewMail { messages, or_more } => return new_mail(*messages, *or_more, mailbox),
        Notice::QuotaReached { percent } => return quota_reached(*percent, mailbox),
        Notice::QuotaFull => return quota_full(mailbox),
        Notice::Maintenance { text } => return maintenance(text, mailbox),
        Notice::DeviceEnrolled { device, until } => (
            "Nouvel appareil autorisé",
            format!(
                "Un nouvel appareil, « {device} », peut désormais ouvrir la boîte aux lettres {mailbox}. Son certificat est \
                 valable jusqu'au {}.",
                day(*until)
            ),
        ),
        Notice::DeviceRenewed { device, until } => (
            "Certificat d'appareil renouvelé",
            format!(
                "L'appareil « {device} », qui ouvre la boîte aux lettres {mailbox}, a reçu un nouveau certificat, valable \
                 jusqu'au {}.",
                day(*until)
            ),
        ),
        Notice::DeviceRevoked { device, by } => (
            "Appareil révoqué",
            format!(
                "L'accès de l'appareil « {device} » à la boîte aux lettres {mailbox} a été révoqué{}.",
                by_whom(*by)
            ),
        ),
        Notice::AuthenticatorAdded => (
            "Application d'authentification activée",
            format!(
                "Une application d'authentification protège désormais l'accès à la boîte aux lettres {mailbox}. Les codes ne \
                 sont plus envoyés par courriel."
            ),
        ),
        Notice::AuthenticatorRemoved { by } => (
            "Application d'authentification retirée",
            format!(
                "L'application d'authentification de la boîte aux lettres {mailbox} a été retirée{}.",
                by_whom(*by)
            ),
        ),
        Notice::RecoveryCodesMade => (
            "Nouveaux codes de secours",
            format!(
                "De nouveaux codes de secours ont été créés pour la boîte aux lettres {mailbox}. Les précédents ne sont plus \
                 utilisables."
            ),
        ),
        Notice::RecoveryCodeUsed { left } => (
            "Code de secours utilisé",
            format!(
                "Un code de secours vient de servir à ouvrir la boîte aux lettres {mailbox}. {}",
                codes_left(*left)
            ),
        ),
        Notice::FactorsReset => (
            "Double authentification réinitialisée",
            format!(
                "L'administrateur a réinitialisé la double authentification de la boîte aux lettres {mailbox} : application \
                 d'authentification et codes de secours ne sont plus utilisables."
            ),
        ),
        Notice::PasswordChanged { by } => (
            "Mot de passe modifié",
            format!("Le mot de passe de la boîte aux lettres {mailbox} a été modifié{}.", by_whom(*by)),
        ),
        Notice::PasswordRemoved { by } => (
            "Mot de passe supprimé",
            format!("Le mot de passe de la boîte aux lettres {mailbox} a été supprimé{}.", by_whom(*by)),
        ),
        Notice::TermsChanged { version, until } => return terms_text(version, *until, mailbox),
        Notice::ClosingAnnounced { on } => return closing_text("Fermeture de votre boîte aux lettres", *on, mailbox),
        Notice::ClosingReminder { on } => {
            return closing_text("Rappel : fermeture imminente de votre boîte aux lettres", *on, mailbox);
        }
        Notice::Closed => return closed_text(mailbox),
        Notice::AddressChanged => (
            "Adresse de notification modifiée",
            format!(
                "Les avis concernant la boîte aux lettres {mailbox} sont désormais envoyés à une autre adresse que \
                 celle-ci."
            ),
        ),
        Notice::NewPlace { peer } => (
            "Connexion depuis un nouveau réseau",
            format!(
                "La boîte aux lettres {mailbox} vient d'être ouverte depuis un réseau qui n'était pas connu (adresse \
                 {peer}). Un changement de fournisseur d'accès ou un déplacement en est souvent la raison."
            ),
        ),
    };
    let alarm = "Si vous n'êtes pas à l'origine de cette opération, prévenez immédiatement l'assistance.";
    Text { subject, body: vec![what, alarm.into()] }
}

fn code_text(code: &str, until: i64, mailbox: &str) -> Text {
    let body = vec![
        format!("Votre code pour accéder à la boîte aux lettres {mailbox} :"),
        format!("    {code}"),
        format!(
            "Il est valable jusqu'à {} et ne sert qu'une fois. Personne, pas même l'assistance, ne vous le demandera.",
            hour(until)
        ),
        "Si vous n'avez pas demandé ce code, quelqu'un connaît votre mot de passe : prévenez immédiatement l'assistance."
            .into(),
    ];
    // The code is not in the subject: it would stand on a locked screen.
    Text { subject: "Votre code d'accès", body }
}

fn terms_text(version: &str, until: Option<i64>, mailbox: &str) -> Text {
    let then = match until {
        Some(until) => format!(
            "Acceptez-les avant la fin du {} : passé cette date, la boîte sera suspendue jusqu'à leur acceptation. Rien n'y \
             sera perdu.",
            day(until)
        ),
        None => "La boîte s'ouvrira dès que vous les aurez acceptées.".into(),
    };
    let body = vec![
        format!(
            "Des conditions d'utilisation (version {version}) sont à accepter pour la boîte aux lettres {mailbox}. \
             Connectez-vous pour cela à la page des titulaires de votre opérateur."
        ),
        then,
    ];
    Text { subject: "Conditions d'utilisation à accepter", body }
}

/// MSSanté §5: told two months before, and once more.
fn closing_text(subject: &'static str, on: i64, mailbox: &str) -> Text {
    let body = vec![
        format!(
            "Personne ne s'est connecté à la boîte aux lettres {mailbox} depuis longtemps. Sans connexion de votre part, elle \
             sera fermée à partir du {}.",
            day(on)
        ),
        "À sa fermeture, tous ses messages seront effacés définitivement, et son adresse ne sera jamais réattribuée."
            .into(),
        "Pour la garder, il suffit de vous y connecter. Pour en conserver le contenu, enregistrez-le avant cette date."
            .into(),
    ];
    Text { subject, body }
}

fn closed_text(mailbox: &str) -> Text {
    let body = vec![
        format!(
            "La boîte aux lettres {mailbox} est fermée. Ses messages sont effacés définitivement, et son adresse ne sera jamais \
             réattribuée."
        ),
        "Si vous n'attendiez pas cette fermeture, prévenez l'assistance.".into(),
    ];
    Text { subject: "Boîte aux lettres fermée", body }
}

fn new_mail(messages: u32, or_more: bool, mailbox: &str) -> Text {
    let count = match (messages, or_more) {
        (1, false) => "Un nouveau message non lu vous attend".to_owned(),
        (messages, false) => format!("{messages} nouveaux messages non lus vous attendent"),
        (messages, true) => format!("Au moins {messages} nouveaux messages non lus vous attendent"),
    };
    let body = vec![
        format!("{count} dans la boîte aux lettres {mailbox}."),
        "Cet avis ne dit jamais de qui ils viennent ni de quoi ils parlent. Pour en changer la fréquence, adressez-vous à \
         l'assistance."
            .into(),
    ];
    Text { subject: "Nouveaux messages", body }
}

fn quota_reached(percent: u8, mailbox: &str) -> Text {
    let body = vec![
        format!("La boîte aux lettres {mailbox} occupe plus de {percent} % de l'espace qui lui est accordé."),
        "Quand elle sera pleine, les nouveaux messages seront refusés à leurs expéditeurs. Supprimez les messages dont vous \
         n'avez plus besoin, puis videz la corbeille."
            .into(),
    ];
    Text { subject: "Boîte aux lettres bientôt pleine", body }
}

fn quota_full(mailbox: &str) -> Text {
    let body = vec![
        format!("La boîte aux lettres {mailbox} est pleine : un message n'y a pas trouvé de place."),
        // MSSanté §5: for now on the first day, then for good.
        "Ses expéditeurs le tentent de nouveau pendant un jour ; ensuite, les nouveaux messages leur sont refusés. Supprimez \
         les messages dont vous n'avez plus besoin, puis videz la corbeille."
            .into(),
    ];
    Text { subject: "Boîte aux lettres pleine", body }
}

fn maintenance(text: &str, mailbox: &str) -> Text {
    let mut body = vec![format!("Information concernant la boîte aux lettres {mailbox} :")];
    body.extend(text.split("\n\n").map(str::to_owned));
    Text { subject: "Information de votre opérateur", body }
}

/// The last lines of every notice.
pub(super) fn closing(name: &str, contact: &str) -> String {
    let whom = if contact.is_empty() { String::new() } else { format!("\nAssistance : {contact}") };
    format!(
        "-- \n{name}{whom}\nCe message automatique n'appelle pas de réponse. Il ne contient jamais de lien ni de donnée de \
         santé."
    )
}

fn by_whom(by: By) -> &'static str {
    match by {
        By::Holder => "",
        By::Administrator => " par l'administrateur",
    }
}

fn codes_left(left: usize) -> String {
    match left {
        0 => "C'était le dernier : créez-en de nouveaux dès maintenant.".into(),
        1 => "Il en reste un seul.".into(),
        left => format!("Il en reste {left}."),
    }
}

/// `3 mars 2027`, in Universal Time.
fn day(unix: i64) -> String {
    french_day(day_of(unix))
}

/// `14 h 05 (UTC)`: holders overseas have other clocks than we.
fn hour(unix: i64) -> String {
    let Ok(at) = jiff::Timestamp::from_second(unix) else { return "la fin du délai".into() };
    let time = at.to_zoned(jiff::tz::TimeZone::UTC).time();
    format!("{} h {:02} (heure universelle, UTC)", time.hour(), time.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_messages_are_counted_and_nothing_else_is_said_of_them() {
        let of = |messages, or_more| text(&Notice::NewMail { messages, or_more }, "anne@aura.example").body[0].clone();
        assert_eq!(of(1, false), "Un nouveau message non lu vous attend dans la boîte aux lettres anne@aura.example.");
        assert!(of(12, false).starts_with("12 nouveaux messages"));
        assert!(of(1_000, true).starts_with("Au moins 1000 "));
    }

    #[test]
    fn only_what_touches_access_asks_to_call_for_help() {
        let asks = |notice: &Notice| text(notice, "b").body.iter().any(|part| part.contains("prévenez immédiatement"));
        assert!(asks(&Notice::AddressChanged) && asks(&Notice::NewPlace { peer: "192.0.2.1".into() }));
        for notice in [
            Notice::QuotaReached { percent: 80 },
            Notice::QuotaFull,
            Notice::Maintenance { text: "Arrêt.".into() },
            Notice::NewMail { messages: 2, or_more: false },
        ] {
            assert!(!asks(&notice), "{notice:?}");
        }
    }
}
