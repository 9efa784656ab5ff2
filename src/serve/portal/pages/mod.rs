//! The pages, as HTML. They work without a script and are read by screen readers: one `h1`, labels, messages that are
//! announced, an order that makes sense without the style sheet.

pub(super) mod entering;
pub(super) mod factors;
pub(super) mod guide;
pub(super) mod lookup;
pub(super) mod notices;
pub(super) mod password;
pub(super) mod terms;
pub(super) mod workstations;

use maud::{DOCTYPE, Markup, html};

use super::form::TOKEN;
use super::refusal::Refusal;
use super::texts;

/// Whose page it is.
pub(super) struct House {
    pub(super) title: String,
    pub(super) contact: String,
}

/// What the head of a page for somebody in a mailbox has.
pub(super) struct Inside {
    pub(super) address: String,
    pub(super) token: String,
    /// Other mailboxes can be chosen.
    pub(super) may_change: bool,
    /// What opens the mailbox is theirs to mind.
    pub(super) may_manage: bool,
    /// The national directory can be searched.
    pub(super) may_search: bool,
}

/// A whole page.
pub(super) fn whole(house: &House, inside: Option<&Inside>, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="fr" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – " (house.title) }
                link rel="stylesheet" href="/style.css";
            }
            body {
                a class="skip" href="#contenu" { (texts::SKIP) }
                header {
                    p class="house" { a href="/" { (house.title) } }
                    p class="service" { (texts::SERVICE) }
                    @if let Some(inside) = inside { (navigation(inside)) }
                }
                main id="contenu" {
                    h1 { (title) }
                    (body)
                }
                @if !house.contact.is_empty() {
                    footer { p { (texts::CONTACT) " " (house.contact) } }
                }
            }
        }
    }
}

fn navigation(inside: &Inside) -> Markup {
    html! {
        p class="address" { (inside.address) }
        nav aria-label=(texts::NAVIGATION) {
            ul {
                li { a href="/postes" { (texts::NAV_DEVICES) } }
                @if inside.may_manage {
                    li { a href="/codes" { (texts::NAV_FACTORS) } }
                    li { a href="/mot-de-passe" { (texts::NAV_PASSWORD) } }
                    li { a href="/avis" { (texts::NAV_NOTICES) } }
                }
                @if inside.may_search { li { a href="/annuaire" { (texts::NAV_LOOKUP) } } }
                li { a href="/aide" { (texts::NAV_GUIDE) } }
                @if inside.may_change { li { a href="/boites" { (texts::NAV_MAILBOXES) } } }
                li { (form("/deconnexion", &inside.token, &html! { button type="submit" class="plain" { (texts::LEAVE) } })) }
            }
        }
    }
}

/// A form with its token.
pub(super) fn form(action: &str, token: &str, fields: &Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name=(TOKEN) value=(token);
            (fields)
        }
    }
}

/// What went wrong, announced to whoever does not see it.
pub(super) fn wrong(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p class="wrong" role="alert" id="erreur" { (text) } } }
}

/// What went well.
pub(super) fn said(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p class="said" role="status" { (text) } } }
}

/// The page of a refusal.
pub(super) fn refusal(refusal: &Refusal, reference: &str) -> Markup {
    html! {
        p class="wrong" role="alert" { (refusal.text) }
        @if refusal.status.is_server_error() { p { (texts::REFERENCE) " " code { (reference) } } }
        p { a href="/" { (texts::BACK) } }
    }
}
