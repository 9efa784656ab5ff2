//! What happens to mail: delivery, folders, flags, changes.
//!
//! # The way through
//!
//! ```text
//! bytes ──▶ Incoming (sink + summary) ──▶ ReceivedMessage ──▶ deliver / Mailbox::append ──▶ Work ──▶ store's commit
//!       └─▶ Passing (sink alone) ──▶ PassingMessage ──▶ pass_on ──▶ the queue's records ─────┤
//!                                                                                            │
//! Selected (a session's view) ◀── refresh ◀── FolderState (shared list) ◀── Announcement ◀───┘  after the commit
//! ```
//!
//! # Rules
//!
//! 1. Every change of a mailbox is made under its lock, from reading to announcing, and in one commit. [`work`] is the
//!    only place where folders' counters, modification sequences, the quota and the change list are written.
//! 2. Records are written over the version that was read: should another process come between, the change is made anew.
//! 3. What a commit did is written in the same commit ([`crate::store::Change`]) and told to the sessions after it, under
//!    the lock. Sessions wait for that, they never poll.
//! 4. A mailbox that nobody has open costs a weak pointer. Sessions share one list per folder, copied in chunks.
//! 5. Everything is keyed by ids that are never reused; content opens only with the mailbox's own key.

mod across;
mod administration;
pub mod aftermath;
mod changes;
pub mod conversation;
mod deliver;
mod error;
mod flags;
pub mod folder_list;
mod folders;
mod incoming;
mod mailbox;
mod messages;
mod names;
mod operations;
mod parties;
pub mod queue;
mod quota;
pub mod relay;
pub mod report;
mod room;
mod selected;
mod sent;
pub mod summary;
pub mod trace_fields;
pub mod trail;
mod work;

pub use administration::{FactsPage, MessageFacts};
pub use deliver::{Appended, DeliverError, Delivered, Delivery, NewMessage, deliver, pass_on};
pub use error::MailError;
pub use flags::{FlagOp, MAX_KEYWORDS, MessageFlags, SYSTEM_FLAGS, is_keyword};
pub use folder_list::Entry;
pub use folders::FIRST_FOLDERS;
pub(crate) use folders::new_folder;
pub use incoming::{Incoming, Passing, PassingMessage, ReceivedMessage, Travels};
pub use mailbox::{FolderInfo, FolderStatus, Mailbox, QuotaUse, Subscription};
pub use messages::{BodyReader, StoredMessage};
pub use names::{FolderName, INBOX, NameError};
pub use operations::{Copied, Expunge, Expunged, StoredFlags};
pub(crate) use parties::{kind_of, state_of};
pub use quota::Admission;
pub use room::{MailLimits, MailRoom};
pub(crate) use room::{now, pause};
pub use selected::{Selected, Update};
pub use sent::OwnCopy;
