//! Workstations: the list, a new one, its file, renewing, revoking; and how a mail program takes the file in.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::Markup;
use serde::Deserialize;

use super::form::{Form, Nothing};
use super::pages::{self, guide as guide_page, workstations as page};
use super::people::{Handed, Made, Mishap, key_of};
use super::refusal::Refusal;
use super::visit::Holder;
use super::{Desk, texts};
use crate::accounts::By;
use crate::accounts::devices::{DeviceError, NewDevice, OldCertificate, Pkcs12Form};

type Answer = Result<Response, Refusal>;

impl Desk {
    /// A page for somebody in a mailbox.
    pub(super) fn inner_page(&self, holder: &Holder, status: StatusCode, title: &str, body: &Markup) -> Response {
        let inside = pages::Inside {
            address: holder.seat.login().address.to_string(),
            token: self.form_token(&holder.cookie),
            may_change: holder.seat.newcomer.is_some(),
            may_manage: holder.seat.minds_secrets(),
            may_search: self.searches_a_minute().is_some(),
        };
        (status, Html(pages::whole(&self.house(), Some(&inside), title, body).into_string())).into_response()
    }
}

/// What a page was reached by.
#[derive(Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    fait: String,
}

/// The mailbox's workstations.
pub(super) async fn list(State(desk): State<Arc<Desk>>, holder: Holder, Query(done): Query<Done>) -> Answer {
    let devices = desk.devices(&holder.seat)?;
    let said = texts::done(&done.fait);
    let body = page::list(&devices, said, &desk.form_token(&holder.cookie), &holder.seat);
    Ok(desk.inner_page(&holder, StatusCode::OK, texts::DEVICES_TITLE, &body))
}

/// Asks for a new workstation's name.
pub(super) async fn name(State(desk): State<Arc<Desk>>, holder: Holder) -> Answer {
    named(&holder)?;
    let body = page::new(&desk.form_token(&holder.cookie), &NameForm::default(), None);
    Ok(desk.inner_page(&holder, StatusCode::OK, texts::NEW_DEVICE_TITLE, &body))
}

/// The person whose workstation a new one is. The holder's it would be where none is given: so somebody who is nobody by name
/// gives up here.
fn named(holder: &Holder) -> Result<String, Refusal> {
    let person = holder.seat.person().ok_or(DeviceError::NobodyNamed)?;
    Ok(person.to_owned())
}

/// What the new workstation's page sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NameForm {
    pub(super) nom: String,
    pub(super) demande: String,
    pub(super) ancien: String,
}

impl NameForm {
    /// Older Apple keychains read no file of today's kind.
    pub(super) fn wants_old_form(&self) -> bool {
        self.ancien == "oui"
    }

    fn file_form(&self) -> Pkcs12Form {
        if self.wants_old_form() { Pkcs12Form::Compatible } else { Pkcs12Form::Modern }
    }
}

/// Enrols a workstation. Its password stands on this page alone, so this answer is no redirection: sent again, the form is
/// refused for its name.
pub(super) async fn enrol(State(desk): State<Arc<Desk>>, holder: Holder, Form(form): Form<NameForm>) -> Answer {
    let (login, person) = (holder.seat.login(), named(&holder)?);
    let new = NewDevice {
        name: form.nom.trim().to_owned(),
        person: Some(person),
        key: key_of(&form.demande, form.file_form()),
    };
    match desk.registry_for(&holder.seat).enrol_device(login.account, new).await.map_err(Mishap::from) {
        Ok(enrolled) => {
            tracing::info!(event = "portal.device_enrolled", account = %login.account, session = %holder.seat.session(),
                device = enrolled.device.number, "workstation enrolled by its holder");
            Ok(desk.hand_over(&holder, enrolled.into()))
        }
        Err(Mishap::Field(text)) => {
            let body = page::new(&desk.form_token(&holder.cookie), &form, Some(&text));
            Ok(desk.inner_page(&holder, StatusCode::UNPROCESSABLE_ENTITY, texts::NEW_DEVICE_TITLE, &body))
        }
        Err(Mishap::Page(refusal)) => Err(refusal),
    }
}

impl Desk {
    /// Shows what was made, once; a file is laid ready for this session to fetch.
    fn hand_over(&self, holder: &Holder, handed: Handed) -> Response {
        let body = page::handed(&handed);
        let made = match handed {
            Handed::File { made, .. } => Some(made),
            Handed::Text { .. } => None,
        };
        self.sessions.lay_ready(&holder.cookie.key(), made, Instant::now());
        self.inner_page(holder, StatusCode::OK, texts::HANDED_TITLE, &body)
    }
}

/// A file on its way out, held where it was made: no copy of its key is left behind in memory.
struct Outgoing(Arc<Made>);

impl AsRef<[u8]> for Outgoing {
    fn as_ref(&self) -> &[u8] {
        &self.0.file
    }
}

/// The file that was just made.
pub(super) async fn file(holder: Holder) -> Answer {
    let Some(made) = holder.session.parcel() else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, texts::NO_FILE_TITLE, texts::NO_FILE));
    };
    let headers = [
        (header::CONTENT_TYPE, "application/x-pkcs12".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.p12\"", file_name(&made.name))),
    ];
    Ok((headers, Bytes::from_owner(Outgoing(Arc::clone(made)))).into_response())
}

/// A name that every file system takes.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "poste".to_owned() } else { parts.join("-") }
}

/// What a renewal's form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RenewForm {
    ancien: String,
}

/// A new certificate for the same workstation; the old one goes on for its grace, so that the change needs no haste.
pub(super) async fn renew(
    State(desk): State<Arc<Desk>>,
    holder: Holder,
    Path(number): Path<u32>,
    Form(form): Form<RenewForm>,
) -> Answer {
    let device = desk.device(&holder.seat, number)?;
    if !holder.seat.owns(&device) {
        return Err(Refusal::not_yours());
    }
    let account = holder.seat.login().account;
    let form = NameForm { ancien: form.ancien, ..NameForm::default() };
    let key = key_of("", form.file_form());
    let registry = desk.registry_for(&holder.seat);
    let renewed = registry.renew_device(account, device.number, key, OldCertificate::AfterGrace).await?;
    let session = holder.seat.session();
    tracing::info!(event = "portal.device_renewed", %account, %session, device = number, "workstation renewed by its holder");
    Ok(desk.hand_over(&holder, renewed.into()))
}

/// Asks whether a workstation is really to be revoked.
pub(super) async fn confirm(State(desk): State<Arc<Desk>>, holder: Holder, Path(number): Path<u32>) -> Answer {
    let device = desk.device(&holder.seat, number)?;
    let body = page::confirm(&device, &desk.form_token(&holder.cookie));
    Ok(desk.inner_page(&holder, StatusCode::OK, texts::REVOKE_TITLE, &body))
}

/// Revokes a workstation; its sessions end at once.
pub(super) async fn revoke(
    State(desk): State<Arc<Desk>>,
    holder: Holder,
    Path(number): Path<u32>,
    Form(Nothing {}): Form<Nothing>,
) -> Answer {
    let device = desk.device(&holder.seat, number)?;
    let account = holder.seat.login().account;
    desk.registry_for(&holder.seat).revoke_device(account, device.number, By::Holder).await?;
    let session = holder.seat.session();
    tracing::info!(event = "portal.device_revoked", %account, %session, device = number, "workstation revoked at the page");
    Ok(Redirect::to("/postes?fait=revoque").into_response())
}

/// How a mail program takes the file in, and its settings.
pub(super) async fn guide(State(desk): State<Arc<Desk>>, holder: Holder) -> Response {
    let settings = desk.settings(&holder.seat.login().address);
    desk.inner_page(&holder, StatusCode::OK, texts::GUIDE_TITLE, &guide_page::guide(&settings))
}

impl Desk {
    /// What a mail program is to be told.
    fn settings(&self, address: &crate::mss::Address) -> guide_page::Settings {
        let config = self.shared.config.load();
        let published = &config.published.psc;
        let named = Some(&published.host).filter(|host| !host.is_empty());
        guide_page::Settings {
            host: named.unwrap_or(&config.server.name).clone(),
            imap: published.imaps,
            submission: published.submissions,
            user: address.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_out_from_where_it_was_made() {
        let made = Arc::new(Made { name: "poste".into(), file: vec![1, 2, 3].into() });
        let body = Bytes::from_owner(Outgoing(Arc::clone(&made)));
        assert_eq!(body.as_ptr(), made.file.as_ptr());
        drop(body);
        assert_eq!(Arc::strong_count(&made), 1, "and is wiped with the last who holds it");
    }

    #[test]
    fn a_files_name_is_plain_whatever_the_workstations_is() {
        for (name, file) in [
            ("PC du cabinet", "pc-du-cabinet"),
            ("  Téléphone \"d'Anne\"\r\n", "t-l-phone-d-anne"),
            ("../../etc", "etc"),
            ("電話", "poste"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }
}
