//! Linking what others' reports say to the message that they are about.

use crate::mail::MailRoom;
use crate::mail::report::{Told, What};
use crate::mss::Address;
use crate::store::{Batch, SentMark};

use super::marks;

/// A message with so many of others' reports takes no more of them: nobody fills the disk with them. Reports that come in the
/// same moment may count as one: it is a bound, and no account.
const MOST_REPORTS: u32 = 2_000;

/// Adds to a delivery's batch what the delivered message tells of another one: only if one of the report's recipients sent
/// that one. A plain bounce counts only from a domain of citizens (MSSanté §8). Never fails: a report that cannot be linked
/// is delivered like any message.
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
        match marks::of_sender(room, message_id, recipients) {
            Ok(Some((_, mark))) if mark.reports >= MOST_REPORTS => return,
            Ok(Some((key, mark))) => {
                let traces = told.traces(message_id, reference);
                let more = u32::try_from(traces.len()).unwrap_or(u32::MAX);
                batch.put(&key, &SentMark { reports: mark.reports.saturating_add(more), ..mark.record });
                traces.into_iter().for_each(|trace| room.traces().note(trace, batch));
                return;
            }
            Ok(None) => {}
            Err(error) => return tracing::error!(%error, reference, "a report cannot be linked: its mark is not read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Action, Trace};
    use crate::mail::MailLimits;
    use crate::mail::report::Status;
    use crate::store::{MasterKey, Store};

    const OURS: &str = "anne.roux@aura.example";

    /// A room where somebody has sent the message.
    async fn room_with(sender: Option<&str>) -> MailRoom {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        send(&room, sender).await;
        room
    }

    async fn send(room: &MailRoom, sender: Option<&str>) {
        let sender = sender.map(|sender| Address::parse(sender).unwrap());
        let mut batch = Batch::new();
        marks::mark(room, "<abc@aura.example>", sender.as_ref(), &mut batch);
        if !batch.is_empty() {
            room.store().commit(batch).await.unwrap();
        }
    }

    fn traces(room: &MailRoom) -> Vec<Trace> {
        room.traces().waiting(.., usize::MAX).unwrap()
    }

    fn failed(about: &[&str]) -> Told {
        let status =
            Status { recipient: Some("b@other.example".into()), action: "failed".into(), text: "5.1.1 unknown".into() };
        let about = about.iter().map(|id| (*id).to_owned()).collect();
        Told { about, message_id: Some("<r@other.example>".into()), what: What::Delivery(vec![status]) }
    }

    /// How many traces there are more once the report came to `recipient`.
    async fn linked(room: &MailRoom, told: &Told, recipient: &str) -> usize {
        let before = traces(room).len();
        let mut batch = Batch::new();
        let citizens = ["patient.mssante.fr".to_owned()];
        link(room, told, &[&Address::parse(recipient).unwrap()], &citizens, "r2", &mut batch);
        if !batch.is_empty() {
            room.store().commit(batch).await.unwrap();
        }
        traces(room).len() - before
    }

    #[tokio::test]
    async fn a_report_is_written_to_the_message_that_its_recipient_sent() {
        let room = room_with(Some(OURS)).await;
        let told = failed(&["<unknown@x>", "<abc@aura.example>"]);
        assert_eq!(linked(&room, &told, "Anne.ROUX@aura.example").await, 1);
        let trace = traces(&room).pop().unwrap();
        assert_eq!((trace.reference.as_str(), &*trace.message.unwrap().message_id), ("r2", "<abc@aura.example>"));
        let came = Action::ReportCame {
            result: "failed".into(),
            recipient: Some("b@other.example".into()),
            report: Some("<r@other.example>".into()),
            text: "5.1.1 unknown".into(),
        };
        assert_eq!(trace.action, came);
    }

    #[tokio::test]
    async fn nobody_writes_about_others_messages_or_about_those_that_were_never_sent() {
        let room = room_with(Some(OURS)).await;
        let told = failed(&["<abc@aura.example>"]);
        assert_eq!(linked(&room, &told, "lea@aura.example").await, 0, "the report came to another mailbox");
        assert_eq!(linked(&room, &failed(&["<unknown@x>"]), OURS).await, 0, "no such message");
        for sender in [None, Some("lea@aura.example")] {
            let room = room_with(sender).await;
            assert_eq!(linked(&room, &told, OURS).await, 0, "{sender:?}");
        }
    }

    #[tokio::test]
    async fn a_message_takes_only_so_many_reports() {
        let room = room_with(Some(OURS)).await;
        let mut told = failed(&["<abc@aura.example>"]);
        let What::Delivery(statuses) = &mut told.what else { panic!("a delivery status") };
        *statuses = vec![statuses[0].clone(); 100];
        let mut all = 0;
        for _ in 0..25 {
            all += linked(&room, &told, OURS).await;
        }
        assert_eq!(all, MOST_REPORTS as usize);
    }

    #[tokio::test]
    async fn who_sends_a_message_under_anothers_id_gets_none_of_its_reports() {
        for first in [Some(OURS), None] {
            let room = room_with(first).await;
            let told = failed(&["<abc@aura.example>"]);
            send(&room, Some("lea@aura.example")).await;
            assert_eq!(linked(&room, &told, "lea@aura.example").await, 0, "lea came later");
            assert_eq!(linked(&room, &told, OURS).await, usize::from(first.is_some()));
        }
    }

    #[tokio::test]
    async fn a_plain_bounce_counts_only_from_the_citizens_space() {
        for (domain, expected) in [("patient.mssante.fr", 1), ("other.example", 0), ("x.patient.mssante.fr", 0)] {
            let room = room_with(Some(OURS)).await;
            let what = What::Bounce { domain: domain.into(), recipient: None, status: None };
            let told = Told { what, ..failed(&["<abc@aura.example>"]) };
            assert_eq!(linked(&room, &told, OURS).await, expected, "{domain}");
        }
    }
}
