//! Linking what others' reports say to the message that they are about.

use crate::mail::report::{Told, What};
use crate::mail::{MailError, MailRoom};
use crate::mss::Address;
use crate::store::Batch;

use super::keep::{MOST_EVENTS, events, note};
use super::{Event, Happening};

/// A trail with so many of others' reports takes no more of them: nobody fills the disk with them. What else stands on it is
/// not counted: whoever knows a Message-ID can send messages that have it.
const MOST_REPORTS: usize = 2_000;

/// The doors that an own mailbox's messages go out by.
const OWN_DOORS: [&str; 3] = ["submission", "forward", "absence"];

/// Adds to a delivery's batch what the delivered message tells of another one: only if that one's trail is there and one
/// of the report's recipients sent it. A plain bounce counts only from a domain of citizens (MSSanté §8). Never fails: a
/// report that cannot be linked is delivered like any message.
pub fn link(
    room: &MailRoom,
    told: &Told,
    recipients: &[&Address],
    citizens: &[String],
    reference: &str,
    batch: &mut Batch,
) {
    if let What::Bounce { domain, .. } = &told.what
        && !citizens.iter().any(|citizens| citizens.eq_ignore_ascii_case(domain))
    {
        return;
    }
    for message_id in &told.about {
        match is_sent_by(room, message_id, recipients) {
            Ok(true) => {
                let events = told.events(message_id, reference);
                events.iter().for_each(|event| note(room.transit(), event, batch));
                return;
            }
            Ok(false) => {}
            Err(error) => return tracing::error!(%error, reference, "a report cannot be linked: its trail is not read"),
        }
    }
}

/// Whether one of these mailboxes sent the message, and its trail takes more. The first that one of our doors took is the
/// message: whoever sends another under its Message-ID has read it there.
fn is_sent_by(room: &MailRoom, message_id: &str, mailboxes: &[&Address]) -> Result<bool, MailError> {
    let trail = events(room.store(), room.transit(), message_id, MOST_EVENTS)?;
    let sender = trail.iter().find_map(|(_, event)| match &event.what {
        Happening::Accepted { door, sender, .. } if OWN_DOORS.contains(&door.as_str()) => Some(sender),
        _ => None,
    });
    let sender = sender.and_then(|sender| Address::parse(sender).ok());
    let is_theirs = sender.is_some_and(|sender| mailboxes.iter().any(|own| own.key() == sender.key()));
    let is_report = |event: &Event| matches!(event.what, Happening::ReportCame { .. } | Happening::Disposition { .. });
    let reports = trail.iter().filter(|(_, event)| is_report(event)).count();
    // Beyond the events that are read nothing could be counted.
    Ok(is_theirs && reports < MOST_REPORTS && trail.len() < MOST_EVENTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::MailLimits;
    use crate::mail::report::Status;
    use crate::mail::trail::follow;
    use crate::store::{MasterKey, Store};

    const OURS: &str = "anne.roux@aura.example";

    async fn room_with(door: &str, sender: &str) -> MailRoom {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        take(&room, door, sender, 1).await;
        room
    }

    /// So many messages with the Message-ID come in by a door.
    async fn take(room: &MailRoom, door: &str, sender: &str, times: usize) {
        let what = Happening::Accepted {
            door: door.into(),
            sender: sender.into(),
            queued: vec!["b@other.example".into()],
            delivered: Vec::new(),
            mss: Vec::new(),
            by: None,
        };
        let event = Event { message_id: "<abc@aura.example>".into(), reference: "r1".into(), what };
        let mut batch = Batch::new();
        (0..times).for_each(|_| note(room.transit(), &event, &mut batch));
        room.store().commit(batch).await.unwrap();
    }

    fn failed(about: &[&str]) -> Told {
        let status =
            Status { recipient: Some("b@other.example".into()), action: "failed".into(), text: "5.1.1 unknown".into() };
        let about = about.iter().map(|id| (*id).to_owned()).collect();
        Told { about, message_id: Some("<r@other.example>".into()), what: What::Delivery(vec![status]) }
    }

    /// How many events there are more once the report came to `recipient`.
    async fn linked(room: &MailRoom, told: &Told, recipient: &str) -> usize {
        let before = room.store().scan::<crate::store::TrailEvent>(.., usize::MAX).unwrap().len();
        let mut batch = Batch::new();
        let citizens = ["patient.mssante.fr".to_owned()];
        link(room, told, &[&Address::parse(recipient).unwrap()], &citizens, "r2", &mut batch);
        if !batch.is_empty() {
            room.store().commit(batch).await.unwrap();
        }
        room.store().scan::<crate::store::TrailEvent>(.., usize::MAX).unwrap().len() - before
    }

    #[tokio::test]
    async fn a_report_stands_on_the_trail_of_the_message_that_its_recipient_sent() {
        let room = room_with("submission", OURS).await;
        let told = failed(&["<unknown@x>", "<abc@aura.example>"]);
        assert_eq!(linked(&room, &told, "Anne.ROUX@aura.example").await, 1);
        let (_, event) = follow(&room, "<abc@aura.example>").unwrap().pop().unwrap();
        assert_eq!(event.reference, "r2");
        let came = Happening::ReportCame {
            action: "failed".into(),
            recipient: Some("b@other.example".into()),
            report: Some("<r@other.example>".into()),
            text: "5.1.1 unknown".into(),
        };
        assert_eq!(event.what, came);
    }

    #[tokio::test]
    async fn nobody_writes_onto_others_trails_or_makes_new_ones() {
        let room = room_with("submission", OURS).await;
        let told = failed(&["<abc@aura.example>"]);
        assert_eq!(linked(&room, &told, "lea@aura.example").await, 0, "the report came to another mailbox");
        assert_eq!(linked(&room, &failed(&["<unknown@x>"]), OURS).await, 0, "no such trail");
        for (door, sender) in
            [("smtp", OURS), ("smtp", "x@other.example"), ("report", ""), ("submission", "lea@aura.example")]
        {
            let room = room_with(door, sender).await;
            assert_eq!(linked(&room, &told, OURS).await, 0, "{door} {sender}");
        }
    }

    #[tokio::test]
    async fn a_trail_takes_only_so_many_reports() {
        let room = room_with("submission", OURS).await;
        let mut told = failed(&["<abc@aura.example>"]);
        let What::Delivery(statuses) = &mut told.what else { panic!("a delivery status") };
        *statuses = vec![statuses[0].clone(); 100];
        let mut all = 0;
        for _ in 0..25 {
            all += linked(&room, &told, OURS).await;
        }
        assert_eq!(all, MOST_REPORTS);
    }

    #[tokio::test]
    async fn who_sends_a_message_under_anothers_id_neither_deafens_its_trail_nor_writes_on_it() {
        let room = room_with("submission", OURS).await;
        let told = failed(&["<abc@aura.example>"]);
        take(&room, "smtp", "x@other.example", 3_000).await;
        assert_eq!(linked(&room, &told, OURS).await, 1, "others' messages do not count");
        take(&room, "submission", "lea@aura.example", 1).await;
        assert_eq!(linked(&room, &told, "lea@aura.example").await, 0, "lea came later");
        assert_eq!(linked(&room, &told, OURS).await, 1);
    }

    #[tokio::test]
    async fn a_plain_bounce_counts_only_from_the_citizens_space() {
        for (domain, expected) in [("patient.mssante.fr", 1), ("other.example", 0), ("x.patient.mssante.fr", 0)] {
            let room = room_with("submission", OURS).await;
            let what = What::Bounce { domain: domain.into(), recipient: None, status: None };
            let told = Told { what, ..failed(&["<abc@aura.example>"]) };
            assert_eq!(linked(&room, &told, OURS).await, expected, "{domain}");
        }
    }
}
