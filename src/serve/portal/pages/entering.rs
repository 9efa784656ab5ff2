//! The pages before and after a session.

use maud::{Markup, html};

use super::super::people::Newcomer;
use super::super::texts;
use super::{form, said, wrong};
use crate::accounts::factors::Factors;

/// The two ways in.
pub(in super::super) fn login(token: &str, has_psc: bool, problem: Option<&str>, address: &str) -> Markup {
    let describes = problem.map(|_| "erreur");
    let fields = html! {
        p {
            label for="adresse" { (texts::ADDRESS) }
            input id="adresse" name="adresse" type="email" required autocomplete="username" value=(address)
                maxlength="320" aria-describedby=[describes];
        }
        p {
            label for="mot_de_passe" { (texts::PASSWORD) }
            input id="mot_de_passe" name="mot_de_passe" type="password" required autocomplete="current-password"
                aria-describedby=[describes];
        }
        p { button type="submit" { (texts::CONTINUE) } }
    };
    html! {
        p { (texts::LOGIN_INTRO) }
        (wrong(problem))
        @if has_psc {
            section {
                h2 { (texts::PSC_HEADING) }
                p { (texts::PSC_TEXT) }
                p { a class="button" href="/psc" { (texts::PSC_BUTTON) } }
            }
        }
        section {
            h2 { (texts::PASSWORD_HEADING) }
            p { (texts::PASSWORD_TEXT) }
            (form("/connexion", token, &fields))
        }
    }
}

/// The second step.
pub(in super::super) fn code(token: &str, factors: &Factors, done: Option<&str>, problem: Option<&str>) -> Markup {
    let describes = problem.map(|_| "erreur");
    let field = html! {
        p {
            label for="code" { (texts::CODE) }
            input id="code" name="code" type="text" required autocomplete="one-time-code" autocapitalize="none"
                spellcheck="false" maxlength="64" aria-describedby=[describes];
        }
        p { button type="submit" { (texts::VALIDATE) } }
    };
    html! {
        (said(done))
        (wrong(problem))
        @if factors.authenticator.is_some() { p { (texts::CODE_FROM_APP) } }
        @if let Some(address) = &factors.mailed {
            p { (texts::mailed_to(address)) }
            (form("/code/courriel", token, &html! { button type="submit" class="second" { (texts::SEND_CODE) } }))
            @if factors.recovery_codes > 0 { p { (texts::CODE_RECOVERY) } }
        }
        @if factors.any() { (form("/code", token, &field)) } @else { p { (texts::CODE_NONE) } }
        (form("/deconnexion", token, &html! { button type="submit" class="plain" { (texts::CANCEL) } }))
    }
}

/// Which mailbox?
pub(in super::super) fn choose(token: &str, newcomer: &Newcomer) -> Markup {
    html! {
        @if !newcomer.name.is_empty() { p { (texts::welcome(&newcomer.name)) } }
        p { (texts::CHOOSE_TEXT) }
        ul class="choices" {
            @for mailbox in &newcomer.mailboxes {
                @let fields = html! {
                    input type="hidden" name="boite" value=(mailbox.account.to_string());
                    span class="kind" { (mailbox.kind.to_string()) }
                    " " (mailbox.address.to_string()) " "
                    button type="submit" aria-label={ (texts::OPEN) " " (mailbox.address.to_string()) } { (texts::OPEN) }
                };
                li { (form("/boites", token, &fields)) }
            }
        }
        (form("/deconnexion", token, &html! { button type="submit" class="plain" { (texts::LEAVE) } }))
    }
}

/// Goodbye, and the way to end the other session.
pub(in super::super) fn goodbye(psc: Option<&str>) -> Markup {
    html! {
        p role="status" { (texts::GOODBYE) }
        @if let Some(address) = psc { p { a href=(address) { (texts::GOODBYE_PSC) } } }
        p { a href="/" { (texts::BACK) } }
    }
}
