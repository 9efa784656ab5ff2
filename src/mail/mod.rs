//! What happens to mail: delivery, folders, flags, changes.
//!
//! The signatures below are settled and land file by file:
//!
//! ```text
//! MailRoom::new(Store, MasterKey, MailLimits) -> MailRoom                    cheap to clone
//!   .open(AccountId) -> Result<Arc<Mailbox>, MailError>                      sync, quick; only state Open
//!   .store() -> &Store       .limits() -> &MailLimits      .receive() -> Incoming          body sink + summary in one
//!   .admit(AccountId, size: u64).await -> Result<Admission, MailError>       Accept | Temporary (452 4.2.2) | Permanent (552 5.2.2)
//! Incoming (one for DATA, BDAT, APPEND, import): .write(&[u8]).await, .finish().await -> Result<ReceivedMessage, MailError>
//!   ReceivedMessage { body: StagedBody, summary: Summary }                   .size()
//! deliver(&MailRoom, Delivery{message: ReceivedMessage, recipients: Vec<AccountId>, internal_date: i64}).await
//!   -> Result<Delivered{committed: Committed, ..}, DeliverError>             one commit; DeliverError::OverQuota{accounts, permanent} etc.
//! Mailbox (Arc)
//!   .account()  .folders() -> Result<Vec<FolderInfo>>  .subscriptions() -> Result<Vec<Subscription>>  .status(&str) -> Result<FolderStatus>
//!   .create(&str, Option<SpecialUse>).await  .delete(&str).await  .rename(&str, &str).await  .subscribe(&str).await  .unsubscribe(&str).await
//!   .append(&str, NewMessage{message: ReceivedMessage, flags: MessageFlags, internal_date: i64}).await -> Result<Appended{uid_validity, uid, committed}>
//!   .quota() -> Result<QuotaUse{bytes, messages, limit: Option<u64>}>
//!   .select(&str, read_only: bool).await -> Result<Selected>                 names: UTF-8, "/" between levels, INBOX in any case
//! Selected
//!   .exists() .recent() .uid_validity() .uid_next() .highest_modseq() .first_unseen() -> Option<u32 seq> .keywords() -> Arc<[String]> .is_read_only()
//!   .entry(seq) -> Option<Entry{uid, flags, modseq, keywords}>  .seq_of(uid)  .iter() -> (seq, Entry)  .is_recent(uid)  .flags_of(&Entry) -> MessageFlags
//!   .refresh(allow_expunge: bool) -> Vec<Update>   Update::{Expunge{seq, uid} | Exists(u32) | Recent(u32) | Flags{seq, uid} | Gone}
//!   .changed().await (cancel-safe, no polling)
//!   .store_flags(&[Uid], FlagOp::{Add,Remove,Replace}, &MessageFlags, unchanged_since: Option<u64>).await -> Result<StoredFlags{..}>
//!   .expunge(Expunge::{AllDeleted | Uids(&[Uid])}).await   .copy(&[Uid], &str).await -> Result<Copied{uid_validity, source, dest}>   .move_to(..)
//!   .summaries(Vec<Uid>).await -> Result<Vec<StoredMessage{uid, internal_date, size, summary}>>    (call in pages of ~1000 for large sets)
//!   .body(uid).await -> Result<BodyReader{size, read(Range<u64>).await}>
//! MessageFlags { system: u32 (store::flags bits), keywords: Vec<String> }
//! ```

pub mod folder_list;
pub mod summary;
