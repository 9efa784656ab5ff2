//! What is traced of a change of an account, of what opens it, and of who may: in the commit that makes it.

use crate::audit::Action;
use crate::store::{self, AccessGrant, AccountId, AccountState, Batch, CredentialKind, SuspendedFor};

use super::{AccountError, Ending, Grantee, OpenSession, Registry};

impl Registry {
    /// Notes that something was done for whom this registry works, in the commit that does it. `about`: whom or what it
    /// concerns.
    pub(super) fn note(&self, what: &str, mailbox: Option<&str>, about: Option<&str>, batch: &mut Batch) {
        self.note_fields(what, mailbox, Vec::new(), about.map(str::to_owned), batch);
    }

    /// The same of a mailbox that is known by its number; nothing where there is no such mailbox.
    pub(super) fn note_on(&self, id: AccountId, what: &str, about: Option<&str>, batch: &mut Batch) {
        // An account that cannot be read is not changed either: its commit fails.
        if let Ok(Some(account)) = self.store().get::<store::Account>(&id) {
            self.note(what, Some(&account.address), about, batch);
        }
    }

    /// Writes down what was done to the server itself, in no commit of the registry's own.
    ///
    /// # Errors
    /// It is done, and cannot be written down.
    pub async fn note_deed(&self, what: &str, about: Option<&str>) -> Result<(), AccountError> {
        let mut batch = Batch::new();
        self.note(what, None, about, &mut batch);
        self.store().commit(batch).await?;
        Ok(())
    }

    /// The same, of what somebody did who is in a mailbox.
    ///
    /// # Errors
    /// It cannot be written down.
    pub async fn note_deed_in(&self, mailbox: &str, what: &str) -> Result<(), AccountError> {
        let mut batch = Batch::new();
        self.note(what, Some(mailbox), None, &mut batch);
        self.store().commit(batch).await?;
        Ok(())
    }

    pub(super) fn note_fields(
        &self,
        what: &str,
        mailbox: Option<&str>,
        fields: Vec<String>,
        about: Option<String>,
        batch: &mut Batch,
    ) {
        let action = Action::Administered { what: what.to_owned(), fields, about };
        self.room().traces().note(self.asker().trace(mailbox, action), batch);
    }

    /// Ends the sessions that the predicate picks, for whom this registry works; says how many.
    ///
    /// # Errors
    /// They are ended, and it cannot be written down by whom.
    pub async fn end_sessions(
        &self,
        picked: impl Fn(&OpenSession) -> bool,
        why: Ending,
    ) -> Result<usize, AccountError> {
        let mut batch = Batch::new();
        let mut ended = 0;
        for session in self.sessions().list().into_iter().filter(|session| picked(session)) {
            if self.sessions().end(session.id, why) {
                let (mailbox, number) = (session.login.address.to_string(), session.id.to_string());
                self.note("session-ended", Some(&mailbox), Some(&number), &mut batch);
                ended += 1;
            }
        }
        if ended > 0 {
            self.store().commit(batch).await?;
        }
        Ok(ended)
    }

    /// Notes a change of an account's record: what became of it, who was let in, who no more.
    pub(super) fn trace_change(&self, before: Option<&store::Account>, after: &store::Account, batch: &mut Batch) {
        let mailbox = Some(after.address.as_str());
        let fields = before.map_or_else(Vec::new, |before| changed_fields(before, after));
        if let Some(what) = what_happened(before, after, &fields) {
            self.note_fields(what, mailbox, fields, None, batch);
        }
        let no_list = Vec::new();
        let list_before = before.map_or(&no_list, |before| &before.access_list);
        for (what, grant) in changed_grants(list_before, &after.access_list) {
            self.note(what, mailbox, self.name_of(grant).as_deref(), batch);
        }
    }

    /// Whom an entry of an access list lets in: a person's national id, or the address of the mailbox that they hold.
    fn name_of(&self, grant: &AccessGrant) -> Option<String> {
        match Grantee::of(grant) {
            Grantee::Person(person) => Some(person),
            Grantee::Mailbox(id) => Some(self.by_id(id).ok().flatten()?.address.to_string()),
        }
    }
}

/// The name that a change goes by; none where there is nothing to tell but, perhaps, who may come in.
fn what_happened(before: Option<&store::Account>, after: &store::Account, fields: &[String]) -> Option<&'static str> {
    match before {
        None => Some("mailbox-created"),
        Some(before) if before.state != after.state => Some(match after.state {
            AccountState::Open if before.suspended_for == Some(SuspendedFor::Request) => "mailbox-opened",
            AccountState::Open => "mailbox-reopened",
            AccountState::Suspended => "mailbox-suspended",
            AccountState::Closed => "mailbox-closed",
        }),
        Some(_) => (!fields.is_empty()).then_some("mailbox-changed"),
    }
}

/// Fields that go with every change, or say by themselves what other traces say better (a login, a grant).
const UNTOLD: [&str; 5] = ["access_list", "changed_at", "last_login_at", "next_credential", "state_changed_at"];

/// The names of the fields that differ, as the record spells them; never their values.
fn changed_fields(before: &store::Account, after: &store::Account) -> Vec<String> {
    let fields = |account: &store::Account| match serde_json::to_value(account) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    // A field that is empty may be left out of either.
    let mut names: Vec<&String> = after.keys().chain(before.keys()).filter(differs).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter(|name| !UNTOLD.contains(&name.as_str())).cloned().collect()
}

/// The entries of an access list that were made, changed or taken away.
fn changed_grants<'a>(before: &'a [AccessGrant], after: &'a [AccessGrant]) -> Vec<(&'static str, &'a AccessGrant)> {
    let is_in = |list: &[AccessGrant], grant: &AccessGrant| list.iter().any(|g| Grantee::of(g) == Grantee::of(grant));
    let granted = after.iter().filter(|grant| !before.contains(grant)).map(|grant| ("access-granted", grant));
    let taken = before.iter().filter(|grant| !is_in(after, grant)).map(|grant| ("access-taken", grant));
    granted.chain(taken).collect()
}

/// How the setting, and the taking away, of what opens a mailbox are called.
pub(super) fn credential_names(kind: &CredentialKind) -> (&'static str, &'static str) {
    match kind {
        CredentialKind::Password { .. } => ("password-set", "password-removed"),
        CredentialKind::Device { .. } => ("device-enrolled", "device-revoked"),
        CredentialKind::CertificateFingerprint { .. }
        | CredentialKind::CertificateSubject { .. }
        | CredentialKind::CertificateStructure { .. } => ("certificate-bound", "certificate-unbound"),
    }
}

/// What is told of it beside: its name, or for a certificate without one what it is known by.
pub(super) fn credential_about<'a>(kind: &'a CredentialKind, label: &'a str) -> Option<&'a str> {
    match kind {
        CredentialKind::Password { .. } => None,
        _ if !label.is_empty() => Some(label),
        CredentialKind::CertificateFingerprint { sha256 } | CredentialKind::Device { sha256, .. } => Some(sha256),
        CredentialKind::CertificateSubject { subject } => Some(subject),
        CredentialKind::CertificateStructure { structure_id } => Some(structure_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_the_names_of_its_fields() {
        let before = store::Account { address: "a@b".into(), comment: Some("old".into()), ..store::Account::default() };
        let after = store::Account { red_list: true, changed_at: 7, quota: Some(1), comment: None, ..before.clone() };
        let fields = changed_fields(&before, &after);
        assert_eq!(fields, ["comment", "quota", "red_list"]);
        assert_eq!(what_happened(Some(&before), &after, &fields), Some("mailbox-changed"));
        let suspended = store::Account { state: AccountState::Suspended, ..before.clone() };
        assert_eq!(what_happened(Some(&before), &suspended, &[]), Some("mailbox-suspended"));
        assert_eq!(what_happened(None, &after, &[]), Some("mailbox-created"));
    }

    #[test]
    fn the_day_of_a_login_is_no_change_to_tell() {
        let before = store::Account { address: "a@b".into(), ..store::Account::default() };
        let after = store::Account { last_login_at: Some(86_400), changed_at: 9, ..before.clone() };
        let fields = changed_fields(&before, &after);
        assert_eq!(what_happened(Some(&before), &after, &fields), None);
    }

    #[test]
    fn who_is_let_in_and_who_no_more_is_told_one_by_one() {
        let grant = |person: &str, until| AccessGrant { person: person.into(), until, ..AccessGrant::default() };
        let before = [grant("1", None), grant("2", None), grant("3", None)];
        let after = [grant("2", None), grant("3", Some(9)), grant("4", None)];
        let told: Vec<_> = changed_grants(&before, &after).into_iter().map(|(w, g)| (w, g.person.as_str())).collect();
        assert_eq!(told, [("access-granted", "3"), ("access-granted", "4"), ("access-taken", "1")]);
    }
}
