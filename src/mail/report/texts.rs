//! What a report says to people: every text, French first and English second, in one place.
//!
//! Written for whoever sent the message, often a medical secretary: what happened and what to do, no protocol. What
//! decides is the rule's name where a rule of ours decided, else the enhanced status code (RFC 3463), from the exact
//! code to its class.

use super::Action;

/// A text in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Both {
    pub(super) french: &'static str,
    pub(super) english: &'static str,
}

/// Why, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) why: Both,
    pub(super) advice: Both,
}

/// Which language is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    French,
    English,
}

impl Both {
    pub(super) fn in_language(self, language: Language) -> &'static str {
        match language {
            Language::French => self.french,
            Language::English => self.english,
        }
    }
}

const fn both(french: &'static str, english: &'static str) -> Both {
    Both { french, english }
}

const fn reason(why: Both, advice: Both) -> Reason {
    Reason { why, advice }
}

/// The subject, by the worst that happened. ASCII: every list of messages shows it.
pub(super) const fn subject(action: Action) -> &'static str {
    match action {
        Action::Failed => "Message non remis (undelivered mail)",
        Action::Delayed => "Message en attente (delayed mail)",
        Action::Relayed => "Message transmis (relayed mail)",
        Action::Delivered => "Message remis (delivered mail)",
    }
}

/// What happened; the addresses follow.
pub(super) const fn heading(action: Action) -> Both {
    match action {
        Action::Failed => both("Votre message n’a pas pu être remis à :", "Your message could not be delivered to:"),
        Action::Delayed => {
            both("Votre message n’a pas encore pu être remis à :", "Your message has not been delivered yet to:")
        }
        Action::Relayed => both(
            "Votre message a été transmis à l’opérateur de ce destinataire, qui n’enverra pas d’avis de remise :",
            "Your message was passed on to the operator of this recipient, who will send no delivery notice:",
        ),
        Action::Delivered => both(
            "Votre message a été remis dans la boîte aux lettres de :",
            "Your message was delivered to the mailbox of:",
        ),
    }
}

/// The lines around the addresses.
pub(super) const GREETING: Both = both("Bonjour,", "Hello,");
pub(super) const AUTOMATIC: Both = both(
    "Ceci est un avis automatique du serveur de messagerie sécurisée",
    "This is an automatic notice from the secure mail server",
);
pub(super) const SENT_ON: Both = both("Message envoyé le", "Message sent on");
pub(super) const WHY: Both = both("Motif :", "Reason:");
pub(super) const ADVICE: Both = both("À faire :", "What to do:");
pub(super) const ANSWER: Both = both("Réponse du serveur", "Answer of the server");
pub(super) const DETAIL: Both = both("Détail technique :", "Technical detail:");
pub(super) const UNTIL: Both = both("Nous essayons de nouveau jusqu’au", "We keep trying until");
pub(super) const REFERENCE: Both = both(
    "Pour toute question, indiquez cette référence à votre opérateur :",
    "If you need help, give this reference to your operator:",
);
pub(super) const FORWARDED: Both = both(
    "Il s’agit d’un message reçu que votre boîte fait suivre automatiquement.",
    "This is a message that came in and that your mailbox forwards automatically.",
);
pub(super) const ENCLOSED: Both = both("Votre message est joint à cet avis.", "Your message is enclosed.");

const WAIT: Both = both(
    "Vous n’avez rien à faire : inutile de renvoyer le message. Vous serez prévenu s’il ne peut pas être remis.",
    "There is nothing to do, and no need to send it again. You will be told if it cannot be delivered.",
);
const CHECK_ADDRESS: Both = both(
    "Vérifiez l’adresse, par exemple dans l’Annuaire Santé, puis envoyez de nouveau le message.",
    "Check the address, for example in the national directory, and send the message again.",
);
const OTHER_WAY: Both = both(
    "Joignez ce correspondant par un autre moyen, ou essayez plus tard. Si c’est urgent, téléphonez.",
    "Reach this person in another way, or try later. If it is urgent, telephone.",
);
const ASK_OPERATOR: Both = both(
    "Contactez l’assistance de votre opérateur en donnant la référence ci-dessous.",
    "Contact your operator’s help desk and give the reference below.",
);
const ASK_THEIRS: Both = both(
    "Signalez-le à ce correspondant : seul son opérateur peut y remédier.",
    "Tell this person: only their operator can mend it.",
);
const SMALLER: Both = both(
    "Réduisez ou retirez les pièces jointes, ou envoyez-les en plusieurs messages.",
    "Make the attachments smaller, or send them in several messages.",
);

const UNSAFE_SERVER: Both = both(
    "Le serveur de ce destinataire n’a pas pu prouver son identité : par sécurité, le message ne lui a pas été confié.",
    "The recipient’s server could not prove who it is: for safety the message was not given to it.",
);
const OUR_TROUBLE: Both = both(
    "Votre opérateur rencontre une difficulté technique avec ce message.",
    "Your operator has technical trouble with this message.",
);
const NO_ANSWER: Both = both("Le serveur de ce destinataire ne répond pas.", "The recipient’s server does not answer.");
const NOT_FOUND: Both =
    both("Le serveur de ce destinataire est introuvable.", "The recipient’s server cannot be found.");
/// Told before what stood in the way, where that is known.
const EXPIRED: Both = both(
    "Le message n’a pas pu être remis dans le délai prévu, malgré plusieurs essais.",
    "The message could not be delivered in time, after several tries.",
);
const UNLISTED: Both = both(
    "Le domaine de cette adresse ne fait pas partie de l’espace de confiance MSSanté.",
    "The domain of this address is not part of the MSSanté trust space.",
);
const TEST_RULE: Both = both(
    "Une boîte de test n’échange qu’avec des boîtes de test : elle ne doit contenir aucune donnée de patient réel.",
    "A test mailbox exchanges only with test mailboxes: it must never hold real patients’ data.",
);
const CLOSED_CONVERSATION: Both = both(
    "Le professionnel a clos cet échange : il n’est plus possible d’y répondre.",
    "The professional has closed this exchange: it can no longer be answered.",
);

/// Rules by which we, or our relay, decided.
const RULES: &[(&str, Reason)] = &[
    ("recipient-unknown", reason(both("Cette adresse n’existe pas.", "This address does not exist."), CHECK_ADDRESS)),
    ("recipient-suspended", reason(both("Cette boîte est suspendue.", "This mailbox is suspended."), OTHER_WAY)),
    ("recipient-closed", reason(both("Cette boîte a été fermée.", "This mailbox was closed."), CHECK_ADDRESS)),
    (
        "recipient-restricted",
        reason(
            both(
                "Cette boîte n’échange qu’avec les boîtes de son propre établissement.",
                "This mailbox exchanges only with its own institution’s mailboxes.",
            ),
            OTHER_WAY,
        ),
    ),
    ("recipient-domain-unlisted", reason(UNLISTED, CHECK_ADDRESS)),
    (
        "sender-restricted",
        reason(
            both(
                "Votre boîte ne peut écrire qu’aux boîtes de votre opérateur.",
                "Your mailbox may write to your own operator’s mailboxes only.",
            ),
            ASK_OPERATOR,
        ),
    ),
    ("sender-suspended", reason(both("Votre boîte est suspendue.", "Your mailbox is suspended."), ASK_OPERATOR)),
    ("sender-closed", reason(both("Votre boîte a été fermée.", "Your mailbox was closed."), ASK_OPERATOR)),
    ("test-to-real", reason(TEST_RULE, ASK_OPERATOR)),
    ("real-to-test", reason(TEST_RULE, ASK_OPERATOR)),
    ("citizen-conversation-closed", reason(CLOSED_CONVERSATION, OTHER_WAY)),
    (
        "citizen-not-started",
        reason(
            both(
                "Un patient ne peut que répondre à un professionnel qui lui a écrit.",
                "A patient can only answer a professional who has written first.",
            ),
            OTHER_WAY,
        ),
    ),
    (
        "list-not-loaded",
        reason(
            both(
                "La liste des opérateurs de l’espace de confiance n’est pas disponible pour le moment.",
                "The list of the trust space’s operators is not available at the moment.",
            ),
            ASK_OPERATOR,
        ),
    ),
    (
        "citizen-address-form",
        reason(
            both(
                "Cette adresse de patient n’a pas la forme attendue.",
                "This patient’s address does not have the right form.",
            ),
            CHECK_ADDRESS,
        ),
    ),
    (
        "revocation-unknown",
        reason(
            both(
                "Votre opérateur ne peut pas vérifier les certificats des autres serveurs pour le moment.",
                "Your operator cannot check other servers’ certificates at the moment.",
            ),
            ASK_OPERATOR,
        ),
    ),
    ("store-unreadable", reason(OUR_TROUBLE, ASK_OPERATOR)),
    ("body-unreadable", reason(OUR_TROUBLE, ASK_OPERATOR)),
    (
        "domain-is-ours",
        reason(
            both(
                "Les boîtes de ce domaine viennent de passer chez votre opérateur.",
                "The mailboxes of this domain have just moved to your operator.",
            ),
            both("Envoyez de nouveau le message.", "Send the message again."),
        ),
    ),
    ("no-starttls", reason(UNSAFE_SERVER, ASK_THEIRS)),
    ("starttls-refused", reason(UNSAFE_SERVER, ASK_THEIRS)),
    ("tls-refused", reason(UNSAFE_SERVER, ASK_THEIRS)),
    ("tls-failed", reason(UNSAFE_SERVER, ASK_THEIRS)),
    (
        "tls-incompatible",
        reason(
            both(
                "Le serveur de ce destinataire n’offre que des chiffrements trop anciens, que votre opérateur refuse.",
                "The recipient’s server offers only old encryption that your operator refuses.",
            ),
            ASK_THEIRS,
        ),
    ),
    ("dn-not-listed", reason(UNSAFE_SERVER, ASK_THEIRS)),
    ("peer-not-listed", reason(UNSAFE_SERVER, ASK_THEIRS)),
    ("peer-dn-differs", reason(UNSAFE_SERVER, ASK_THEIRS)),
    // All that can be wrong with a server's certificate: `certificate-expired`, `certificate-revoked` …
    ("certificate-", reason(UNSAFE_SERVER, ASK_THEIRS)),
    ("no-such-domain", reason(NOT_FOUND, CHECK_ADDRESS)),
    ("no-mx", reason(NOT_FOUND, CHECK_ADDRESS)),
    ("no-address", reason(NOT_FOUND, ASK_THEIRS)),
    ("bad-host-name", reason(NOT_FOUND, ASK_THEIRS)),
    ("dns-failed", reason(NOT_FOUND, OTHER_WAY)),
    ("null-mx", reason(both("Ce domaine ne reçoit pas de messages.", "This domain takes no mail."), CHECK_ADDRESS)),
    ("connect-failed", reason(NO_ANSWER, OTHER_WAY)),
    ("connection-lost", reason(NO_ANSWER, OTHER_WAY)),
    (
        "no-room",
        reason(
            both("Trop de messages attendent déjà ce serveur.", "Too many messages wait for this server already."),
            OTHER_WAY,
        ),
    ),
    ("expired", reason(EXPIRED, OTHER_WAY)),
    (
        "bounced",
        reason(
            both("Votre opérateur a arrêté l’envoi de ce message.", "Your operator stopped this message."),
            ASK_OPERATOR,
        ),
    ),
];

/// Enhanced status codes, without their class; the first that fits counts, so the exact ones come first.
const STATUSES: &[(&str, Reason)] = &[
    (
        "1.2",
        reason(
            both("Le domaine de cette adresse n’existe pas.", "The address’s domain does not exist."),
            CHECK_ADDRESS,
        ),
    ),
    ("1.6", reason(both("Cette boîte a changé d’adresse.", "This mailbox has another address now."), CHECK_ADDRESS)),
    ("1.7", reason(both("Votre adresse n’a pas été acceptée.", "Your address was not accepted."), ASK_OPERATOR)),
    ("1.8", reason(both("Votre adresse n’a pas été acceptée.", "Your address was not accepted."), ASK_OPERATOR)),
    ("1.10", reason(both("Ce domaine ne reçoit pas de messages.", "This domain takes no mail."), CHECK_ADDRESS)),
    ("1", reason(both("Cette adresse n’existe pas.", "This address does not exist."), CHECK_ADDRESS)),
    ("2.1", reason(both("Cette boîte est fermée ou suspendue.", "This mailbox is closed or suspended."), OTHER_WAY)),
    ("2.2", reason(both("La boîte de ce destinataire est pleine.", "The recipient’s mailbox is full."), OTHER_WAY)),
    (
        "2.3",
        reason(
            both("Le message est trop volumineux pour cette boîte.", "The message is too large for this mailbox."),
            SMALLER,
        ),
    ),
    (
        "2",
        reason(
            both(
                "La boîte de ce destinataire n’accepte pas le message.",
                "The recipient’s mailbox does not take the message.",
            ),
            OTHER_WAY,
        ),
    ),
    (
        "3.4",
        reason(
            both(
                "Le message est trop volumineux pour le serveur de ce destinataire.",
                "The message is too large for the recipient’s server.",
            ),
            SMALLER,
        ),
    ),
    (
        "3",
        reason(
            both("Le serveur de ce destinataire est en difficulté.", "The recipient’s server is in trouble."),
            OTHER_WAY,
        ),
    ),
    ("4.4", reason(NOT_FOUND, CHECK_ADDRESS)),
    (
        "4.6",
        reason(
            both(
                "Le message tourne en rond entre plusieurs serveurs.",
                "The message goes round in circles between servers.",
            ),
            ASK_OPERATOR,
        ),
    ),
    ("4.7", reason(EXPIRED, OTHER_WAY)),
    ("4", reason(NO_ANSWER, OTHER_WAY)),
    (
        "5.3",
        reason(
            both("Le message a trop de destinataires.", "The message has too many recipients."),
            both("Envoyez-le en plusieurs fois.", "Send it in several messages."),
        ),
    ),
    (
        "5",
        reason(
            both("Les deux serveurs ne se sont pas compris.", "The two servers did not understand each other."),
            ASK_OPERATOR,
        ),
    ),
    (
        "6.7",
        reason(
            both(
                "Le serveur de ce destinataire n’accepte pas les adresses accentuées.",
                "The recipient’s server takes no addresses with accents.",
            ),
            ASK_OPERATOR,
        ),
    ),
    (
        "6",
        reason(
            both(
                "Le serveur de ce destinataire n’accepte pas la forme de ce message.",
                "The recipient’s server does not take the form of this message.",
            ),
            ASK_OPERATOR,
        ),
    ),
    (
        "7.1",
        reason(
            both(
                "Le destinataire, ou son opérateur, n’accepte pas ce message.",
                "The recipient, or their operator, does not accept this message.",
            ),
            OTHER_WAY,
        ),
    ),
    (
        "7",
        reason(
            both(
                "Le message a été refusé pour une raison de sécurité.",
                "The message was refused for a reason of security.",
            ),
            ASK_OPERATOR,
        ),
    ),
];

const UNKNOWN: Reason = reason(
    both("Le serveur de ce destinataire a refusé le message.", "The recipient’s server refused the message."),
    ASK_OPERATOR,
);

/// Why a recipient has not got the message, and what to do; for one that was tried in vain for long enough, first that.
pub(super) fn explain(action: Action, rule: Option<&str>, status: &str) -> (Option<Both>, Reason) {
    let by_rule = RULES.iter().find(|(name, _)| rule.is_some_and(|rule| is_rule(rule, name)));
    let found = by_rule.or_else(|| STATUSES.iter().find(|(code, _)| is_within(status, code)));
    let reason = found.map_or(UNKNOWN, |(_, reason)| *reason);
    let is_late = action == Action::Failed && is_within(status, "4.7") && reason.why != EXPIRED;
    let advice = if action == Action::Delayed { WAIT } else { reason.advice };
    (is_late.then_some(EXPIRED), Reason { advice, ..reason })
}

/// A name that ends in a hyphen stands for all that begin with it.
fn is_rule(rule: &str, name: &str) -> bool {
    if name.ends_with('-') { rule.starts_with(name) } else { rule == name }
}

/// Whether a status code, its class left aside, is this code or below it: `5.1.1` is within `1`.
fn is_within(status: &str, code: &str) -> bool {
    let Some((_, detail)) = status.split_once('.') else { return false };
    detail.strip_prefix(code).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn french(action: Action, rule: Option<&str>, status: &str) -> &'static str {
        explain(action, rule, status).1.why.french
    }

    #[test]
    fn the_exact_code_counts_before_its_class() {
        let full = french(Action::Failed, None, "5.2.2");
        assert!(full.contains("pleine"));
        assert_eq!(french(Action::Failed, None, "4.2.2"), full);
        assert!(french(Action::Failed, None, "5.2.9").contains("n’accepte pas"));
        assert!(french(Action::Failed, None, "5.1.1").contains("n’existe pas"));
        assert!(french(Action::Failed, None, "5.1.10").contains("ne reçoit pas"), "not taken for 5.1.1");
        for unknown in ["5.0.0", "nonsense", ""] {
            assert_eq!(explain(Action::Failed, None, unknown), (None, UNKNOWN));
        }
    }

    #[test]
    fn a_rule_of_ours_counts_before_any_code() {
        assert_eq!(french(Action::Failed, Some("recipient-domain-unlisted"), "5.7.1"), UNLISTED.french);
        assert!(french(Action::Failed, Some("something-new"), "5.2.2").contains("pleine"));
        assert_eq!(french(Action::Failed, Some("certificate-revoked"), "5.7.5"), UNSAFE_SERVER.french);
        for ours in ["revocation-unknown", "list-not-loaded", "store-unreadable", "body-unreadable", "domain-is-ours"] {
            let told = french(Action::Delayed, Some(ours), "4.3.0");
            assert!(!told.contains("serveur de ce destinataire"), "{ours} is no fault of theirs: {told}");
        }
    }

    #[test]
    fn what_was_tried_in_vain_for_too_long_is_told_with_its_cause() {
        let late = explain(Action::Failed, Some("connect-failed"), "5.4.7");
        assert_eq!((late.0, late.1.why), (Some(EXPIRED), NO_ANSWER));
        assert_eq!(explain(Action::Failed, Some("expired"), "5.4.7").0, None, "not twice");
        assert_eq!(explain(Action::Failed, None, "4.4.7"), (None, reason(EXPIRED, OTHER_WAY)));
        assert_eq!(explain(Action::Delayed, Some("connect-failed"), "4.4.7").0, None);
    }

    #[test]
    fn who_waits_is_told_that_there_is_nothing_to_do() {
        for status in ["4.4.1", "4.2.2", "4.7.0", "4.0.0"] {
            assert_eq!(explain(Action::Delayed, None, status).1.advice, WAIT);
        }
    }

    #[test]
    fn no_text_is_missing_and_no_rule_stands_twice() {
        let all = || RULES.iter().chain(STATUSES);
        for (name, reason) in all() {
            for text in [reason.why, reason.advice] {
                assert!(text.french.ends_with('.') && text.english.ends_with('.'), "{name}");
                assert!(!text.french.contains('\''), "{name}: a typographic apostrophe is written");
            }
            assert_eq!(all().filter(|(other, _)| other == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn what_a_rule_refuses_at_the_recipient_is_always_explained() {
        use crate::mss::Rule;
        let recipient_rules = Rule::ALL.iter().map(|rule| rule.name()).filter(|name| name.starts_with("recipient-"));
        for name in recipient_rules.filter(|name| *name != "recipient-null") {
            assert!(RULES.iter().any(|(known, _)| *known == name), "{name} has no text");
        }
    }
}
