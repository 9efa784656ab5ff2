//! The outbox over a store in memory: what goes in with which change, and what a conclusion leaves.

use super::*;
use crate::accounts::{Account, AccountChange, AccountOptions, NewMailbox, Registry};
use crate::audit::Action;
use crate::mail::{MailLimits, MailRoom};
use crate::mss::lifecycle::Step;
use crate::mss::{Address, Domain, Kind};
use crate::store::scratch::damage;
use crate::store::{self, Batch, DirectoryState, Holder, MasterKey, Store, WaitingTrace};

async fn scene(on: bool) -> (Registry, Account) {
    let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
    let registry = started(room, PublicationOptions { on, from: PublishFrom::Creation, test_mailboxes: false });
    registry.add_domain(&Domain::parse("aura.mssante.example").unwrap(), "").await.unwrap();
    let account = create(&registry, "anne", "899700000001").await;
    (registry, account)
}

/// A server over a room, with these rules.
fn started(room: MailRoom, publication: PublicationOptions) -> Registry {
    Registry::new(room, AccountOptions { publication, ..AccountOptions::default() })
}

async fn create(registry: &Registry, local: &str, person: &str) -> Account {
    let address = Address::parse(&format!("{local}@aura.mssante.example")).unwrap();
    registry.create(NewMailbox::new(address, Kind::Per, holder(person))).await.unwrap()
}

fn holder(person: &str) -> Holder {
    Holder { national_id: Some(person.into()), last_name: Some("Lefèvre".into()), ..Holder::default() }
}

fn due(registry: &Registry) -> Vec<Due> {
    registry.publications_due(crate::mail::now(), None, 100).unwrap().due
}

/// The one mailbox that is due.
fn only(registry: &Registry) -> Due {
    let [due] = <[Due; 1]>::try_from(due(registry)).expect("one mailbox is due");
    due
}

/// What the traces say was published, in order.
fn traced(registry: &Registry) -> Vec<(String, String)> {
    let rows = registry.store().scan::<WaitingTrace>(.., usize::MAX).unwrap();
    let traces = rows.iter().filter_map(|(key, waiting)| registry.room().traces().open(*key, waiting));
    traces
        .filter_map(|trace| match trace.action {
            Action::Published { operation, result } => Some((operation, result)),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_change_waits_in_its_own_commit_and_only_if_the_directory_shows_it() {
    let (registry, account) = scene(true).await;
    let created = only(&registry);
    assert_eq!((created.account, created.published.as_ref()), (account.id, None));
    registry.publication_done(&created, Some("insert")).await.unwrap();
    assert!(due(&registry).is_empty());

    let comment = AccountChange { comment: Some(Some("à rappeler".into())), ..AccountChange::default() };
    registry.set(account.id, &comment).await.unwrap();
    registry.suspend(account.id, "").await.unwrap();
    registry.reopen(account.id, "").await.unwrap();
    assert!(due(&registry).is_empty(), "the directory shows none of this");

    registry.set(account.id, &AccountChange { red_list: Some(true), ..AccountChange::default() }).await.unwrap();
    let changed = only(&registry);
    assert!(changed.wanted.as_ref().is_some_and(|image| image.red_list));
    registry.publication_done(&changed, Some("replace")).await.unwrap();
    registry.close(account.id, "").await.unwrap();
    let closed = only(&registry);
    assert_eq!((closed.wanted.as_ref(), closed.leaves().len()), (None, 1));
    registry.publication_done(&closed, Some("delete")).await.unwrap();
    let done = |operation: &str| (operation.to_owned(), "done".to_owned());
    assert_eq!(traced(&registry), [done("insert"), done("replace"), done("delete")]);
    let (off, _) = scene(false).await;
    assert!(due(&off).is_empty(), "nothing waits for a directory that is not there");
}

#[tokio::test]
async fn a_change_that_comes_between_is_not_lost() {
    let (registry, account) = scene(true).await;
    let first = only(&registry);
    registry.set(account.id, &AccountChange { zero_paper: Some(true), ..AccountChange::default() }).await.unwrap();
    registry.publication_done(&first, Some("insert")).await.unwrap();
    let second = only(&registry);
    assert!(second.wanted.as_ref().is_some_and(|image| image.zero_paper));
    assert!(second.published.as_ref().is_some_and(|image| !image.zero_paper));
}

#[tokio::test]
async fn what_was_done_before_a_stop_is_traced_once_though_nothing_is_done_after_it() {
    let (registry, account) = scene(true).await;
    // The directory was found to show it: the stop came between its answer and our commit.
    registry.publication_done(&only(&registry), None).await.unwrap();
    assert_eq!(traced(&registry), [("insert".to_owned(), "done".to_owned())]);
    registry.publish_again(account.id).await.unwrap();
    registry.publication_done(&only(&registry), None).await.unwrap();
    assert_eq!(traced(&registry).len(), 1, "looking again is no publication");
}

#[tokio::test]
async fn a_refusal_waits_for_the_administrator_or_another_change() {
    let (registry, account) = scene(true).await;
    let refused = only(&registry);
    registry.publication_refused(&refused, 412, "deux ressources").await.unwrap();
    assert!(due(&registry).is_empty());
    assert_eq!(traced(&registry), [("insert".to_owned(), "deux ressources".to_owned())]);
    let standing = registry.publication_of(&account).unwrap();
    let task = standing.task.expect("a task");
    assert_eq!((task.status, task.words.as_str(), task.since), (412, "deux ressources", refused.since));
    assert_eq!(registry.queue_unpublished().await.unwrap(), Swept::default(), "a task is not queued by a sweep");
    let counts = registry.publication_counts().unwrap();
    assert_eq!((counts.tasks, counts.waiting, counts.oldest), (1, 0, Some(task.since)));

    registry.publish_again(account.id).await.unwrap();
    assert!(registry.publication_of(&account).unwrap().task.is_none());
    registry.publication_refused(&only(&registry), 404, "inconnue").await.unwrap();
    registry.set(account.id, &AccountChange { red_list: Some(true), ..AccountChange::default() }).await.unwrap();
    registry.publication_done(&only(&registry), Some("insert")).await.unwrap();
    assert_eq!(registry.publication_counts().unwrap().tasks, 0);
}

#[tokio::test]
async fn what_fails_for_now_is_due_later_and_counted() {
    let (registry, account) = scene(true).await;
    let first = only(&registry);
    let later = crate::mail::now() + 60;
    registry.publication_later(&first, later, "HTTP 503").await.unwrap();
    let page = registry.publications_due(crate::mail::now(), None, 100).unwrap();
    assert_eq!((page.due.len(), page.next_due), (0, Some(later)));
    let again = registry.publications_due(later, None, 100).unwrap().due;
    assert_eq!((again[0].tries, again[0].since), (1, first.since));
    let pending = registry.publications_pending(None, 10).unwrap();
    assert_eq!((pending[0].account, pending[0].words.as_str(), pending[0].due_at), (account.id, "HTTP 503", later));
    registry.publish_again(account.id).await.unwrap();
    assert_eq!(only(&registry).tries, 0, "the administrator does not wait");
}

#[tokio::test]
async fn a_place_that_was_begun_is_left_even_if_we_never_heard_what_became_of_it() {
    let (registry, account) = scene(true).await;
    let begun = only(&registry);
    let place = begun.wanted.as_ref().unwrap().place.clone();
    registry.publication_begins(&[&begun], &place).await.unwrap();
    let moved = AccountChange { holder: Some(holder("899700000002")), ..AccountChange::default() };
    registry.set(account.id, &moved).await.unwrap();
    assert_eq!(only(&registry).leaves(), [&place]);
    registry.close(account.id, "").await.unwrap();
    assert_eq!(only(&registry).leaves(), [&place]);
    registry.publication_done(&only(&registry), Some("delete")).await.unwrap();
    assert!(due(&registry).is_empty());
}

#[tokio::test]
async fn pages_end_where_accounts_end_and_a_sweep_finds_what_never_waited() {
    let (registry, first) = scene(true).await;
    for (local, person) in [("bea", "899700000002"), ("cleo", "899700000003")] {
        create(&registry, local, person).await;
    }
    registry.set(first.id, &AccountChange { red_list: Some(true), ..AccountChange::default() }).await.unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        // The first account has two entries: a page of one ends between them.
        let page = registry.publications_due(crate::mail::now(), after, 1).unwrap();
        seen.extend(page.due.iter().map(|due| due.account));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    for due in due(&registry) {
        registry.publication_done(&due, Some("insert")).await.unwrap();
    }
    assert_eq!(registry.queue_unpublished().await.unwrap(), Swept::default());
    let lost = registry.publication_of(&first).unwrap().published.unwrap();
    registry.mend_publication(&first, Some(&Place { value: "899700000009".into(), ..lost.place })).await.unwrap();
    assert_eq!(only(&registry).leaves()[0].value, "899700000009", "it is looked for where it is");
}

#[tokio::test]
async fn a_forgotten_mailbox_that_the_directory_still_shows_leaves_it_when_that_is_mended() {
    let (registry, account) = scene(true).await;
    let place = only(&registry).wanted.unwrap().place;
    registry.close(account.id, "").await.unwrap();
    registry.publication_done(&only(&registry), None).await.unwrap();
    let later = crate::mail::now() + 400 * 86_400;
    let steps = registry.live_on(account.id, &registry.course().unwrap(), later, true).await.unwrap();
    assert_eq!(steps, [Step::Forgotten]);
    let forgotten = registry.by_id(account.id).unwrap().unwrap();
    registry.mend_publication(&forgotten, Some(&place)).await.unwrap();
    assert_eq!(only(&registry).leaves(), [&place]);
}

#[tokio::test]
async fn other_rules_take_no_mailbox_from_the_directory_by_themselves() {
    let (registry, anne) = scene(true).await;
    let bea = create(&registry, "bea", "899700000002").await;
    for due in due(&registry) {
        registry.publication_done(&due, Some("insert")).await.unwrap();
    }
    // Nothing is published while one of them closes; then the server starts with the rules' default.
    let off = started(registry.room().clone(), PublicationOptions::default());
    off.close(bea.id, "").await.unwrap();
    assert!(due(&off).is_empty());
    let strict = PublicationOptions { on: true, ..PublicationOptions::default() };
    let registry = started(registry.room().clone(), strict);
    let swept = registry.queue_unpublished().await.unwrap();
    assert_eq!(swept, Swept { queued: 1, withheld: 1 });
    assert_eq!(only(&registry).account, bea.id, "a closed mailbox goes by whatever rules");
    let standing = registry.publication_of(&bea).unwrap();
    assert_eq!(standing.waiting[0].cause, "disappears");
    registry.publication_done(&only(&registry), Some("delete")).await.unwrap();
    registry.mend_publication(&anne, None).await.unwrap();
    assert_eq!(only(&registry).leaves().len(), 1, "it goes when it is asked for");
}

#[tokio::test]
async fn a_mailbox_that_is_forgotten_is_taken_away_from_where_it_is_still_shown() {
    let (registry, anne) = scene(true).await;
    let shown = only(&registry).wanted.unwrap().place;
    registry.close(anne.id, "").await.unwrap();
    registry.publication_done(&only(&registry), None).await.unwrap();
    let mut forgotten = registry.by_id(anne.id).unwrap().unwrap();
    forgotten.data.holder = Holder::default();
    registry.mend_publication(&forgotten, Some(&shown)).await.unwrap();
    assert_eq!(only(&registry).leaves(), [&shown]);
}

fn state_of(registry: &Registry, account: &Account) -> Option<DirectoryState> {
    registry.store().get::<DirectoryState>(&account.id).unwrap().map(|read| read.record)
}

async fn forget(registry: &Registry, account: &Account) {
    let later = crate::mail::now() + 400 * 86_400;
    let steps = registry.live_on(account.id, &registry.course().unwrap(), later, true).await.unwrap();
    assert_eq!(steps, [Step::Forgotten]);
}

#[tokio::test]
async fn of_a_forgotten_mailbox_nothing_is_left_once_the_directory_shows_it_no_more() {
    let (registry, anne) = scene(true).await;
    registry.publication_done(&only(&registry), Some("insert")).await.unwrap();
    registry.close(anne.id, "").await.unwrap();
    registry.publication_done(&only(&registry), Some("delete")).await.unwrap();
    assert!(state_of(&registry, &anne).is_some());
    forget(&registry, &anne).await;
    assert_eq!(state_of(&registry, &anne), None);

    // The directory refuses to take it away: where it is has to be known, and nothing else.
    let bea = create(&registry, "bea", "899700000002").await;
    registry.publication_done(&only(&registry), Some("insert")).await.unwrap();
    let shown = state_of(&registry, &bea).unwrap().published.unwrap();
    registry.close(bea.id, "").await.unwrap();
    registry.publication_refused(&only(&registry), 422, "non").await.unwrap();
    forget(&registry, &bea).await;
    let left = state_of(&registry, &bea).unwrap();
    let bare = Image { place: shown.place, address: shown.address, ..Image::default() };
    assert_eq!((left.published, left.task.is_some()), (Some(bare), true));
    registry.publish_again(bea.id).await.unwrap();
    registry.publication_done(&only(&registry), Some("delete")).await.unwrap();
    assert_eq!(state_of(&registry, &bea), None);
}

#[tokio::test]
async fn a_damaged_account_waits_with_its_entries_and_the_others_go_on() {
    let (registry, anne) = scene(true).await;
    let bea = create(&registry, "bea", "899700000002").await;
    damage::<store::Account>(registry.store(), &anne.id);
    assert_eq!(only(&registry).account, bea.id);
    registry.publication_done(&only(&registry), Some("insert")).await.unwrap();
    assert!(due(&registry).is_empty());
    let waiting = registry.publications_pending(None, 10).unwrap();
    assert_eq!(
        waiting.iter().map(|pending| pending.account).collect::<Vec<_>>(),
        [anne.id],
        "its wait is an alarm in time"
    );
    assert_eq!(registry.queue_unpublished().await.unwrap(), Swept::default());
    assert_eq!(registry.publication_counts().unwrap().waiting, 1);
}

#[tokio::test]
async fn a_standing_that_does_not_read_is_found_out_anew_where_the_mailbox_is() {
    let (registry, anne) = scene(true).await;
    let bea = create(&registry, "bea", "899700000002").await;
    for due in due(&registry) {
        registry.publication_done(&due, Some("insert")).await.unwrap();
    }
    registry.close(bea.id, "").await.unwrap();
    let leaves = only(&registry).leaves()[0].clone();
    registry.publication_refused(&only(&registry), 422, "non").await.unwrap();
    for mailbox in [anne.id, bea.id] {
        damage::<DirectoryState>(registry.store(), &mailbox);
    }
    assert_eq!(registry.publication_counts().unwrap(), Counts::default());
    // The one is looked at where it should be, the other taken away from there.
    assert_eq!(registry.queue_unpublished().await.unwrap(), Swept { queued: 2, withheld: 0 });
    let [shown, gone] = <[Due; 2]>::try_from(due(&registry)).expect("both are due");
    assert_eq!((shown.account, shown.leaves().len()), (anne.id, 0));
    assert_eq!((gone.account, gone.leaves()), (bea.id, vec![&leaves]));
    // Nor is the place lost by a try that goes wrong.
    registry.publication_later(&gone, 0, "HTTP 503").await.unwrap();
    assert_eq!(due(&registry)[1].leaves(), [&leaves]);
    for due in due(&registry) {
        registry.publication_done(&due, None).await.unwrap();
    }
    assert_eq!(registry.queue_unpublished().await.unwrap(), Swept::default());
    assert_eq!(registry.publication_counts().unwrap().published, 1);
}

#[tokio::test]
async fn a_mailbox_whose_record_is_gone_leaves_from_where_it_was_put() {
    let (registry, anne) = scene(true).await;
    registry.publication_done(&only(&registry), Some("insert")).await.unwrap();
    registry.publish_again(anne.id).await.unwrap();
    let shown = only(&registry).published.unwrap();
    let mut batch = Batch::new();
    batch.delete::<store::Account>(&anne.id);
    registry.store().commit(batch).await.unwrap();
    let gone = only(&registry);
    assert_eq!((gone.address.as_str(), gone.leaves()), (anne.data.address.as_str(), vec![&shown.place]));
    // Where nobody knows the address it has there, nothing is said to be done.
    let mut batch = Batch::new();
    batch.put(&anne.id, &DirectoryState { attempt: Some(shown.place), ..DirectoryState::default() });
    registry.store().commit(batch).await.unwrap();
    assert!(due(&registry).is_empty());
    assert_eq!(registry.publications_pending(None, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn the_place_of_a_mailbox_that_is_forgotten_is_kept_though_its_standing_does_not_read() {
    let (registry, anne) = scene(true).await;
    registry.publication_done(&only(&registry), Some("insert")).await.unwrap();
    registry.close(anne.id, "").await.unwrap();
    let place = only(&registry).leaves()[0].clone();
    registry.publication_refused(&only(&registry), 422, "non").await.unwrap();
    damage::<DirectoryState>(registry.store(), &anne.id);
    forget(&registry, &anne).await;
    assert_eq!(state_of(&registry, &anne).unwrap().attempt.as_ref(), Some(&place));
    assert_eq!(registry.queue_unpublished().await.unwrap(), Swept { queued: 1, withheld: 0 });
    assert_eq!(only(&registry).leaves(), [&place]);
}
