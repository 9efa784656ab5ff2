//! The pages about one-time codes.

use maud::{Markup, html};

use super::super::{qr, texts};
use super::{form, said, wrong};
use crate::accounts::factors::{AuthenticatorSetup, Factors, RecoveryCodes};

/// What is set up, and what can be.
pub(in super::super) fn show(factors: &Factors, token: &str) -> Markup {
    let begin = if factors.authenticator.is_some() { texts::APP_REPLACE } else { texts::APP_BEGIN };
    html! {
        p { (texts::FACTORS_TEXT) }
        section {
            h2 { (texts::APP_HEADING) }
            p {
                @match factors.authenticator {
                    Some(since) => (texts::app_since(&texts::day(since))),
                    None => (texts::APP_NONE),
                }
            }
            (form("/codes/application", token, &html! { button type="submit" { (begin) } }))
        }
        section {
            h2 { (texts::MAIL_HEADING) }
            p {
                @match &factors.mailed {
                    Some(address) => (texts::mailed_to(address)),
                    None => (texts::MAIL_NONE),
                }
            }
        }
        @if factors.authenticator.is_some() {
            section {
                h2 { (texts::RECOVERY_HEADING) }
                p { (texts::recovery_left(factors.recovery_codes)) " " (texts::RECOVERY_TEXT) }
                (form("/codes/secours", token, &html! { button type="submit" class="second" { (texts::RECOVERY_NEW) } }))
            }
        }
    }
}

/// The secret, for a telephone's camera and for fingers.
pub(in super::super) fn setup(setup: &AuthenticatorSetup, token: &str) -> Markup {
    html! {
        p { (texts::SETUP_TEXT) }
        @if let Some(code) = qr::svg(&setup.uri, texts::SETUP_QR) { (code) }
        p class="secret" { (texts::SETUP_SECRET) " : " code id="cle" { (spaced(&setup.secret)) } }
        (ask(token, None))
    }
}

/// The code was wrong; the secret is shown no second time.
pub(in super::super) fn try_again(token: &str, problem: &str) -> Markup {
    html! {
        p { (texts::SETUP_AGAIN) }
        (wrong(Some(problem)))
        (ask(token, Some("erreur")))
    }
}

fn ask(token: &str, describes: Option<&str>) -> Markup {
    let field = html! {
        p {
            label for="code" { (texts::SETUP_CODE) }
            input id="code" name="code" type="text" inputmode="numeric" required autocomplete="one-time-code" maxlength="12"
                aria-describedby=[describes];
        }
        p { button type="submit" { (texts::VALIDATE) } }
    };
    html! {
        (form("/codes/application/confirmation", token, &field))
        p { a href="/codes" { (texts::CANCEL) } }
    }
}

/// Recovery codes, shown once.
pub(in super::super) fn recovery(codes: &RecoveryCodes, is_first: bool) -> Markup {
    html! {
        @if is_first { (said(Some(texts::APP_IN_USE))) }
        p { (texts::RECOVERY_ONCE) }
        ul class="codes" id="codes" { @for code in &codes.0 { li { code { (code.as_str()) } } } }
        p { a href="/codes" { (texts::CONTINUE) } }
    }
}

/// Groups of four, which fingers and eyes follow better.
fn spaced(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
