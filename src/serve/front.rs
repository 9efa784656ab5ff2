//! A front: what a listener wants of its clients, and which ways of logging in it offers (MSSanté §6).

use std::sync::Arc;

use crate::config::Config;
use crate::config::fronts::{self, ClientCertificates, LoginWay};
use crate::wire::sasl::Mechanism;

/// A front, as its connections carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// Its name; `main` is that of the listeners of `[imap]` and `[submission]`.
    pub name: Arc<str>,
    /// Whether client certificates are asked for.
    pub certificates: ClientCertificates,
    ways: Vec<LoginWay>,
}

impl Front {
    /// The front of `[imap]` and `[submission]`, as it is configured now.
    pub fn main(config: &Config) -> Front {
        let fronts::Logins { certificates, ways } = config.logins.clone();
        Front { name: "main".into(), certificates, ways }
    }

    /// One of `[[fronts]]`.
    pub fn of(front: &fronts::Front) -> Front {
        let fronts::Front { name, certificates, ways, .. } = front.clone();
        Front { name: name.into(), certificates, ways }
    }

    /// The holders' page: no certificate is asked for, so that no browser asks its user for one.
    pub fn portal() -> Front {
        Front { name: "portal".into(), certificates: ClientCertificates::Never, ways: Vec::new() }
    }

    /// Without the ways for which nothing is configured.
    #[must_use]
    pub fn with_tokens(mut self, are_judged: bool) -> Front {
        self.ways.retain(|way| are_judged || *way != LoginWay::Token);
        self
    }

    /// Whether a way is offered at all.
    pub fn has(&self, way: LoginWay) -> bool {
        self.ways.contains(&way)
    }

    /// Whether a certificate opens mailboxes here.
    fn is_opened_by_certificate(&self) -> bool {
        self.certificates != ClientCertificates::Never && self.has(LoginWay::Certificate)
    }

    /// What can be used within TLS by a client that has or has not `shown` a certificate: no more is offered (RFC 4954 §4), and
    /// what is not offered is refused.
    pub fn mechanisms(&self, shown: bool) -> Vec<Mechanism> {
        let of = |way: &LoginWay| -> &[Mechanism] {
            match way {
                LoginWay::Password => &[Mechanism::Plain, Mechanism::Login],
                LoginWay::Certificate if shown => &[Mechanism::External],
                LoginWay::Certificate => &[],
                LoginWay::Token => &[Mechanism::XOAuth2, Mechanism::OAuthBearer],
            }
        };
        self.ways.iter().flat_map(of).copied().collect()
    }
}

/// Whether an APP mailbox that is bound by its structure's id (MSSanté §4) opens for every certificate of the trust space with
/// that id, whatever it was issued for: a server's as well as an application's.
pub fn any_certificate_of_a_structure_opens(config: &Config) -> bool {
    let mut fronts = std::iter::once(Front::main(config)).chain(config.fronts.iter().map(Front::of));
    config.tls.mailbox.policies.is_empty() && fronts.any(|front| front.is_opened_by_certificate())
}

impl Default for Front {
    /// Everything, for those who have no configuration.
    fn default() -> Front {
        Front::main(&Config::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_certificate_of_a_structure_opens_where_none_is_asked_for_a_policy() {
        let mut config = Config::default();
        assert!(any_certificate_of_a_structure_opens(&config));
        config.logins.certificates = ClientCertificates::Never;
        assert!(!any_certificate_of_a_structure_opens(&config));
        let front = fronts::Front { ways: vec![LoginWay::Certificate], ..fronts::Front::default() };
        config.fronts.push(front);
        assert!(any_certificate_of_a_structure_opens(&config));
        config.tls.mailbox.policies.push("1.2.250.1.71.4.2.2".into());
        assert!(!any_certificate_of_a_structure_opens(&config));
    }

    #[test]
    fn a_front_offers_what_can_be_used_and_no_more() {
        let front = |ways: &[LoginWay]| Front { ways: ways.to_vec(), ..Front::default() };
        let (password, certificate) = (front(&[LoginWay::Password]), front(&[LoginWay::Certificate]));
        assert_eq!(password.mechanisms(true), [Mechanism::Plain, Mechanism::Login]);
        assert_eq!(certificate.mechanisms(true), [Mechanism::External]);
        assert!(certificate.mechanisms(false).is_empty());
        let without = Front::default().with_tokens(false);
        assert!(!without.has(LoginWay::Token) && without.has(LoginWay::Password));
    }
}
