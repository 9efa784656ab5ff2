//! The page of the mailbox's password.

use maud::{Markup, html};

use super::super::texts;
use super::{form, wrong};

/// Asks for the new one, twice.
pub(in super::super) fn ask(token: &str, address: &str, least: usize, problem: Option<&str>) -> Markup {
    let described = if problem.is_some() { "erreur aide" } else { "aide" };
    let fields = html! {
        // For password managers, which else file the password under nobody.
        input type="text" name="adresse" autocomplete="username" value=(address) hidden readonly;
        p {
            label for="nouveau" { (texts::PASSWORD_NEW) }
            input id="nouveau" name="nouveau" type="password" required autocomplete="new-password" aria-describedby=(described);
            span class="hint" id="aide" { (texts::password_hint(least)) }
        }
        p {
            label for="encore" { (texts::PASSWORD_AGAIN) }
            input id="encore" name="encore" type="password" required autocomplete="new-password" aria-describedby=(described);
        }
        p { button type="submit" { (texts::PASSWORD_SET) } }
    };
    html! {
        p { (texts::PASSWORD_NEW_TEXT) }
        (wrong(problem))
        (form("/mot-de-passe", token, &fields))
    }
}
