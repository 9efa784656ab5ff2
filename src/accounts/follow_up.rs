//! What follows from a change of an account, in the change's own commit: its trace, its lines in the journal, what the holder is
//! told of it, and what the directory has to know.

use crate::store::{self, AccountId, AccountState, Batch};

use super::notice::Notice;
use super::{Account, Registry};

impl Registry {
    /// Adds what follows from a change to the batch that makes it: called wherever an account's record is written.
    /// `before` is none at a creation.
    pub(super) fn follow_up(
        &self,
        id: AccountId,
        before: Option<&store::Account>,
        after: &store::Account,
        batch: &mut Batch,
    ) {
        self.trace_change(before, after, batch);
        self.note_life(id, before, after, batch);
        self.tell_where_it_went(id, before, after, batch);
        self.note_publication(id, before, after, batch);
    }

    /// Who takes a mailbox over has notices sent elsewhere: the address before is told. One that is closed is taken over by
    /// nobody: its address goes where it is forgotten or erased.
    fn tell_where_it_went(
        &self,
        id: AccountId,
        before: Option<&store::Account>,
        after: &store::Account,
        batch: &mut Batch,
    ) {
        let went = |before: &&store::Account| before.notification_address != after.notification_address;
        let Some(before) = before.filter(went).filter(|_| after.state != AccountState::Closed) else { return };
        if let Ok(account) = Account::from_record(id, before.clone()) {
            self.tell_in(batch, &account, Notice::AddressChanged);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::accounts::person::Erasable;
    use crate::accounts::{AccountOptions, NewMailbox, Registry};
    use crate::mail::{MailLimits, MailRoom};
    use crate::mss::{Address, Domain, Kind};
    use crate::store::{Holder, MasterKey, Store};

    #[tokio::test]
    async fn whose_address_is_erased_is_not_written_to_there() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let registry = Registry::new(room, AccountOptions::default());
        registry.add_domain(&Domain::parse("aura.mssante.example").unwrap(), "").await.unwrap();
        let holder =
            Holder {
                national_id: Some("899700000001".into()), last_name: Some("Lefèvre".into()), ..Holder::default()
            };
        let address = Address::parse("lea@aura.mssante.example").unwrap();
        let notification_address = Some("lea@fai.example".to_owned());
        let new = NewMailbox { notification_address, ..NewMailbox::new(address, Kind::Per, holder) };
        let lea = registry.create(new).await.unwrap().id;
        let _inbox = registry.take_notices().unwrap();
        registry.notices_bounced(&Address::parse("lea@fai.example").unwrap(), "5.1.1").await.unwrap();
        registry.close(lea, "").await.unwrap();
        let waiting = || registry.waiting_notices().unwrap().notices;
        assert_eq!(waiting(), 1, "that it is closed");
        registry.erase_of_person(&Erasable::Details(lea)).await.unwrap();
        let left = registry.by_id(lea).unwrap().unwrap().data;
        assert_eq!((left.notification_address, left.notice_bounce), (None, None));
        assert_eq!(waiting(), 1);
    }
}
