//! A trust space around a house: messages that come to it by the way that the doors take.

use std::sync::Arc;

use caducee::accounts::{Account, AccountChange};
use caducee::mail::Delivery;
use caducee::mail::aftermath::{self, Arrival, HeaderFacts, Prepared, absence};
use caducee::mss::exchange::{Origin, Party};
use caducee::mss::whitelist::Entry;
use caducee::mss::{DistinguishedName, TrustSpace, WhiteList};
use caducee::store::{Absence, Consignment, Forward};

use crate::support::{House, address, domain, text_of, uids};

/// A moment, Unix seconds.
pub const NOW: i64 = 1_800_000_000;

/// A house in a trust space of some operators and the citizens'.
pub struct Scene {
    pub house: House,
    pub space: Arc<TrustSpace>,
    /// The largest message that may leave.
    pub largest: u64,
}

impl Scene {
    pub fn new() -> Self {
        Self::over(House::in_memory())
    }

    pub fn over(house: House) -> Self {
        let listed = ["aura.mssante.example", "region.mssante.example", "patient.mssante.fr"];
        let entry = |name| Entry {
            domain: domain(name),
            description: String::new(),
            dn: DistinguishedName::parse_text(&format!("CN=mx.{name},C=FR")).unwrap().into(),
            responsible: String::new(),
            support: String::new(),
            updated_at: None,
        };
        let list = WhiteList::from_entries(0, listed.map(entry).into());
        let space = Arc::new(TrustSpace { list: Some(Arc::new(list)), ..TrustSpace::default() });
        Self { house, space, largest: 25 << 20 }
    }

    pub async fn account(&self, name: &str) -> Account {
        self.house.account(name).await
    }

    /// A mailbox that has its mail sent on.
    pub async fn forwarding(&self, name: &str, to: &[&str], keep_copy: bool) -> Account {
        let account = self.account(name).await;
        self.set_forward(&account, to, keep_copy).await;
        account
    }

    pub async fn set_forward(&self, account: &Account, to: &[&str], keep_copy: bool) {
        let to = to.iter().map(|to| address(to).to_string()).collect();
        let forward = Some(Some(Forward { to, keep_copy, since: NOW }));
        let change = AccountChange { forward, ..AccountChange::default() };
        self.house.registry.set(account.id, &change).await.unwrap();
    }

    /// A mailbox whose holder is away, a day before and a month after [`NOW`].
    pub async fn absent(&self, name: &str) -> Account {
        let account = self.account(name).await;
        let absence = Absence { from: NOW - 86_400, until: NOW + 30 * 86_400, text: away(), citizens: false };
        let change = AccountChange { absence: Some(Some(absence)), ..AccountChange::default() };
        self.house.registry.set(account.id, &change).await.unwrap()
    }

    /// A message comes, as through a door, at this moment; what follows it is over when this returns.
    pub async fn send_at(&self, now: i64, from: Option<&str>, to: &[&Account], text: &str) {
        let room = &self.house.room;
        let message = self.house.received(text.as_bytes()).await;
        let sender = from.map(address);
        let party = match &sender {
            Some(sender) => room.party(sender).unwrap(),
            None => Party::Null(Origin::Other),
        };
        let recipients: Vec<_> = to.iter().map(|account| account.id).collect();
        let arrival = Arrival {
            space: &self.space,
            sender: sender.as_ref(),
            party: &party,
            facts: &HeaderFacts::of(text.split_inclusive("\r\n\r\n").next().unwrap().as_bytes()),
            message: &message,
            skip: 0,
            recipients: &recipients,
            reference: "1/1",
            largest: self.largest,
            now,
        };
        let Prepared { recipients, also, follow_up } = aftermath::prepare(room, arrival).await;
        let delivery = Delivery { also, ..Delivery::new(message, recipients, now) };
        follow_up.deliver(room, delivery).await.unwrap();
        absence::idle(room).await;
    }

    pub async fn send(&self, from: &str, to: &[&Account], lines: &str) {
        self.send_at(NOW, Some(from), to, &written(from, to, lines)).await;
    }

    /// The messages in a mailbox's INBOX.
    pub async fn inbox(&self, account: &Account) -> Vec<String> {
        let mailbox = self.house.room.open(account.id).unwrap();
        let selected = mailbox.select("INBOX", true).await.unwrap();
        let mut texts = Vec::new();
        for uid in uids(&selected) {
            texts.push(text_of(&selected, uid).await);
        }
        texts
    }

    /// How many messages lie in each of these INBOXes.
    pub async fn counts(&self, accounts: &[&Account]) -> Vec<usize> {
        let mut counts = Vec::new();
        for account in accounts {
            counts.push(self.inbox(account).await.len());
        }
        counts
    }

    /// The domains that something in the queue goes to, one for each consignment.
    pub fn queued(&self) -> Vec<String> {
        let rows = self.house.room.store().scan::<Consignment>(.., usize::MAX).unwrap();
        rows.into_iter().map(|(_, consignment)| consignment.record.domain).collect()
    }
}

pub fn away() -> String {
    "Je suis absente jusqu’au 15.\nEn cas d’urgence : le secrétariat.".to_owned()
}

/// A message from somebody to these mailboxes by name, with more header lines.
pub fn written(from: &str, to: &[&Account], lines: &str) -> String {
    let to: Vec<String> = to.iter().map(|account| account.address.to_string()).collect();
    let (from, to) = (address(from), to.join(", "));
    format!("From: {from}\r\nTo: {to}\r\nSubject: Bilan\r\nMessage-ID: <bilan@x.example>\r\n{lines}\r\nBonjour\r\n")
}
