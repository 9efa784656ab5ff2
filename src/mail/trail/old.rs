//! The trail of older versions, moved to where traces are kept now.

use std::collections::HashSet;
use std::ops::Bound;
use std::time::Duration;

use serde::Deserialize;

use super::{inside, marks, named, step};
use crate::audit::{Action, Actor, By, MessageFacts, Trace};
use crate::mail::queue::Words;
use crate::mail::{MailError, MailRoom};
use crate::mss::Address;
use crate::store::{Batch, TrailEvent, TrailKey, Versioned};

/// Rows moved in one commit, and the pause behind it: mail goes first.
const PAGE: usize = 500;
const PAUSE: Duration = Duration::from_millis(100);

/// While the scribe is behind, nothing more is put on it; looked at so often.
const BEHIND: Duration = Duration::from_secs(5);

/// The doors that an own mailbox's messages went out by.
const OWN_DOORS: [&str; 3] = ["submission", "forward", "absence"];

/// Moves what older versions wrote to the traces that wait for the scribe, each row in one commit with its disappearance;
/// says how many. What does not open stays where it is, and is logged.
///
/// # Errors
/// What the store says; the next start goes on.
pub async fn move_on(room: &MailRoom) -> Result<u64, MailError> {
    let mut after = Bound::Unbounded;
    let mut moved = 0;
    loop {
        while room.traces().is_stuck() {
            tokio::time::sleep(BEHIND).await;
        }
        let (store, range) = (room.store().clone(), (after, Bound::Unbounded));
        let rows = tokio::task::spawn_blocking(move || store.scan::<TrailEvent>(range, PAGE));
        let rows = rows.await.map_err(|_| MailError::Unknown)??;
        let Some((last, _)) = rows.last() else { return Ok(moved) };
        after = Bound::Excluded(*last);
        let mut batch = Batch::new();
        moved += move_rows(room, &rows, &mut batch)?;
        if !batch.is_empty() {
            room.store().commit_soon(batch).await?;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn move_rows(room: &MailRoom, rows: &[(TrailKey, Versioned<TrailEvent>)], batch: &mut Batch) -> Result<u64, MailError> {
    let (mut taken, mut marked) = (HashSet::new(), HashSet::new());
    let mut moved = 0;
    for (key, row) in rows {
        let opened = room.transit().open_bytes(&place(key), &row.sealed).ok();
        let Some(event) = opened.and_then(|plain| serde_json::from_slice::<Event>(&plain).ok()) else {
            tracing::error!(at = key.at, "an event of an older version's trail cannot be read; it stays");
            continue;
        };
        if let (true, sender) = event.left_by_us()
            && marked.insert(event.message_id.clone())
        {
            let at = i64::try_from(key.at / 1_000_000).unwrap_or(i64::MAX);
            marks::mark_at(room, &event.message_id, sender.as_ref(), at, batch);
        }
        room.traces().note_at(event.into(), key.at, &mut taken, batch)?;
        batch.delete::<TrailEvent>(key);
        moved += 1;
    }
    Ok(moved)
}

/// What a sealed event belongs to: the record's kind and its key.
fn place(key: &TrailKey) -> [u8; 21] {
    let mut place = *b"trail\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    place[5..13].copy_from_slice(&key.message.to_be_bytes());
    place[13..].copy_from_slice(&key.at.to_be_bytes());
    place
}

/// An event as older versions wrote it.
#[derive(Deserialize)]
struct Event {
    message_id: String,
    reference: String,
    #[serde(flatten)]
    what: Happening,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Happening {
    Accepted {
        door: String,
        sender: String,
        queued: Vec<String>,
        delivered: Vec<String>,
        #[serde(default)]
        mss: Vec<(String, String)>,
        #[serde(default)]
        by: Option<Author>,
    },
    Tried {
        recipient: String,
        result: String,
        words: Words,
        attempt: u32,
    },
    Handled {
        action: String,
    },
    Reported {
        action: String,
        recipients: Vec<String>,
        report: String,
    },
    ReportLost {
        action: String,
        recipients: Vec<String>,
        reason: String,
    },
    ReportCame {
        action: String,
        recipient: Option<String>,
        report: Option<String>,
        text: String,
    },
    Disposition {
        recipient: Option<String>,
        disposition: String,
        notification: Option<String>,
        error: Option<String>,
    },
}

#[derive(Deserialize)]
struct Author {
    #[serde(default)]
    person: Option<String>,
    mailbox: String,
}

impl Event {
    /// Whether it says that the message left by a door of ours, and whose it is.
    fn left_by_us(&self) -> (bool, Option<Address>) {
        match &self.what {
            Happening::Accepted { door, sender, .. } if OWN_DOORS.contains(&door.as_str()) => {
                (true, Address::parse(sender).ok())
            }
            _ => (false, None),
        }
    }
}

impl From<Event> for Trace {
    fn from(event: Event) -> Trace {
        let Event { message_id, reference, what } = event;
        let plain = |action| step(named(Some(&message_id)), &reference, action);
        match what {
            Happening::Accepted { door, sender, queued, delivered, mss, by } => {
                let message = MessageFacts { mss, ..named(Some(&message_id)) };
                let user = |by: Author| Actor {
                    by: Some(By::User),
                    person: by.person,
                    login: Some(by.mailbox),
                    ..Actor::default()
                };
                Trace {
                    actor: by.map(user).unwrap_or_default(),
                    origin: inside(&door),
                    ..step(message, &reference, Action::Accepted { sender, queued, delivered })
                }
            }
            Happening::Tried { recipient, result, words, attempt } => {
                plain(Action::Tried { recipient, result, words: words.to_string(), attempt })
            }
            Happening::Handled { action } => plain(Action::Handled { handling: action }),
            Happening::Reported { action, recipients, report } => {
                plain(Action::Reported { result: action, recipients, report })
            }
            Happening::ReportLost { action, recipients, reason } => {
                plain(Action::ReportLost { result: action, recipients, reason })
            }
            Happening::ReportCame { action, recipient, report, text } => {
                plain(Action::ReportCame { result: action, recipient, report, text })
            }
            Happening::Disposition { recipient, disposition, notification, error } => {
                plain(Action::Disposition { recipient, disposition, notification, error })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::MailLimits;
    use crate::mail::trail::digest_of;
    use crate::store::{MasterKey, SentMark, Store};

    /// What version 0.4 wrote, to the letter.
    const WRITTEN: [&str; 7] = [
        r#"{"message_id":"<a@b>","reference":"r1","event":"accepted","door":"submission","sender":"anne@aura.example","queued":["b@nord.example"],"delivered":["c@aura.example"],"mss":[["X-MSS-NIL","x"]],"by":{"person":"899700000001","mailbox":"anne@aura.example"}}"#,
        r#"{"message_id":"<a@b>","reference":"r1","event":"tried","recipient":"b@nord.example","result":"failed","words":{"code":550,"status":"5.1.1","text":"no","host":"mx.nord.example","rule":null},"attempt":2}"#,
        r#"{"message_id":"<a@b>","reference":"r1","event":"handled","action":"held"}"#,
        r#"{"message_id":"<a@b>","reference":"r1","event":"reported","action":"failed","recipients":["b@nord.example"],"report":"<r@a>"}"#,
        r#"{"message_id":"<a@b>","reference":"r1","event":"report-lost","action":"failed","recipients":[],"reason":"closed"}"#,
        r#"{"message_id":"<a@b>","reference":"r2","event":"report-came","action":"failed","recipient":null,"report":"<r@b>","text":"5.1.1"}"#,
        r#"{"message_id":"<a@b>","reference":"r3","event":"disposition","recipient":"b@nord.example","disposition":"displayed","notification":null,"error":null}"#,
    ];

    /// A room whose store has an older version's rows, all of them written in one microsecond.
    async fn older() -> MailRoom {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let mut batch = Batch::new();
        for (number, written) in WRITTEN.iter().enumerate() {
            let key = TrailKey { message: number as u64, at: 1_763_769_600_000_007 };
            let sealed = room.transit().seal_bytes(&place(&key), written.as_bytes());
            batch.put(&key, &TrailEvent { sealed });
        }
        room.store().commit(batch).await.unwrap();
        room
    }

    #[tokio::test]
    async fn nothing_of_an_older_versions_trail_is_lost() {
        let room = older().await;
        let key = TrailKey { message: 99, at: 1 };
        let mut batch = Batch::new();
        batch.put(&key, &TrailEvent { sealed: vec![0; 40] });
        room.store().commit(batch).await.unwrap();
        assert_eq!(move_on(&room).await.unwrap(), 7);
        let left = room.store().scan::<TrailEvent>(.., 9).unwrap();
        assert!(matches!(left.as_slice(), [(left, _)] if *left == key), "what does not open stays");
        let moved = room.traces().waiting(.., 99).unwrap();
        let times: HashSet<u64> = moved.iter().map(|trace| trace.at).collect();
        assert_eq!((moved.len(), times.len()), (7, 7), "each has a time of its own");
        assert!(moved.iter().all(|trace| trace.message.as_ref().unwrap().message_id == "<a@b>"));
        assert!(moved.iter().all(|trace| trace.at - 1_763_769_600_000_007 < 7));
        assert_eq!(move_on(&room).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn who_sent_a_message_by_an_older_version_still_hears_of_it() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let key = TrailKey { message: digest_of("<a@b>"), at: 1_763_769_600_000_007 };
        let mut batch = Batch::new();
        let sealed = room.transit().seal_bytes(&place(&key), WRITTEN[0].as_bytes());
        batch.put(&key, &TrailEvent { sealed });
        room.store().commit(batch).await.unwrap();
        move_on(&room).await.unwrap();
        let [(_, mark)] = &room.store().scan::<SentMark>(.., 9).unwrap()[..] else { panic!("one mark") };
        assert_eq!((mark.at, mark.reports), (1_763_769_600, 0));
        let anne = Address::parse("Anne@aura.example").unwrap();
        assert!(marks::of_sender(&room, "<a@b>", &[&anne]).unwrap().is_some());
    }

    #[test]
    fn each_kind_of_event_says_what_it_said() {
        let traces: Vec<Trace> =
            WRITTEN.iter().map(|written| serde_json::from_str::<Event>(written).unwrap().into()).collect();
        let names: Vec<_> = traces.iter().map(|trace| trace.action.name()).collect();
        let expected = ["accepted", "tried", "handled", "reported", "report-lost", "report-came", "disposition"];
        assert_eq!(names, expected);
        assert_eq!(traces[0].actor.person.as_deref(), Some("899700000001"));
        assert_eq!(traces[0].message.as_ref().unwrap().mss, [("X-MSS-NIL".to_owned(), "x".to_owned())]);
        assert!(matches!(&traces[1].action, Action::Tried { words, .. } if words == "550 5.1.1 no [mx.nord.example]"));
        assert_eq!(traces[5].reference, "r2");
    }
}
