//! Linking what others' reports say to the message that they are about.

use crate::mail::report::{Told, What};
use crate::mail::{MailError, MailRoom};
use crate::mss::Address;
use crate::store::Batch;

use super::keep::{events, note};
use super::{Event, Happening};

/// A trail with so many events takes no more of others' reports: nobody fills the disk with them.
const MOST_EVENTS: usize = 2_000;

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

/// Whether one of these mailboxes sent the message, and its trail takes more.
fn is_sent_by(room: &MailRoom, message_id: &str, mailboxes: &[&Address]) -> Result<bool, MailError> {
    let trail = events(room.store(), room.transit(), message_id, MOST_EVENTS)?;
    let sent = |(_, event): &(i64, Event)| match &event.what {
        Happening::Accepted { door, sender, .. } if OWN_DOORS.contains(&door.as_str()) => {
            Address::parse(sender).is_ok_and(|sender| mailboxes.iter().any(|own| own.key() == sender.key()))
        }
        _ => false,
    };
    Ok(trail.len() < MOST_EVENTS && trail.iter().any(sent))
}
