//! What is traced of a message that came in, and the reports of success that its sender asked for.

use super::envelope::Envelope;
use crate::audit::{Action, Asker, MessageFacts, Trace};
use crate::mail::queue::{self, Enqueued, Kind};
use crate::mail::report::{self, Original, Report};
use crate::mail::trail;
use crate::mail::{MailRoom, ReceivedMessage};
use crate::mss::Address;
use crate::serve::Shared;
use crate::serve::smtp::now;
use crate::store::Batch;

/// What is written in the commit of the delivery: that we took the message, and what it tells of another one.
pub(super) fn of_delivery(shared: &Shared, by: &Asker, envelope: &Envelope, message: &ReceivedMessage) -> Batch {
    let mut batch = Batch::new();
    let message_id = trail::message_id_of(&message.summary);
    let facts = MessageFacts { mss: envelope.mss.clone(), ..trail::whole(message_id.as_deref(), &message.travels) };
    let accepted = Action::Accepted {
        sender: envelope.sender.as_ref().map(ToString::to_string).unwrap_or_default(),
        queued: Vec::new(),
        delivered: envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect(),
    };
    let trace = Trace {
        message: Some(facts),
        reference: envelope.reference.clone(),
        ..by.trace(envelope.only_recipient().as_deref(), accepted)
    };
    shared.mail.traces().note(trace, &mut batch);
    if let Some(told) = &message.told {
        let recipients: Vec<&Address> = envelope.recipients.iter().map(|recipient| &recipient.address).collect();
        let citizens = &shared.config.load().citizens.domains;
        trail::link(&shared.mail, told, &recipients, citizens, &envelope.reference, &mut batch);
    }
    batch
}

/// Adds the report of success that the sender asked for to the batch of the delivery (RFC 3461 §5.2.2, §6.2): to be
/// announced after the commit. The message comes in whatever becomes of it.
pub(super) async fn tell_success(
    room: &MailRoom,
    envelope: &Envelope,
    message: &ReceivedMessage,
    batch: &mut Batch,
) -> Option<Enqueued> {
    let recipients = envelope.recipients.iter().map(|recipient| (recipient.address.clone(), recipient.params.clone()));
    let report = Report::delivered(original(envelope, message), recipients.collect())?;
    match report::stage(room, &report, &envelope.header, batch).await {
        Ok(enqueued) => enqueued,
        Err(error) => {
            let reference = &envelope.reference;
            tracing::error!(%error, reference, "a report of success cannot be made");
            None
        }
    }
}

/// The message as reports speak of it: what its sender wrote, without our lines.
fn original(envelope: &Envelope, message: &ReceivedMessage) -> Original {
    let about = queue::Envelope {
        kind: Kind::Mail,
        sender: envelope.sender.clone(),
        account: None,
        params: envelope.params.clone(),
        message_id: trail::message_id_of(&message.summary),
        reference: envelope.reference.clone(),
    };
    Original::of(message, envelope.ours, about, now())
}
