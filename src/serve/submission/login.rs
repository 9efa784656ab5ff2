//! AUTH: who it is, and whose addresses they may use.

use super::session::{Session, User};
use crate::accounts::{Account, Login};
use crate::mss::Address;
use crate::serve::login;
use crate::serve::smtp::Refused;
use crate::wire::sasl::Credentials;
use crate::wire::smtp::receiver::Answer;

impl Session {
    /// Lets the client in, or not. A refusal keeps the connection (MSSanté §6); too many end it.
    pub(super) async fn enter(&mut self, credentials: Credentials) -> Answer {
        let means = login::means(&credentials);
        let shared = &self.link.shared;
        let judge = || shared.judge_certificate(self.door, &self.chain);
        let verified = login::verify(&shared.registry, &shared.metrics, credentials, self.link.address, judge).await;
        let reference = self.link.id.to_string();
        let refused = match verified {
            Ok(login) => match self.admit(login, means) {
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

    fn admit(&mut self, login: Login, means: &'static str) -> Result<(), Refused> {
        let most = self.link.shared.config.load().submission.max_connections_per_account;
        let place = self.link.shared.submission_sessions.take(login.account, most);
        let place = place.ok_or_else(Refused::too_many_of_mailbox)?;
        tracing::info!(event = "login", reference = %self.link.id, account = %login.account, means);
        self.user = Some(User { login, _place: place });
        self.login_failures = 0;
        // Judged and done with: it need not be kept for the session's life.
        self.chain = Vec::new();
        Ok(())
    }

    /// The mailbox that is logged in, as it is now.
    pub(super) fn own_account(&self) -> Result<Account, Refused> {
        let user = self.user.as_ref().ok_or_else(Refused::not_logged_in)?;
        self.link.account(&user.login.address)?.ok_or_else(Refused::not_logged_in)
    }

    /// The mailbox of an address that those who are logged in may use; `None`: it is not theirs, or nobody's.
    pub(super) fn theirs(&self, address: &Address) -> Result<Option<Account>, Refused> {
        let user = self.user.as_ref().ok_or_else(Refused::not_logged_in)?;
        let Some(account) = self.link.account(address)? else { return Ok(None) };
        let is_own = account.id == user.login.account;
        let may = |person: &String| account.lets_send(person, self.link.now());
        let theirs = is_own || user.login.person.as_ref().is_some_and(may);
        Ok(theirs.then_some(account))
    }
}
