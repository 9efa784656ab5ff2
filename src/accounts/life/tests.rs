//! What a start does with erasures that a stop cut short, where records are damaged or gone.

use super::*;
use crate::accounts::{AccountOptions, NewMailbox};
use crate::mail::{MailLimits, MailRoom};
use crate::mss::{Domain, Kind};
use crate::store::{FolderExistence, Holder, MasterKey, Store};

struct Scene {
    registry: Registry,
    mailboxes: Vec<AccountId>,
}

/// A mailbox for each of these names.
async fn scene(names: &[&str]) -> Scene {
    let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
    let registry = Registry::new(room, AccountOptions::default());
    registry.add_domain(&Domain::parse("aura.mssante.example").unwrap(), "").await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let holder = Holder { national_id: text("899700000001"), last_name: text("Lefèvre"), ..Holder::default() };
    let mut mailboxes = Vec::new();
    for name in names {
        let address = Address::parse(&format!("{name}@aura.mssante.example")).unwrap();
        let created = registry.create(NewMailbox::new(address, Kind::Per, holder.clone())).await.unwrap();
        mailboxes.push(created.id);
    }
    Scene { registry, mailboxes }
}

impl Scene {
    fn folders(&self, mailbox: AccountId) -> usize {
        self.registry.store().scan::<Folder>(FolderKey::of(mailbox), usize::MAX).unwrap().len()
    }

    async fn commit(&self, batch: Batch) {
        self.registry.store().commit(batch).await.unwrap();
    }

    /// A folder in erasure, as a stop between two pieces leaves it.
    async fn cut_short(&self, mailbox: AccountId) -> FolderKey {
        let key = FolderKey { account: mailbox, folder: FolderId(1_000 + mailbox.0) };
        let mut batch = Batch::new();
        batch.put(&key, &Folder { name: "Grand".into(), existence: FolderExistence::Erasing, ..Folder::default() });
        self.commit(batch).await;
        key
    }
}

#[tokio::test]
async fn a_mailbox_whose_record_is_gone_is_not_erased_and_one_that_is_closed_is() {
    let scene = scene(&["anne", "bea"]).await;
    let [anne, bea] = scene.mailboxes[..] else { panic!("two mailboxes") };
    let held = scene.folders(anne);
    assert!(held > 0);
    let mut batch = Batch::new();
    batch.delete::<store::Account>(&anne);
    // Closed, and stopped before anything was erased.
    let closed = scene.registry.store().get::<store::Account>(&bea).unwrap().unwrap();
    let record = store::Account { state: AccountState::Closed, ..closed.record };
    batch.update(&bea, closed.version, &record);
    scene.commit(batch).await;
    scene.registry.finish_erasures().await.unwrap();
    assert_eq!((scene.folders(anne), scene.folders(bea)), (held, 0));
}

#[tokio::test]
async fn a_mailbox_whose_record_does_not_read_costs_itself_and_the_others_erasures_go_on() {
    let scene = scene(&["anne", "bea"]).await;
    let [anne, bea] = scene.mailboxes[..] else { panic!("two mailboxes") };
    let (kept, erased) = (scene.cut_short(anne).await, scene.cut_short(bea).await);
    store::scratch::damage::<store::Account>(scene.registry.store(), &anne);
    scene.registry.finish_erasures().await.unwrap();
    let there = |key: &FolderKey| scene.registry.store().get::<Folder>(key).unwrap().is_some();
    assert_eq!((there(&kept), there(&erased)), (true, false));
}
