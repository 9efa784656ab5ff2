//! What is traced of mail that is refused: by which rule, for each recipient; of what comes without end, how much it was.

use std::collections::BTreeMap;

use super::{Link, Refused};
use crate::accounts::Subscriber;
use crate::audit::{self, Action, Asker, Beyond, MessageFacts, Origin, Trace, Tracer};
use crate::mss::Address;
use crate::wire::smtp::path::{ForwardPath, ReversePath};
use crate::wire::smtp::receiver::Question;

/// Octets of an address that is no address of ours (RFC 5321 §4.5.3.1.3: a path has 256).
const LONGEST: usize = 256;

/// What was refused, as far as it was known.
#[derive(Clone, Debug, Default)]
pub(in crate::serve) struct RefusedMail {
    /// The envelope's sender; empty: the null sender, or not known.
    pub(in crate::serve) sender: String,
    /// The recipients that it was refused for; none: nobody was named yet.
    pub(in crate::serve) recipients: Vec<String>,
    /// The mailbox in whose name it was to be sent, where it was one of ours.
    pub(in crate::serve) mailbox: Option<String>,
    /// `Message-ID:`, once the header section was read.
    pub(in crate::serve) message_id: Option<String>,
    /// Octets of the message, once it was there, or as announced.
    pub(in crate::serve) size: Option<u64>,
}

/// What a question of the engine's names: cheap to keep, should the answer be no.
#[derive(Clone, Debug)]
pub(in crate::serve) enum Named {
    /// A sender, and the size that it announced.
    Sender(String, Option<u64>),
    /// A recipient.
    Recipient(String),
    /// Nobody.
    Nobody,
}

impl Named {
    /// By a question.
    pub(in crate::serve) fn by(question: &Question) -> Self {
        match question {
            Question::Mail(mail) => Self::Sender(sender(&mail.path), mail.params.size),
            Question::Rcpt(rcpt) => Self::Recipient(recipient(&rcpt.path)),
            _ => Self::Nobody,
        }
    }
}

impl RefusedMail {
    /// With what the refused question named.
    pub(in crate::serve) fn with(self, named: Named) -> Self {
        match named {
            Named::Sender(sender, size) => Self { sender, size, mailbox: self.mailbox, ..Self::default() },
            Named::Recipient(recipient) => Self { recipients: vec![recipient], ..self },
            Named::Nobody => self,
        }
    }
}

fn sender(path: &ReversePath) -> String {
    path.mailbox().map(|mailbox| cut(mailbox.to_string())).unwrap_or_default()
}

fn recipient(path: &ForwardPath) -> String {
    match path {
        ForwardPath::Mailbox(mailbox) => cut(mailbox.to_string()),
        ForwardPath::Postmaster => "postmaster".to_owned(),
    }
}

fn cut(text: String) -> String {
    if text.len() <= LONGEST { text } else { text.chars().take(LONGEST / 4).collect() }
}

/// What an address had beyond its own traces, as a trace.
fn trace_of_many(beyond: &Beyond<Subscriber>) -> Trace {
    let peer = beyond.peer.map(|peer| peer.to_string());
    let origin = Origin { door: beyond.door.to_owned(), peer, ..Origin::default() };
    let rules: BTreeMap<String, u32> = beyond.counts.iter().map(|(rule, count)| ((*rule).to_owned(), *count)).collect();
    Trace { at: beyond.began, origin, ..Trace::of(Action::ManyRefused { rules }) }
}

/// Writes down how much mail was refused in a minute beyond what has a trace of its own. What cannot be written is in the log.
pub(in crate::serve) fn write_many(
    traces: &Tracer,
    beyond: &[Beyond<Subscriber>],
) -> impl Future<Output = ()> + Send + 'static {
    let writing = (!beyond.is_empty()).then(|| traces.write_past(beyond.iter().map(trace_of_many)));
    let lost = |error: &dyn std::fmt::Display| tracing::error!(%error, "how much mail was refused is not written down");
    async move {
        match writing {
            Some(Ok(written)) => drop(written.await.inspect_err(|error| lost(error))),
            Some(Err(error)) => lost(&error),
            None => {}
        }
    }
}

impl Link {
    /// Writes down that mail was refused, a trace for each recipient as far as a minute may have so many, and the count of the
    /// rest. On its way when this returns; no answer waits for it. Trouble of our own is no rule that refused something: it is
    /// in the log, and a disk that is full need not be told more.
    pub(in crate::serve) fn trace_refused(
        &self,
        asker: &Asker,
        refused: &Refused,
        mail: &RefusedMail,
        reference: &str,
    ) {
        if refused.is_ours() {
            return;
        }
        let recipients: Vec<Option<&String>> = match mail.recipients.as_slice() {
            [] => vec![None],
            recipients => recipients.iter().map(Some).collect(),
        };
        let count = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
        let peer = Subscriber::of(self.address);
        let (own, over) = self.shared.refused_mail.count(peer, self.door, refused.rule, count, audit::now());
        let one = |recipient: Option<&String>| self.trace_of(asker, refused, mail, recipient, reference);
        if own > 0 {
            let traces: Vec<Trace> = recipients.into_iter().take(own as usize).map(one).collect();
            drop(self.shared.mail.traces().write(traces));
        }
        if !over.is_empty() {
            tokio::spawn(write_many(self.shared.mail.traces(), &over));
        }
    }

    fn trace_of(
        &self,
        asker: &Asker,
        refused: &Refused,
        mail: &RefusedMail,
        recipient: Option<&String>,
        reference: &str,
    ) -> Trace {
        // At the operators' door: the recipient's, if there is such a mailbox.
        let ours = |text: &String| self.account(&Address::parse(text).ok()?).ok()?.map(|own| own.address.to_string());
        let mailbox = mail.mailbox.clone().or_else(|| recipient.and_then(ours));
        let message = mail.message_id.clone();
        let message = message.map(|message_id| MessageFacts { message_id, size: mail.size, ..MessageFacts::default() });
        let (rule, sender) = (refused.rule.to_owned(), mail.sender.clone());
        let action = Action::Refused { rule, sender, recipient: recipient.cloned() };
        Trace { message, reference: reference.to_owned(), ..asker.trace(mailbox.as_deref(), action) }
    }
}
