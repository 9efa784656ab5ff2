//! What people read of their own data, in French. Grounds are our default, from operators' published terms of use (MSSanté §5):
//! the operator's data protection officer has the last word on them. Times are those of the running server, in the place of
//! words in braces ([`Times::fill`]).

use std::time::Duration;

use crate::serve::http::Keeping;

const DAY: u64 = 86_400;

/// How long things are kept, in words.
pub(super) struct Times([(&'static str, String); 5]);

impl Times {
    /// `identification`: days for which it is known who held a closed mailbox; `journal`: seconds that its lines are kept.
    pub(super) fn new(identification: i64, journal: i64, keeping: &Keeping) -> Self {
        let days = |days: i64| span(Duration::from_secs(days.max(0).cast_unsigned() * DAY));
        let traces = span(keeping.functional_traces);
        let after_closing = if keeping.from_closing { " après la clôture de la boîte aux lettres" } else { "" };
        Self([
            ("{identification}", days(identification)),
            ("{journal}", span(Duration::from_secs(journal.max(0).cast_unsigned()))),
            ("{traces}", traces + after_closing),
            ("{indicateurs}", format!("{} mois", keeping.anonymous_after)),
            ("{session}", span(keeping.session)),
        ])
    }

    /// A text with its times in it.
    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, time)| text.replace(name, time))
    }
}

/// A time as people say it: the largest unit that it is whole in.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [
        (365 * DAY, "an", "ans"),
        (366 * DAY, "an", "ans"),
        (30 * DAY, "mois", "mois"),
        (DAY, "jour", "jours"),
        (3_600, "heure", "heures"),
        (60, "minute", "minutes"),
    ];
    let whole = units.into_iter().find(|(unit, ..)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, one, several) = whole.unwrap_or((1, "seconde", "secondes"));
    let count = seconds / unit;
    format!("{count} {}", if count < 2 { one } else { several })
}

/// Which data, why, until when.
pub(super) const GROUNDS: [[&str; 3]; 10] = [
    [
        "Identification : identité, numéro national, structure, profession, adresse de la boîte aux lettres, adresse de notification, conditions d'utilisation acceptées",
        "Exécution du contrat (conditions d'utilisation, RGPD art. 6.1.b) et obligations de l'opérateur de l'espace de confiance MSSanté (art. 6.1.c)",
        "La vie de la boîte aux lettres et {identification} après sa clôture ; l'adresse elle-même n'est jamais attribuée à quelqu'un d'autre",
    ],
    [
        "Contenu de la boîte aux lettres : messages, dossiers",
        "Exécution du contrat (art. 6.1.b) ; le contenu est scellé, couvert par le secret médical et celui des correspondances, et n'est pas dans ce document : le titulaire l'emporte par l'export de sa boîte",
        "Jusqu'à ce que le titulaire l'efface, au plus tard à la clôture, qui détruit la clé de la boîte",
    ],
    [
        "Délégations : inscription sur la liste d'accès d'autres boîtes aux lettres",
        "Intérêt légitime du titulaire qui donne l'accès (art. 6.1.f)",
        "Jusqu'à leur retrait ou leur échéance",
    ],
    [
        "Moyens d'accès : noms et dates des postes enrôlés, mots de passe (condensat seulement), certificats, second facteur",
        "Sécurité du traitement (art. 32) et obligation d'authentification forte (art. 6.1.c)",
        "Jusqu'à leur retrait, leur échéance ou la clôture de la boîte",
    ],
    [
        "Journal de la vie des boîtes aux lettres : acceptations, suspensions, fermetures, par qui et pourquoi",
        "Obligation légale de traçabilité et preuve (art. 6.1.c, art. 17.3.b et e)",
        "{journal}",
    ],
    [
        "Annuaire national : ce qui y est publié de la boîte aux lettres, et ce qui reste à y publier ou à en retirer",
        "Obligation de l'opérateur de l'espace de confiance MSSanté (art. 6.1.c)",
        "Jusqu'au retrait de la boîte de l'annuaire, à sa clôture",
    ],
    [
        "Avis par courriel ordinaire : ceux qui attendent, les réseaux de connexion connus (condensats)",
        "Sécurité du traitement (art. 32) et obligation d'informer le titulaire (art. 6.1.c)",
        "Les avis jusqu'à leur envoi ; les réseaux trois mois après la dernière connexion, au plus tard à la clôture",
    ],
    ["Sessions ouvertes", "Sécurité du traitement (art. 32)", "Leur durée, {session} au plus"],
    [
        "Traces fonctionnelles : qui, quand, quelle action, sur quelle boîte, depuis où ; jamais le contenu ni l'objet",
        "Obligation légale de traçabilité et preuve des échanges (art. 6.1.c, art. 17.3.b et e)",
        "{traces}",
    ],
    [
        "Indicateurs : les boîtes utilisées dans le mois",
        "Obligation de l'opérateur (art. 6.1.c)",
        "{indicateurs}, puis rendus anonymes : il n'en reste que des nombres",
    ],
];

pub(super) const TITLE: &str = "Données à caractère personnel";
pub(super) const RIGHTS: &str = "Ce document répond à une demande d'accès (RGPD art. 15). Vous pouvez demander la rectification de \
    ces données, et l'effacement de celles que l'opérateur n'est pas tenu de conserver.";

pub(super) const GRANT: &str = "Inscription sur la liste d'accès";
pub(super) const MEANS: &str = "Moyen d'accès";
pub(super) const DETAILS: &str =
    "Adresse de notification, renvoi, absence, notes et dernière connexion d'une boîte close";

pub(super) const LIVING: &str = "Boîte aux lettres en service";
pub(super) const LIVING_WHY: &str =
    "Les données sont nécessaires au contrat tant que la boîte n'est pas close (caducee mailbox close)";
pub(super) const IDENTIFICATION: &str = "Identification du titulaire d'une boîte close";
pub(super) const IDENTIFICATION_WHY: &str =
    "Conservée {identification} après la clôture ; l'adresse n'est jamais réattribuée";
pub(super) const RESPONSIBLE: &str = "Responsable d'une boîte de structure";
pub(super) const RESPONSIBLE_WHY: &str =
    "La boîte exige un responsable : en nommer un autre d'abord (caducee mailbox set)";
pub(super) const JOURNAL: &str = "Journal de la vie des boîtes aux lettres";
pub(super) const JOURNAL_WHY: &str = "Obligation légale et preuve (RGPD art. 17.3.b et e) : {journal}";
pub(super) const TRACES: &str = "Traces fonctionnelles";
pub(super) const TRACES_WHY: &str = "Obligation légale et preuve des échanges (RGPD art. 17.3.b et e) : {traces}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn times_are_those_of_the_server_and_none_is_left_out() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        for (time, words) in [
            (hours(24 * 365), "1 an"),
            (hours(24 * 366 * 10), "10 ans"),
            (hours(24 * 90), "3 mois"),
            (hours(24), "1 jour"),
            (hours(4), "4 heures"),
            (Duration::from_secs(90), "90 secondes"),
            (Duration::ZERO, "0 seconde"),
        ] {
            assert_eq!(span(time), words);
        }
        let mut config = Config::default();
        let usual = Times::new(365, 3_650 * 86_400, &Keeping::of(&config));
        config.traces.from_closing = false;
        config.traces.functional_keep = hours(24 * 4_000);
        config.portal.session_timeout = hours(12);
        let own = Times::new(730, 0, &Keeping::of(&config));
        for (text, as_usual, as_configured) in [
            (GROUNDS[0][2], "et 1 an après sa clôture", "et 2 ans après sa clôture"),
            (IDENTIFICATION_WHY, "Conservée 1 an", "Conservée 2 ans"),
            (JOURNAL_WHY, ": 10 ans", ": 0 seconde"),
            (TRACES_WHY, ": 10 ans après la clôture de la boîte aux lettres", ": 4000 jours"),
            (GROUNDS[7][2], "4 heures au plus", "12 heures au plus"),
            (GROUNDS[9][2], "3 mois, puis", "3 mois, puis"),
        ] {
            assert!(usual.fill(text).contains(as_usual), "{}", usual.fill(text));
            assert!(own.fill(text).contains(as_configured), "{}", own.fill(text));
        }
        for text in GROUNDS.iter().flatten().chain([&IDENTIFICATION_WHY, &JOURNAL_WHY, &TRACES_WHY]) {
            assert!(!usual.fill(text).contains(['{', '}']), "{text}");
        }
    }
}
