//! The mailbox's password, which a mail program sends beside its workstation's certificate.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::form::Form;
use super::pages::password as page;
use super::people::Way;
use super::refusal::Refusal;
use super::sessions::Stage;
use super::visit::{Holder, Visitor};
use super::{Desk, texts};
use crate::accounts::notice::Notice;
use crate::accounts::{AccountError, By};

type Answer = Result<Response, Refusal>;

/// Asks for the new one.
pub(super) async fn ask(State(desk): State<Arc<Desk>>, holder: Holder) -> Answer {
    desk.password_page(&holder, StatusCode::OK, None)
}

impl Desk {
    fn password_page(&self, holder: &Holder, status: StatusCode, wrong: Option<&str>) -> Answer {
        if !holder.seat.minds_secrets() {
            return Err(Refusal::not_yours());
        }
        let least = self.least_password();
        let login = holder.seat.login();
        let body = page::ask(&self.form_token(&holder.cookie), &login.address.to_string(), least, wrong);
        Ok(self.inner_page(holder, status, texts::PASSWORD_TITLE, &body))
    }
}

/// What the page sends.
#[derive(Deserialize)]
pub(super) struct NewPassword {
    #[serde(default)]
    nouveau: String,
    #[serde(default)]
    encore: String,
}

/// Sets it. Who is here has shown more than the old password, so that is not asked for; the holder is told by a notice.
pub(super) async fn set(
    State(desk): State<Arc<Desk>>,
    holder: Holder,
    visitor: Visitor,
    Form(form): Form<NewPassword>,
) -> Answer {
    let (new, again) = (Zeroizing::new(form.nouveau), Zeroizing::new(form.encore));
    let wrong = |text: String| desk.password_page(&holder, StatusCode::UNPROCESSABLE_ENTITY, Some(&text));
    if !holder.seat.minds_secrets() {
        return Err(Refusal::not_yours());
    }
    if new != again {
        return wrong(texts::PASSWORDS_DIFFER.to_owned());
    }
    let (registry, account) = (desk.registry_for(&holder.seat), holder.seat.login().account);
    match registry.set_password(account, &new, texts::PASSWORD_LABEL).await {
        Ok(_) => {}
        Err(AccountError::BadPassword(least, most)) => return wrong(texts::bad_password(least, most)),
        Err(error) => return Err(error.into()),
    }
    let session = holder.seat.session();
    tracing::info!(event = "portal.password_set", %account, %session, "password set by its holder");
    if let Some(account) = registry.by_id(account)? {
        registry.tell(&account, Notice::PasswordChanged { by: By::Holder });
    }
    desk.after(&holder, visitor.peer).await
}

impl Desk {
    /// Sessions that came by the old password have ended, this one too: it goes on by the new one.
    async fn after(&self, holder: &Holder, peer: IpAddr) -> Answer {
        const TO: &str = "/postes?fait=mot-de-passe";
        match holder.seat.way {
            Way::Psc => Ok(Redirect::to(TO).into_response()),
            Way::Code => {
                let password = self.password_of(holder.seat.login().account)?;
                let seat = self.seat_by_code(password, peer).await?;
                Ok(self.step(Some(&holder.cookie), Stage::In(Arc::new(seat)), TO))
            }
        }
    }

    /// Characters that a password has at least.
    fn least_password(&self) -> usize {
        match self.shared.registry.accepts_password("") {
            Err(AccountError::BadPassword(least, _)) => least,
            _ => 0,
        }
    }
}
