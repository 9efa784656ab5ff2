//! What is told in which commit, and what is owed when there is none.

use super::*;
use crate::audit;
use crate::mail::MailLimits;
use crate::mail::queue::{Envelope, Words};
use crate::mail::report::{Action, Original};
use crate::store::{BodyId, BodyKey, MasterKey, QueueMessage, Store};
use crate::wire::smtp::params::{MailParams, Notify};

const HEADER: &str = "From: Bruno <bruno@other.example>\r\nMessage-ID: <abc@other.example>\r\n\r\n";

/// Bruno of another operator asked to be told when Anne has his message.
fn success(account: Option<AccountId>) -> Report {
    let address = |text| Address::parse(text).unwrap();
    let envelope = Envelope {
        kind: Kind::Mail,
        sender: Some(address("bruno@other.example")),
        account,
        params: MailParams::default(),
        message_id: Some("<abc@other.example>".into()),
        reference: "r/1".into(),
    };
    let (body, body_key, header) = (BodyId(9), BodyKey::generate(), HEADER.len() as u64);
    let original = Original { envelope, accepted_at: 0, body, body_key, skip: 300, size: 5_000, header };
    let notify = Some(Notify::On { success: true, failure: false, delay: false });
    let recipient = Reported {
        address: address("anne@aura.example"),
        params: RcptParams { notify, ..RcptParams::default() },
        action: Action::Delivered,
        words: Words { code: None, status: "2.1.5".into(), text: String::new(), host: None, rule: None },
        last_attempt: None,
        retry_until: None,
    };
    Report { original, recipients: vec![recipient] }
}

#[tokio::test]
async fn success_is_told_in_the_commit_that_makes_it_true() {
    let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
    let mut batch = Batch::new();
    let staged = stage(&room, &success(None), HEADER.as_bytes(), &mut batch).await.unwrap();
    assert!(staged.is_some() && room.traces().waiting(.., 9).unwrap().is_empty(), "not before the commit");
    room.store().commit(batch).await.unwrap();
    let (_, queued) = room.store().scan::<QueueMessage>(.., 1).unwrap().pop().unwrap();
    let key = room.queue().body_key(&queued).unwrap();
    let read = room.store().read_body(&queued.body, &key, 0..u64::MAX).await.unwrap();
    let report = String::from_utf8(read).unwrap();
    assert!(report.starts_with("From: \"Remise des messages\" <postmaster@aura.example>\r\nTo: <bruno@other.example>"));
    assert!(report.contains("Action: delivered\r\nStatus: 2.1.5\r\n"), "{report}");
    assert!(
        report
            .contains(&format!("Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{HEADER}"))
    );
    assert_eq!((queued.skip, queued.size), (0, report.len() as u64));
    let header_end = report.find("\r\n\r\n").unwrap() as u64 + 4;
    assert_eq!(queued.header, header_end);
    let traces = room.traces().waiting(.., 9).unwrap();
    let reported = traces.iter().find(|trace| trace.message.as_ref().unwrap().message_id == "<abc@other.example>");
    assert!(matches!(&reported.unwrap().action, audit::Action::Reported { result, .. } if result == "delivered"));
}

#[tokio::test]
async fn an_own_mailbox_is_not_told_behind_its_lock() {
    let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
    let mut batch = Batch::new();
    let staged = stage(&room, &success(Some(AccountId(1))), HEADER.as_bytes(), &mut batch).await.unwrap();
    assert!(staged.is_none() && batch.is_empty());
}

#[test]
fn a_report_is_lost_only_to_what_never_passes() {
    use crate::store::SealError;
    let index = || StoreError::Index("cannot read".into());
    for error in
        [MailError::NoMailbox, MailError::Closed, MailError::NoFolder, MailError::Sealed(SealError::DoesNotOpen)]
    {
        assert!(for_good(error.clone()).is_ok(), "{error}");
    }
    assert!(matches!(for_good(MailError::Full), Err(SettleError::Commit(CommitError::Full))));
    assert!(matches!(for_good(MailError::Unknown), Err(SettleError::Commit(CommitError::Unknown))));
    let owed = for_good(MailError::Store(index())).expect_err("the report is still owed");
    assert!(matches!(QueueError::from(owed), QueueError::Store(StoreError::Index(_))), "and the queue goes on");
    let written = SettleError::from(Trouble::Writing(MailError::Store(index())));
    assert!(matches!(written, SettleError::Store(_)));
}

#[test]
fn an_original_is_read_in_pieces_without_gap_or_overlap() {
    for range in [0..0, 5..5, 0..1, 7..PIECE, 7..PIECE + 7, 100..(25 << 20) + 3] {
        let mut at = range.start;
        for piece in pieces(range.clone()) {
            assert!(piece.start == at && piece.end > at && piece.end - piece.start <= PIECE, "{piece:?}");
            at = piece.end;
        }
        assert_eq!(at, range.end);
    }
}
