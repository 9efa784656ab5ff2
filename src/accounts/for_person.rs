//! On this branch only, until `access.rs` comes: who may come in by a national id.

use crate::mss::{Address, Rights};

use super::{Login, LoginError, Means, Registry};

impl Registry {
    /// Lets a person in whose token Pro Santé Connect has vouched for.
    ///
    /// # Errors
    /// [`LoginError`].
    pub fn open_for_person(&self, person: &str, user: &str) -> Result<Login, LoginError> {
        let address = Address::parse(user).map_err(|_| LoginError::CertificateRefused)?;
        let account = self.by_address(&address)?.ok_or(LoginError::CertificateRefused)?;
        let holds = account.data.holder.national_id.as_deref() == Some(person);
        let rights = if holds { Rights::all() } else { account.granted(Some(person), None, crate::mail::now()) };
        if rights.is_empty() {
            return Err(LoginError::CertificateRefused);
        }
        if !account.is_open() {
            return Err(LoginError::NotOpen(account.state));
        }
        Ok(Login {
            account: account.id,
            address: account.address,
            kind: account.kind,
            person: Some(person.to_owned()),
            rights,
            means: Means::ProSanteConnect,
            credential: None,
        })
    }
}
