//! Citizens: whose addresses they are, and who may write to whom when (MSSanté §8).
//!
//! A citizen's address is `<INS>@patient.mssante.fr`: it names a patient by their national health identity, so it is never
//! shown in a refusal. The professional opens the conversation by writing; the citizen may answer until the professional
//! closes it.

use std::collections::HashSet;
use std::fmt;

use super::{Address, Domain};

/// The domain of citizens' addresses, where the configuration says nothing else.
pub const DEFAULT_DOMAIN: &str = "patient.mssante.fr";

/// Characters of an INS as it stands in an address: the matricule's 13 and its key's 2.
const INS_LENGTH: usize = 15;
/// Where a matricule of Corsica has a letter: `2A`, `2B`.
const CORSICA: usize = 6;

/// Which addresses are citizens', and whether they may only answer (`[citizens]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CitizenRules {
    domains: HashSet<Domain>,
    only_answer: bool,
}

impl CitizenRules {
    /// Rules for these domains. `only_answer`: a citizen may write to nobody who has not written to them.
    pub fn new(domains: impl IntoIterator<Item = Domain>, only_answer: bool) -> Self {
        Self { domains: domains.into_iter().collect(), only_answer }
    }

    /// Whether the domain is the citizens'.
    pub fn has_domain(&self, domain: &Domain) -> bool {
        self.domains.contains(domain)
    }

    /// Whether the address is a citizen's.
    pub fn is_citizen(&self, address: &Address) -> bool {
        self.has_domain(address.domain())
    }

    /// Whether a citizen may only answer.
    pub fn only_answer(&self) -> bool {
        self.only_answer
    }
}

impl Default for CitizenRules {
    fn default() -> Self {
        let domain = Domain::parse(DEFAULT_DOMAIN).expect("the default is a domain; a test says so");
        Self::new([domain], true)
    }
}

/// Whether the address can be a citizen's by its form: 15 digits, or `A` or `B` in place of the one that tells Corsica's
/// departments apart. The key is not computed: a wrong one is for the citizens' operator to tell, who knows the person.
pub fn has_citizen_form(address: &Address) -> bool {
    let local = address.local().as_bytes();
    let is_good = |(at, byte): (usize, &u8)| {
        byte.is_ascii_digit() || (at == CORSICA && matches!(byte.to_ascii_uppercase(), b'A' | b'B'))
    };
    local.len() == INS_LENGTH && local.iter().enumerate().all(is_good)
}

/// How a mailbox and a citizen stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Conversation {
    /// The mailbox has never written to the citizen.
    #[default]
    NotStarted,
    /// The mailbox has written, and the citizen may answer.
    Open,
    /// The mailbox has closed it; its next message opens it again.
    Closed,
}

impl Conversation {
    /// A stable name, for the API and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Conversation::NotStarted => "not-started",
            Conversation::Open => "open",
            Conversation::Closed => "closed",
        }
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a professional's message closes the conversation: `X-MSS-MES: FIN`, or `[FIN]` in the subject, both in any case
/// (MSSanté §7, §8). `subject` is the text that people see, its encoded words decoded; the brackets belong to the word.
pub fn closes_conversation(mes: Option<&str>, subject: &str) -> bool {
    let is_fin = |word: &str| word.trim().eq_ignore_ascii_case("FIN");
    let bracketed = || subject.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(inner, _)| inner);
    mes.is_some_and(is_fin) || bracketed().any(is_fin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn citizens_are_known_by_their_domain_and_by_no_other() {
        let rules = CitizenRules::default();
        assert!(rules.is_citizen(&address("184127512345678@PATIENT.mssante.fr")));
        for other in
            ["184127512345678@mssante.fr", "184127512345678@x.patient.mssante.fr", "a@patient.mssante.fr.example"]
        {
            assert!(!rules.is_citizen(&address(other)), "{other}");
        }
        assert!(rules.only_answer());
    }

    #[test]
    fn an_ins_has_fifteen_characters_and_letters_in_corsica_only() {
        for (local, good) in [
            ("184127512345678", true),
            ("184122A12345678", true),
            ("284122b12345678", true),
            ("18412751234567", false),
            ("1841275123456789", false),
            ("184122C12345678", false),
            ("1841A7512345678", false),
            ("anne.roux", false),
            ("18412751234567x", false),
            ("\"184127512345678 \"", false),
        ] {
            assert_eq!(has_citizen_form(&address(&format!("{local}@patient.mssante.fr"))), good, "{local}");
        }
    }

    #[test]
    fn a_conversation_is_closed_by_the_header_or_by_the_bracketed_word_and_by_nothing_like_it() {
        for (mes, subject, closes) in [
            (Some("FIN"), "", true),
            (Some(" fin "), "Résultats", true),
            (Some("FIN; x"), "", false),
            (Some("CONFIN"), "", false),
            (Some(""), "", false),
            (None, "[FIN]", true),
            (None, "[fin] Vos résultats", true),
            (None, "Re: Vos résultats [Fin]", true),
            (None, "Tr :[ FIN ]x", true),
            (None, "[[FIN]]", true),
            (None, "[a] [FIN]", true),
            (None, "[FIN", false),
            (None, "FIN]", false),
            (None, "FIN", false),
            (None, "]FIN[", false),
            (None, "Confin", false),
            (None, "[Confin]", false),
            (None, "[FIN de vie]", false),
            (None, "[F IN]", false),
            (None, "[[FIN", false),
            (None, "(FIN)", false),
            (None, "", false),
        ] {
            assert_eq!(closes_conversation(mes, subject), closes, "{mes:?} {subject:?}");
        }
    }
}
