//! What is answered to the engine's questions.

use super::envelope::{Envelope, Recipient};
use super::session::Session;
use super::trail;
use crate::accounts::Account;
use crate::mail::aftermath::{self, Arrival, HeaderFacts, Prepared};
use crate::mail::queue::Enqueued;
use crate::mail::trace_fields::{self, Hops, Received, Trust};
use crate::mail::{Delivered, Delivery, MailError, ReceivedMessage};
use crate::mss::exchange::{self, Origin, Party};
use crate::mss::{Address, admission};
use crate::serve::smtp::{self, Named, Refused, RefusedMail, accepted, delivery_failed};
use crate::wire::smtp::command::{MailFrom, RcptTo};
use crate::wire::smtp::receiver::{Answer, Hello, Question};
use crate::wire::smtp::reply::Reply;

impl Session {
    /// Answers a question of the engine's; a refusal is counted and logged.
    pub(super) async fn decided(&mut self, question: Question, hello: Option<&Hello>) -> Answer {
        let reference = self.reference();
        if let Question::Message { size } = question {
            return self.message(size).await;
        }
        let named = Named::by(&question);
        let decided = match question {
            Question::Mail(mail) => self.mail(mail),
            Question::Rcpt(rcpt) => self.rcpt(rcpt).await,
            Question::Open => self.open(),
            Question::HeaderEnd => self.header_end(hello).await,
            // Asked and answered by the session, which holds the socket.
            Question::StartTls => Ok(()),
            // This door never offers the one; the other is answered above.
            Question::Auth(_) | Question::Message { .. } => Err(Refused::no_peer()),
        };
        if let Err(refused) = &decided {
            self.link.trace_refused(&self.asker(), refused, &self.refused_mail().with(named), &reference);
        }
        self.link.answer(decided, &reference)
    }

    /// What the operator can search in the logs: the transaction, or the connection.
    pub(super) fn reference(&self) -> String {
        self.envelope.as_ref().map_or_else(|| self.link.id.to_string(), |envelope| envelope.reference.clone())
    }

    /// What is told of the mail under way, should it be refused.
    fn refused_mail(&self) -> RefusedMail {
        let Some(envelope) = &self.envelope else { return RefusedMail::default() };
        RefusedMail {
            sender: envelope.sender.as_ref().map(Address::to_string).unwrap_or_default(),
            recipients: envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect(),
            mailbox: None,
            message_id: envelope.facts.message_id.clone(),
            size: envelope.params.size,
        }
    }

    /// `MAIL`: is there room, and may the peer speak for this sender?
    fn mail(&mut self, mail: MailFrom) -> Result<(), Refused> {
        self.link.room_on_disk()?;
        let sender = match mail.path.mailbox() {
            Some(mailbox) => Some(Address::parse(&mailbox.to_string()).map_err(|e| Refused::bad_sender(&e))?),
            None => None,
        };
        let peer = self.peer.as_ref().ok_or_else(Refused::no_peer)?;
        let space = self.link.shared.trust.load();
        let rule = accepted(&admission::sender(&space, &peer.identity.subject, sender.as_ref(), self.link.now()))?;
        let party = match &sender {
            Some(address) => self.link.party(address)?,
            None => Party::Null(Origin::Other),
        };
        self.transactions += 1;
        let reference = format!("{}/{}", self.link.id, self.transactions);
        let domain = sender.as_ref().map_or("<>", |address| address.domain().as_str());
        tracing::info!(event = "tx-begin", reference, domain, rule, size = mail.params.size);
        self.envelope = Some(Envelope {
            reference,
            party,
            sender,
            rule,
            params: mail.params,
            recipients: Vec::new(),
            header: Vec::new(),
            ours: 0,
            mss: Vec::new(),
            facts: HeaderFacts::default(),
            incoming: None,
        });
        Ok(())
    }

    /// `RCPT`: whose mailbox is it, may the sender write to it, has it room?
    async fn rcpt(&mut self, rcpt: RcptTo) -> Result<(), Refused> {
        let to = self.link.named(&rcpt.path)?;
        let account = self.link.recipient(&to)?;
        let party = match &account {
            Some(account) => Party::Own(account.as_own()),
            None => self.link.party(&to)?,
        };
        let envelope = self.envelope.as_ref().ok_or_else(Refused::store_unavailable)?;
        let space = self.link.shared.trust.load();
        let conversation = self.link.shared.mail.conversation_of(&space, &envelope.party, &party);
        let conversation = conversation.map_err(|error| self.link.mailbox_failed(&error))?;
        accepted(&exchange::decide_in(&space, &envelope.party, &party, conversation))?;
        // Only an own mailbox is ever accepted from outside; this is for a mistake in the rules.
        let account = account.ok_or_else(|| Refused::of_mailbox(&MailError::NoMailbox))?;
        let size = envelope.params.size.unwrap_or(0);
        self.link.room_in(account.id, size).await?;
        self.add_recipient(account, rcpt);
        Ok(())
    }

    /// A mailbox named twice gets the message once (RFC 5321 §3.3 leaves it to us); both are told yes.
    fn add_recipient(&mut self, account: Account, rcpt: RcptTo) {
        let Some(envelope) = &mut self.envelope else { return };
        tracing::info!(event = "tx-rcpt", reference = envelope.reference, account = %account.id);
        if !envelope.recipients.iter().any(|recipient| recipient.account == account.id) {
            let recipient = Recipient { account: account.id, address: account.address, params: rcpt.params };
            envelope.recipients.push(recipient);
        }
    }

    fn open(&mut self) -> Result<(), Refused> {
        let envelope = self.envelope.as_mut().ok_or_else(Refused::store_unavailable)?;
        envelope.incoming = Some(self.link.shared.mail.receive());
        Ok(())
    }

    /// A piece of the header section: kept until it is whole (the engine bounds it), because it is judged as a whole and
    /// our lines go before it.
    pub(super) fn keep_header(&mut self, piece: &[u8]) {
        if let Some(envelope) = &mut self.envelope {
            envelope.header.extend_from_slice(piece);
        }
    }

    /// The header section is whole: does the message loop, and is it from whom the peer may speak for?
    async fn header_end(&mut self, hello: Option<&Hello>) -> Result<(), Refused> {
        let Some(envelope) = &mut self.envelope else { return Err(Refused::store_unavailable()) };
        let peer = self.peer.as_ref().ok_or_else(Refused::no_peer)?;
        let header = std::mem::take(&mut envelope.header);
        envelope.facts = HeaderFacts::of(&header);
        let config = self.link.shared.config.load_full();
        if Hops::of(&header, &config.server.name).is_loop(config.smtp.max_received as usize) {
            return Err(Refused::mail_loop());
        }
        let senders = smtp::senders(&header);
        accepted(&admission::header(&self.link.shared.trust.load(), &peer.identity.subject, &senders))?;
        let from_domain = senders.from.first().map(|address| address.domain().as_str());
        let lines = self.trace_lines(from_domain, hello)?;
        let mss = smtp::mss_fields(&header);
        let header = trace_fields::without_ours(&header);
        if let Some(envelope) = &mut self.envelope {
            envelope.ours = u32::try_from(lines.len()).unwrap_or(u32::MAX);
            envelope.mss = mss;
            if envelope.wants_success() {
                envelope.header = header.to_vec();
            }
        }
        self.keep_above(lines.as_bytes()).await?;
        self.keep(&header).await
    }

    fn trace_lines(&self, from_domain: Option<&str>, hello: Option<&Hello>) -> Result<String, Refused> {
        let (Some(envelope), Some(peer)) = (&self.envelope, &self.peer) else { return Err(Refused::no_peer()) };
        let config = self.link.shared.config.load();
        let extended = hello.is_none_or(|hello| hello.extended);
        let recipient = envelope.only_recipient();
        let received = Received {
            hello: hello.map_or("unknown", |hello| hello.name.as_str()),
            address: self.link.address,
            by: &config.server.name,
            // RFC 3848, RFC 6531 §4.3. There is no keyword for HELO behind TLS.
            protocol: if envelope.params.smtp_utf8 {
                "UTF8SMTPS"
            } else if extended {
                "ESMTPS"
            } else {
                "SMTP"
            },
            tls: &peer.tls,
            id: &envelope.reference,
            recipient: recipient.as_deref(),
            at: self.link.now(),
        };
        let subject = peer.identity.subject.to_string();
        let trust = Trust {
            rule: envelope.rule,
            domain: envelope.sender_domain().or(from_domain),
            peer: &subject,
            serial: &peer.identity.serial,
        };
        Ok(trace_fields::compose(&envelope.return_path(), &received, &trust))
    }

    /// A piece of the body.
    pub(super) async fn keep_body(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.keep(piece).await.map_err(|refused| self.link.refuse(&refused, &self.reference()))
    }

    /// Our own lines.
    async fn keep_above(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let written = match self.envelope.as_mut().and_then(|envelope| envelope.incoming.as_mut()) {
            Some(incoming) => Some(incoming.write_above(bytes).await),
            None => None,
        };
        self.link.kept(written)
    }

    async fn keep(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let written = match self.envelope.as_mut().and_then(|envelope| envelope.incoming.as_mut()) {
            Some(incoming) => Some(incoming.write(bytes).await),
            None => None,
        };
        self.link.kept(written)
    }

    /// The message is complete: one commit for all its mailboxes.
    async fn message(&mut self, size: u64) -> Answer {
        let reference = self.reference();
        let about = RefusedMail { size: Some(size), ..self.refused_mail() };
        let came = match self.envelope.take() {
            Some(envelope) => self.commit(envelope).await,
            None => Err(Refused::store_unavailable()),
        };
        if let Ok(delivered) = &came {
            self.count_delivery(delivered, size);
            tracing::info!(event = "tx-commit", reference, size, mailboxes = delivered.uids.len());
        }
        if let Err(refused) = &came {
            self.link.trace_refused(&self.asker(), refused, &about, &reference);
        }
        self.link.answer_to_message(came.map(|delivered| taken(&delivered, &reference)), &reference)
    }

    async fn commit(&self, mut envelope: Envelope) -> Result<Delivered, Refused> {
        let return_path = envelope.return_path();
        let incoming = envelope.incoming.take().ok_or_else(Refused::store_unavailable)?;
        let message: ReceivedMessage = incoming.finish().await.map_err(|error| self.link.mailbox_failed(&error))?;
        let addressed: Vec<_> = envelope.recipients.iter().map(|recipient| recipient.account).collect();
        let arrival = Arrival {
            space: &self.link.shared.trust.load_full(),
            sender: envelope.sender.as_ref(),
            party: &envelope.party,
            facts: &envelope.facts,
            message: &message,
            skip: our_own_octets(&return_path),
            recipients: &addressed,
            reference: &envelope.reference,
            largest: self.link.shared.config.load().limits.message,
            now: self.link.now(),
        };
        let room = &self.link.shared.mail;
        let Prepared { recipients, mut also, follow_up } = aftermath::prepare(room, arrival).await;
        let count = recipients.len();
        also.merge(trail::of_delivery(&self.link.shared, &self.asker(), &envelope, &message));
        let told = trail::tell_success(room, &envelope, &message, &mut also).await;
        let delivery = Delivery { also, ..Delivery::new(message, recipients, self.link.now()) };
        let delivered = follow_up.deliver(room, delivery).await;
        let delivered = delivered.map_err(|error| delivery_failed(&error, &addressed, count))?;
        told.into_iter().for_each(Enqueued::announce);
        Ok(delivered)
    }

    fn count_delivery(&self, delivered: &Delivered, size: u64) {
        let metrics = &self.link.shared.metrics;
        metrics.messages_received.inc();
        metrics.bytes_received.inc_by(size);
        metrics.deliveries.inc_by(delivered.uids.len() as u64);
    }
}

/// The message's first line, which is ours alone.
fn our_own_octets(return_path: &str) -> u32 {
    u32::try_from(trace_fields::return_path(return_path).len()).unwrap_or(0)
}

/// The only yes to a message. RFC 3463 2.6.0.
fn taken(_proof: &Delivered, reference: &str) -> Reply {
    Reply::new(250, (2, 6, 0), format!("{reference} delivered"))
}
