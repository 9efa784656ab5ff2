//! Which addresses of other operators are test mailboxes (MSSanté §4, defaults marked **O** there).
//!
//! Own mailboxes carry a flag; those of others can only be known by their names. Whole tokens count, so that
//! `infirmerie-protestante` is no test domain.

use std::collections::HashSet;

use thiserror::Error;

use super::{Address, Domain};

/// The default local part patterns.
pub const DEFAULT_LOCAL_PARTS: [&str; 5] = ["test", "test-*", "*-test", "test.*", "*.test"];
/// The default words that make a domain label, or a `-` token of one, a test domain's.
pub const DEFAULT_DOMAIN_WORDS: [&str; 5] = ["test", "preprod", "formation", "recette", "audit"];

/// A rule for test addresses that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TestRuleError {
    /// A local part pattern with nothing in it, or a star that is not alone at one end beside a `-` or `.`.
    #[error("'{0}' is no local part pattern: write a whole local part, or one '*' at an end beside '-' or '.'")]
    LocalPart(String),
    /// A domain word that could never be a token of a label.
    #[error("'{0}' is no word of a domain label: letters and digits only")]
    DomainWord(String),
}

/// The rules by which other operators' test mailboxes are recognised (`trust.test_addresses`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestAddresses {
    local_parts: Vec<LocalPattern>,
    domain_words: HashSet<String>,
    domains: HashSet<Domain>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LocalPattern {
    Whole(String),
    /// `test-*`: starts with `test-` and has more.
    Starts(String),
    /// `*-test`: ends with `-test` and has more before.
    Ends(String),
}

impl TestAddresses {
    /// Rules from configuration: local part patterns, words of domain labels, and whole domains.
    pub fn new<S: AsRef<str>>(
        local_parts: &[S],
        domain_words: &[S],
        domains: impl IntoIterator<Item = Domain>,
    ) -> Result<Self, TestRuleError> {
        Ok(Self {
            local_parts: local_parts.iter().map(|text| LocalPattern::parse(text.as_ref())).collect::<Result<_, _>>()?,
            domain_words: domain_words.iter().map(|word| parse_word(word.as_ref())).collect::<Result<_, _>>()?,
            domains: domains.into_iter().collect(),
        })
    }

    /// Whether this address of another operator is a test mailbox's.
    pub fn is_test(&self, address: &Address) -> bool {
        self.is_test_domain(address.domain()) || self.is_test_local(address.local())
    }

    fn is_test_domain(&self, domain: &Domain) -> bool {
        self.domains.contains(domain)
            || domain.labels().any(|label| label.split('-').any(|token| self.domain_words.contains(token)))
    }

    fn is_test_local(&self, local: &str) -> bool {
        let local = local.to_lowercase();
        self.local_parts.iter().any(|pattern| pattern.matches(&local))
    }
}

impl Default for TestAddresses {
    fn default() -> Self {
        Self::new(&DEFAULT_LOCAL_PARTS, &DEFAULT_DOMAIN_WORDS, [])
            .expect("the defaults are well formed; a test says so")
    }
}

impl LocalPattern {
    fn parse(text: &str) -> Result<Self, TestRuleError> {
        let error = || TestRuleError::LocalPart(text.into());
        let is_plain =
            |part: &str| !part.is_empty() && !part.contains(['*', '@']) && !part.contains(char::is_whitespace);
        let lower = text.to_lowercase();
        // The star stands beside a divider, so that only whole tokens are met.
        if let Some(start) = lower.strip_suffix('*') {
            let whole_token = is_plain(start) && start.len() > 1 && start.ends_with(['-', '.']);
            return if whole_token { Ok(Self::Starts(start.into())) } else { Err(error()) };
        }
        if let Some(end) = lower.strip_prefix('*') {
            let whole_token = is_plain(end) && end.len() > 1 && end.starts_with(['-', '.']);
            return if whole_token { Ok(Self::Ends(end.into())) } else { Err(error()) };
        }
        if is_plain(&lower) { Ok(Self::Whole(lower)) } else { Err(error()) }
    }

    fn matches(&self, local: &str) -> bool {
        match self {
            Self::Whole(whole) => local == whole,
            Self::Starts(start) => local.len() > start.len() && local.starts_with(start.as_str()),
            Self::Ends(end) => local.len() > end.len() && local.ends_with(end.as_str()),
        }
    }
}

fn parse_word(word: &str) -> Result<String, TestRuleError> {
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(TestRuleError::DomainWord(word.into()));
    }
    Ok(word.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_test(text: &str) -> bool {
        TestAddresses::default().is_test(&Address::parse(text).unwrap())
    }

    #[test]
    fn test_mailboxes_are_known_by_whole_tokens() {
        for text in [
            "test@aura.mssante.fr",
            "TEST@aura.mssante.fr",
            "test-1@aura.mssante.fr",
            "secretariat-test@aura.mssante.fr",
            "test.dupont@aura.mssante.fr",
            "dupont.test@aura.mssante.fr",
            "dupont@test.mssante.fr",
            "dupont@ch-test-lyon.mssante.fr",
            "dupont@preprod.aura.mssante.fr",
            "dupont@formation-ide.mssante.fr",
            "dupont@recette.mssante.fr",
            "dupont@audit.espacedeconfiance.mssante.fr",
        ] {
            assert!(is_test(text), "{text}");
        }
    }

    #[test]
    fn parts_of_words_make_no_test_mailbox() {
        for text in [
            "dupont@infirmerie-protestante.aura.mssante.fr",
            "protestante@aura.mssante.fr",
            "attestations@aura.mssante.fr",
            "testeur@aura.mssante.fr",
            "test_1@aura.mssante.fr",
            "test-@aura.mssante.fr",
            "-test@aura.mssante.fr",
            "contest@aura.mssante.fr",
            "dupont@formations.mssante.fr",
            "dupont@auditif.mssante.fr",
            "dupont@test2.mssante.fr",
            "formation@aura.mssante.fr",
        ] {
            assert!(!is_test(text), "{text}");
        }
    }

    #[test]
    fn whole_domains_can_be_listed() {
        let rules = TestAddresses::new::<&str>(&[], &[], [Domain::parse("bac-a-sable.mssante.fr").unwrap()]).unwrap();
        assert!(rules.is_test(&Address::parse("x@BAC-a-sable.mssante.fr").unwrap()));
        assert!(!rules.is_test(&Address::parse("x@a.bac-a-sable.mssante.fr").unwrap()));
        assert!(!rules.is_test(&Address::parse("test@aura.mssante.fr").unwrap()));
    }

    #[test]
    fn loose_patterns_are_refused() {
        for pattern in ["", "*", "te*st", "*test", "test*", "*-*", "-*", "a@b", "a b"] {
            assert!(TestAddresses::new(&[pattern], &[], []).is_err(), "{pattern}");
        }
        for word in ["", "pre-prod", "é", "*"] {
            assert!(TestAddresses::new(&[], &[word], []).is_err(), "{word}");
        }
    }
}
