//! The pages about workstations.

use maud::{Markup, html};

use super::super::people::{Handed, Seat};
use super::super::texts::{self, day};
use super::super::workstations::NameForm;
use super::{form, said, wrong};
use crate::accounts::devices::{Device, DeviceState};

/// All of them. Another person's can be revoked here, not renewed; who is nobody by name enrols none.
pub(in super::super) fn list(devices: &[Device], done: Option<&str>, token: &str, seat: &Seat) -> Markup {
    html! {
        (said(done))
        p { (texts::DEVICES_TEXT) }
        @if seat.person().is_some() {
            p { a class="button" href="/postes/nouveau" { (texts::NEW_DEVICE) } }
        } @else {
            p { (texts::NOBODY_NAMED) }
        }
        @if devices.is_empty() { p { (texts::NO_DEVICES) } } @else {
            table {
                caption class="unseen" { (texts::DEVICES_TITLE) }
                thead {
                    tr {
                        @for head in [texts::DEVICE_NAME, texts::DEVICE_SINCE, texts::DEVICE_UNTIL, texts::DEVICE_USED,
                            texts::DEVICE_STATE, texts::DEVICE_ACTIONS] { th scope="col" { (head) } }
                    }
                }
                tbody { @for device in devices { (row(device, token, seat.owns(device))) } }
            }
        }
    }
}

fn row(device: &Device, token: &str, is_own: bool) -> Markup {
    let state = match device.state {
        DeviceState::Valid => texts::STATE_VALID,
        DeviceState::Replaced => texts::STATE_REPLACED,
        DeviceState::Expired => texts::STATE_EXPIRED,
    };
    let old_form = format!("ancien-{}", device.number);
    let renewal = html! {
        button type="submit" class="second" aria-label=(texts::renew_label(&device.name)) { (texts::RENEW) }
        span class="tick" {
            input id=(old_form) name="ancien" type="checkbox" value="oui" title=(texts::OLD_FORM);
            label for=(old_form) { (texts::OLD_FORM_SHORT) }
        }
    };
    html! {
        tr {
            th scope="row" { (device.name) }
            td data-head=(texts::DEVICE_SINCE) { (day(device.created_at)) }
            td data-head=(texts::DEVICE_UNTIL) { (day(device.expires_at)) }
            td data-head=(texts::DEVICE_USED) { (device.last_used_at.map_or_else(|| texts::NEVER.to_owned(), day)) }
            td data-head=(texts::DEVICE_STATE) { (state) }
            td class="actions" {
                @if is_own && device.state != DeviceState::Replaced {
                    (form(&format!("/postes/{}/renouveler", device.number), token, &renewal))
                }
                a class="danger" href=(format!("/postes/{}/revoquer", device.number))
                    aria-label=(texts::revoke_label(&device.name)) { (texts::REVOKE) }
            }
        }
    }
}

/// A new one.
pub(in super::super) fn new(token: &str, given: &NameForm, problem: Option<&str>) -> Markup {
    let described = if problem.is_some() { "erreur nom-aide" } else { "nom-aide" };
    let fields = html! {
        p {
            label for="nom" { (texts::NAME_FIELD) }
            input id="nom" name="nom" type="text" required maxlength="60" value=(given.nom) aria-describedby=(described);
            span class="hint" id="nom-aide" { (texts::NAME_HINT) }
        }
        p class="tick" {
            input id="ancien" name="ancien" type="checkbox" value="oui" checked[given.wants_old_form()];
            label for="ancien" { (texts::OLD_FORM) }
        }
        details open[!given.demande.is_empty()] {
            summary { (texts::CSR_SUMMARY) }
            label for="demande" { (texts::CSR_FIELD) }
            textarea id="demande" name="demande" rows="8" spellcheck="false" aria-describedby="demande-aide" { (given.demande) }
            span class="hint" id="demande-aide" { (texts::CSR_HINT) }
        }
        p { button type="submit" { (texts::ENROL) } }
    };
    html! {
        p { (texts::NEW_DEVICE_TEXT) }
        (wrong(problem))
        (form("/postes/nouveau", token, &fields))
        p { a href="/postes" { (texts::CANCEL) } }
    }
}

/// What was made, shown once.
pub(in super::super) fn handed(handed: &Handed) -> Markup {
    let (Handed::File { device, .. } | Handed::Text { device, .. }) = handed;
    html! {
        p { strong { (device.name) } ", " (texts::DEVICE_UNTIL.to_lowercase()) " " (day(device.expires_at)) "." }
        @match handed {
            Handed::File { password, .. } => {
                p { a class="button" id="fichier" href="/postes/fichier" download { (texts::DOWNLOAD) } }
                p { (texts::HANDED_FILE) }
                p class="secret" { (texts::HANDED_PASSWORD) " : " code id="mot-de-passe-du-fichier" { (password.as_str()) } }
                p { (texts::HANDED_ONCE) }
            }
            Handed::Text { pem, .. } => {
                p { (texts::HANDED_PEM) }
                pre id="certificat" tabindex="0" { (pem) }
            }
        }
        p { a href="/aide" { (texts::HANDED_NEXT) } }
    }
}

/// Really?
pub(in super::super) fn confirm(device: &Device, token: &str) -> Markup {
    let button = html! { button type="submit" class="danger" { (texts::REVOKE_YES) } };
    html! {
        p { strong { (device.name) } ", " (texts::DEVICE_SINCE.to_lowercase()) " " (day(device.created_at)) "." }
        p { (texts::REVOKE_SURE) }
        (form(&format!("/postes/{}/revoquer", device.number), token, &button))
        p { a href="/postes" { (texts::CANCEL) } }
    }
}
