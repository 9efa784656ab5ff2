//! Why a login is refused, for who reads it in a mail program: French, in one place.
//!
//! Mail programs show a tagged `NO` to nobody unless its code is `UNAVAILABLE`, and an untagged one whose code is `ALERT`
//! (RFC 3501 §7.1); they read the text as Latin-1, or not at all beyond ASCII. Hence sentences in ASCII, and no accents.
//!
//! An unknown address and a wrong password have one sentence, and what is said of a certificate beside it is what the connection
//! shows, whoever's the mailbox: nobody learns from a sentence whether an address exists.

use super::login::Refused;
use super::tls::CertificateProblem;
use crate::accounts::psc::{PscError, TokenRefusal};
use crate::accounts::{Ending, LoginError};
use crate::mss::MailboxState;

/// Who may send as a mailbox, and not read in it, has opened it.
pub(super) const SEND_ONLY: &str = "Vous pouvez envoyer au nom de cette boite, mais pas l'ouvrir.";

/// What is said of a password that does not open the mailbox, and of an address that is none.
const PASSWORD: &str = "Connexion refusee : adresse ou mot de passe incorrect, ou poste non autorise pour cette boite.";

/// What somebody is told who is not let in.
pub(super) fn sentence(refused: &Refused) -> String {
    match refused {
        Refused::Login(error) => of_login(error),
        Refused::PasswordAlone(problem) => format!("{PASSWORD} {}", of_certificate(problem)),
        Refused::Certificate(problem) => format!("Connexion refusee. {}", of_certificate(problem)),
        Refused::Token(PscError::Refused(refusal)) => format!("Connexion refusee. {}", of_token(*refusal)),
        Refused::Token(PscError::Unavailable(_)) => {
            "Pro Sante Connect ne repond pas pour le moment. Reessayez dans quelques minutes.".into()
        }
        Refused::Token(PscError::PutOff(wait)) => {
            let seconds = wait.as_secs().max(1);
            format!(
                "Trop de connexions par Pro Sante Connect refusees depuis cette adresse : reessayez dans {seconds} s."
            )
        }
        Refused::Untraced => {
            "Le service ne peut pas ouvrir de boite pour le moment. Reessayez dans quelques minutes.".into()
        }
        Refused::NoTokens => "Ce service n'accepte pas Pro Sante Connect.".into(),
    }
}

fn of_login(error: &LoginError) -> String {
    let sentence = match error {
        LoginError::Refused => PASSWORD,
        LoginError::CertificateRefused => {
            "Le certificat de ce poste n'ouvre pas cette boite : il a ete revoque ou remplace, ou il est pour une autre."
        }
        LoginError::NeedsPassword => {
            "Le certificat de ce poste ne suffit pas : choisissez la connexion par mot de passe normal."
        }
        LoginError::PersonRefused => {
            "Cette boite n'est pas la votre et sa liste d'acces ne vous la donne pas : son titulaire ou l'operateur peut \
             vous y ajouter."
        }
        LoginError::Ambiguous => "Plusieurs boites vous sont ouvertes : indiquez l'adresse de celle que vous voulez.",
        LoginError::TooManySessions => "Trop de programmes sont deja connectes a cette boite : fermez-en un.",
        LoginError::Ended(Ending::Suspended) | LoginError::NotOpen(MailboxState::Suspended) => {
            "Cette boite est suspendue : contactez l'operateur."
        }
        LoginError::Ended(Ending::Closed) | LoginError::NotOpen(_) => "Cette boite est fermee.",
        LoginError::Ended(_) => "Ce qui vous ouvrait cette boite vient de changer : reconnectez-vous.",
        LoginError::TermsNotAccepted => {
            "Les conditions d'utilisation de cette boite sont a accepter : connectez-vous a la page des titulaires."
        }
        LoginError::Throttled(wait) => {
            let seconds = wait.as_secs().max(1);
            return format!("Trop d'essais refuses : attendez {seconds} s, puis verifiez le mot de passe enregistre.");
        }
        LoginError::Busy | LoginError::Unavailable(_) => {
            "Le service ne peut pas verifier la connexion pour le moment. Reessayez dans quelques minutes."
        }
    };
    sentence.to_owned()
}

fn of_certificate(problem: &CertificateProblem) -> &'static str {
    match problem {
        CertificateProblem::Missing => {
            "Aucun certificat n'a ete presente : importez celui de ce poste, ou choisissez-le a la connexion."
        }
        CertificateProblem::Expired => "Le certificat presente a expire : renouvelez-le.",
        CertificateProblem::NotYetValid => {
            "Le certificat presente n'est pas encore valable : verifiez l'heure de ce poste."
        }
        CertificateProblem::Revoked => "Le certificat presente est revoque : demandez-en un autre.",
        CertificateProblem::UnknownIssuer => "Le certificat presente n'est pas d'une autorite acceptee ici.",
        CertificateProblem::RevocationUnknown => {
            "Le certificat presente ne peut pas etre verifie pour le moment : reessayez, puis contactez l'operateur."
        }
        CertificateProblem::WrongUsage
        | CertificateProblem::WrongPolicy
        | CertificateProblem::BadSignature
        | CertificateProblem::Unreadable(_)
        | CertificateProblem::WrongName
        | CertificateProblem::Other(_) => "Le certificat presente ne convient pas : contactez l'operateur.",
    }
}

fn of_token(refusal: TokenRefusal) -> &'static str {
    match refusal {
        TokenRefusal::Missing | TokenRefusal::Expired | TokenRefusal::Inactive => {
            "Votre session Pro Sante Connect est terminee : reconnectez-vous avec votre carte ou votre e-CPS."
        }
        TokenRefusal::Weak => "Connectez-vous a Pro Sante Connect avec votre carte ou votre e-CPS.",
        TokenRefusal::Nobody => "Pro Sante Connect ne donne pas votre identite nationale.",
        TokenRefusal::NotYetValid => {
            "Le jeton Pro Sante Connect n'est pas encore valable : verifiez l'heure de ce poste."
        }
        TokenRefusal::Unbound => "Le jeton Pro Sante Connect est lie a un certificat que ce poste n'a pas presente.",
        TokenRefusal::Malformed
        | TokenRefusal::Issuer
        | TokenRefusal::Signature
        | TokenRefusal::Kind
        | TokenRefusal::Audience
        | TokenRefusal::Nonce
        | TokenRefusal::Code => "Votre logiciel n'a pas envoye un jeton Pro Sante Connect valable ici.",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::accounts::AccountError;

    #[test]
    fn every_sentence_is_one_line_of_ascii() {
        let certificates = [
            CertificateProblem::Missing,
            CertificateProblem::Expired,
            CertificateProblem::NotYetValid,
            CertificateProblem::Revoked,
            CertificateProblem::RevocationUnknown,
            CertificateProblem::UnknownIssuer,
            CertificateProblem::Other("é\r\n* OK".into()),
        ];
        let tokens = [TokenRefusal::Expired, TokenRefusal::Weak, TokenRefusal::Nobody, TokenRefusal::NotYetValid];
        let logins = [
            LoginError::Refused,
            LoginError::CertificateRefused,
            LoginError::NeedsPassword,
            LoginError::PersonRefused,
            LoginError::Ambiguous,
            LoginError::TooManySessions,
            LoginError::Ended(Ending::CredentialGone),
            LoginError::NotOpen(MailboxState::Suspended),
            LoginError::NotOpen(MailboxState::Closed),
            LoginError::TermsNotAccepted,
            LoginError::Throttled(Duration::from_secs(12)),
            LoginError::Unavailable(AccountError::BadGrant("é")),
        ];
        let mut all: Vec<Refused> = certificates.iter().cloned().map(Refused::Certificate).collect();
        all.extend(certificates.map(Refused::PasswordAlone));
        all.extend(tokens.map(|refusal| Refused::Token(PscError::Refused(refusal))));
        all.push(Refused::Token(PscError::PutOff(Duration::from_secs(40))));
        all.extend(tokens.map(|_| Refused::NoTokens));
        all.extend(logins.map(Refused::Login));
        for refused in &all {
            let text = sentence(refused);
            assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.ends_with('.'), "{text}");
        }
        assert!(SEND_ONLY.is_ascii());
    }

    #[test]
    fn a_refused_password_is_told_with_what_its_connection_shows() {
        let none = sentence(&Refused::PasswordAlone(CertificateProblem::Missing));
        let expired = sentence(&Refused::PasswordAlone(CertificateProblem::Expired));
        let shown = sentence(&Refused::Login(LoginError::Refused));
        assert!(none.starts_with(&shown) && none.contains("Aucun certificat"), "{none}");
        assert!(expired.starts_with(&shown) && expired.contains("expire"), "{expired}");
    }
}
