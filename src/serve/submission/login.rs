//! AUTH: who it is, and whose addresses they may use.

use std::sync::Arc;

use super::session::{Session, User};
use crate::accounts::{Account, Login, Tried};
use crate::audit::{Actor, Asker, Origin};
use crate::mss::{Address, Right};
use crate::serve::login::{self, Client, Verifiers};
use crate::serve::smtp::Refused;
use crate::wire::sasl::Credentials;
use crate::wire::smtp::receiver::Answer;

/// The door's name on the list of sessions.
pub(super) const DOOR: &str = "submission";

impl Session {
    /// Lets the client in, or not. A refusal keeps the connection (MSSanté §6); too many end it.
    pub(super) async fn enter(&mut self, credentials: Credentials) -> Answer {
        let means = login::means(&credentials);
        let shared = &self.link.shared;
        let judge = || shared.judge_certificate(self.door, &self.chain);
        let verifiers = Verifiers { registry: &shared.registry, psc: &shared.psc, metrics: &shared.metrics };
        let client = Client { door: DOOR, peer: self.link.address, tried: &self.tried, chain: &self.chain };
        let verified = login::verify(verifiers, credentials, client, judge).await;
        let reference = self.link.id.to_string();
        let refused = match verified {
            Ok(login) => match self.admit(&login, means).await {
                Ok(()) => return Answer::Accept,
                Err(refused) => refused,
            },
            Err(refused) => {
                self.login_failures += u32::from(!refused.is_temporary());
                let most = self.link.shared.config.load().submission.max_login_failures;
                if self.login_failures >= most {
                    return Answer::Close(self.link.refuse(&Refused::too_many_logins(), &reference));
                }
                Refused::login(&refused)
            }
        };
        Answer::Reply(self.link.refuse(&refused, &reference))
    }

    async fn admit(&mut self, login: &Login, means: &'static str) -> Result<(), Refused> {
        let most = self.link.shared.config.load().submission.max_connections_per_account;
        let ticket = self.link.shared.registry.let_in(login, DOOR, self.link.address, most).await;
        let ticket = ticket.map_err(|error| Refused::login(&error.into()))?;
        tracing::info!(event = "login", reference = %self.link.id, account = %login.account, session = %ticket.id(), means);
        self.user = Some(User(ticket));
        (self.login_failures, self.tried) = (0, Tried::default());
        // Judged and done with: it need not be kept for the session's life.
        self.chain = Vec::new();
        Ok(())
    }

    /// Who sends, as traces tell it.
    pub(super) fn asker(&self) -> Arc<Asker> {
        if let Some(User(ticket)) = &self.user {
            return Arc::clone(ticket.session().asker());
        }
        let peer = Some(self.link.address.to_string());
        let origin = Origin { door: DOOR.to_owned(), peer, ..Origin::default() };
        Arc::new(Asker { actor: Actor::default(), origin })
    }

    /// The mailbox that is logged in, as it is now, if they may send as it.
    pub(super) fn own_account(&self) -> Result<Account, Refused> {
        let login = self.user.as_ref().ok_or_else(Refused::not_logged_in)?.login();
        let account = self.link.account(&login.address)?.ok_or_else(Refused::not_logged_in)?;
        if self.may_send(login, &account)? { Ok(account) } else { Err(Refused::sender_not_yours(&login.address)) }
    }

    /// The mailbox of an address that those who are logged in may use; `None`: it is not theirs, or nobody's.
    pub(super) fn theirs(&self, address: &Address) -> Result<Option<Account>, Refused> {
        let login = self.user.as_ref().ok_or_else(Refused::not_logged_in)?.login();
        let Some(account) = self.link.account(address)? else { return Ok(None) };
        Ok(self.may_send(login, &account)?.then_some(account))
    }

    /// Asked at each message: what the access list says counts from the moment that it says it.
    fn may_send(&self, login: &Login, account: &Account) -> Result<bool, Refused> {
        match self.link.shared.registry.rights_in(login, account) {
            Ok(rights) => Ok(rights.has(Right::Send)),
            Err(error) => {
                tracing::error!(%error, account = %account.id, "who may send as a mailbox cannot be read");
                Err(Refused::store_unavailable())
            }
        }
    }
}
