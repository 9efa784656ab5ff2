//! What is answered to the engine's questions.

use super::envelope::{Envelope, Recipient};
use super::header;
use super::refusal::Refused;
use super::session::Session;
use crate::accounts::{Account, AccountError};
use crate::mail::aftermath::{self, Arrival, HeaderFacts, Prepared};
use crate::mail::trace_fields::{self, Hops, Received, Trust};
use crate::mail::{Admission, DeliverError, Delivered, Delivery, MailError, ReceivedMessage};
use crate::mss::decision::Decision;
use crate::mss::exchange::{self, Origin, OwnMailbox, Party};
use crate::mss::{Address, admission};
use crate::wire::smtp::command::{MailFrom, RcptTo};
use crate::wire::smtp::path::ForwardPath;
use crate::wire::smtp::receiver::{Answer, Question};
use crate::wire::smtp::reply::Reply;

impl Session {
    /// Answers a question of the engine's; a refusal is counted and logged.
    pub(super) async fn decide(&mut self, question: Question) -> Answer {
        let reference = self.reference();
        let decided = match question {
            Question::Mail(mail) => self.mail(mail),
            Question::Rcpt(rcpt) => self.rcpt(rcpt).await,
            Question::Open => self.open(),
            Question::HeaderEnd => self.header_end().await,
            Question::Message { size } => return self.message(size).await,
            // Asked and answered by the session, which holds the socket.
            Question::StartTls => Ok(()),
        };
        match decided {
            Ok(()) => Answer::Accept,
            Err(refused) => Answer::Reply(self.refuse(&refused, &reference)),
        }
    }

    /// What the operator can search in the logs: the transaction, or the connection.
    fn reference(&self) -> String {
        self.envelope.as_ref().map_or_else(|| self.id.to_string(), |envelope| envelope.reference.clone())
    }

    /// `MAIL`: is there room, and may the peer speak for this sender?
    fn mail(&mut self, mail: MailFrom) -> Result<(), Refused> {
        self.room_on_disk()?;
        let sender = match mail.path.mailbox() {
            Some(mailbox) => Some(Address::parse(&mailbox.to_string()).map_err(|e| Refused::bad_sender(&e))?),
            None => None,
        };
        let peer = self.peer.as_ref().ok_or_else(Refused::no_peer)?;
        let space = self.shared.trust.load();
        let rule = accepted(&admission::sender(&space, &peer.identity.subject, sender.as_ref(), self.now()))?;
        let party = match &sender {
            Some(address) => self.party(address)?,
            None => Party::Null(Origin::Other),
        };
        self.transactions += 1;
        let reference = format!("{}/{}", self.id, self.transactions);
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
            facts: HeaderFacts::default(),
            incoming: None,
        });
        Ok(())
    }

    /// RFC 3463 X.3.1, early: before anything of the message has come.
    fn room_on_disk(&self) -> Result<(), Refused> {
        let least = self.shared.config.load().store.min_free;
        match self.shared.store.free_space() {
            Ok(free) if free >= least => Ok(()),
            Ok(free) => {
                tracing::warn!(free, least, "the store's disk is nearly full: mail is put off");
                Err(Refused::disk_nearly_full())
            }
            Err(error) => {
                tracing::error!(%error, "free space of the store's disk is not known");
                Err(Refused::store_unavailable())
            }
        }
    }

    /// `RCPT`: whose mailbox is it, may the sender write to it, has it room?
    async fn rcpt(&mut self, rcpt: RcptTo) -> Result<(), Refused> {
        let to = self.named(&rcpt.path)?;
        let account = self.recipient(&to)?;
        let party = match &account {
            Some(account) => Party::Own(own_mailbox(account)),
            None => self.party(&to)?,
        };
        let envelope = self.envelope.as_ref().ok_or_else(Refused::store_unavailable)?;
        let space = self.shared.trust.load();
        let conversation = self.shared.mail.conversation_of(&space, &envelope.party, &party);
        let conversation = conversation.map_err(|error| self.mailbox_failed(&error))?;
        accepted(&exchange::decide_in(&space, &envelope.party, &party, conversation))?;
        // Only an own mailbox is ever accepted from outside; this is for a mistake in the rules.
        let account = account.ok_or_else(|| Refused::of_mailbox(&MailError::NoMailbox))?;
        let size = envelope.params.size.unwrap_or(0);
        match self.shared.mail.admit(account.id, size).await {
            Ok(Admission::Accept) => {}
            Ok(full) => return Err(Refused::over_quota(full)),
            Err(error) => return Err(self.mailbox_failed(&error)),
        }
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

    /// The address that a forward path names. RFC 5321 §4.1.1.3: `<postmaster>` is the postmaster of this server.
    fn named(&self, path: &ForwardPath) -> Result<Address, Refused> {
        match path {
            ForwardPath::Mailbox(mailbox) => {
                Address::parse(&mailbox.to_string()).map_err(|e| Refused::bad_recipient(&e))
            }
            ForwardPath::Postmaster => {
                self.postmaster().ok_or_else(|| Refused::bad_recipient(&"no postmaster is configured"))
            }
        }
    }

    fn postmaster(&self) -> Option<Address> {
        Address::parse(&self.shared.config.load().smtp.postmaster).ok()
    }

    /// The mailbox of an address. RFC 5321 §4.5.1: `postmaster` of an own domain without such a mailbox is the one that
    /// `smtp.postmaster` names.
    fn recipient(&self, address: &Address) -> Result<Option<Account>, Refused> {
        let find = |address| self.shared.registry.by_address(address).map_err(|error| account_failed(&error));
        if let Some(account) = find(address)? {
            return Ok(Some(account));
        }
        let is_postmaster = address.local().eq_ignore_ascii_case("postmaster") && self.is_own(address)?;
        match self.postmaster().filter(|_| is_postmaster) {
            Some(postmaster) => find(&postmaster),
            None => Ok(None),
        }
    }

    fn is_own(&self, address: &Address) -> Result<bool, Refused> {
        self.shared.registry.is_own(address.domain()).map_err(|error| account_failed(&error))
    }

    /// An address as the exchange rules see it.
    fn party(&self, address: &Address) -> Result<Party, Refused> {
        if !self.is_own(address)? {
            return Ok(Party::Other { address: address.clone() });
        }
        let account = self.shared.registry.by_address(address).map_err(|error| account_failed(&error))?;
        Ok(match account {
            Some(account) => Party::Own(own_mailbox(&account)),
            None => Party::Unknown { address: address.clone() },
        })
    }

    fn open(&mut self) -> Result<(), Refused> {
        let envelope = self.envelope.as_mut().ok_or_else(Refused::store_unavailable)?;
        envelope.incoming = Some(self.shared.mail.receive());
        Ok(())
    }

    /// A piece of the header section: kept until it is whole (the engine bounds it), because it is judged as a whole and
    /// our lines go before it.
    pub(super) fn header(&mut self, piece: &[u8]) {
        if let Some(envelope) = &mut self.envelope {
            envelope.header.extend_from_slice(piece);
        }
    }

    /// The header section is whole: does the message loop, and is it from whom the peer may speak for?
    async fn header_end(&mut self) -> Result<(), Refused> {
        let Some(envelope) = &mut self.envelope else { return Err(Refused::store_unavailable()) };
        let peer = self.peer.as_ref().ok_or_else(Refused::no_peer)?;
        let header = std::mem::take(&mut envelope.header);
        envelope.facts = HeaderFacts::of(&header);
        let config = self.shared.config.load_full();
        if Hops::of(&header, &config.server.name).is_loop(config.smtp.max_received as usize) {
            return Err(Refused::mail_loop());
        }
        let senders = header::senders(&header);
        accepted(&admission::header(&self.shared.trust.load(), &peer.identity.subject, &senders))?;
        let from_domain = senders.from.first().map(|address| address.domain().as_str());
        let lines = self.trace_lines(from_domain)?;
        self.keep(lines.as_bytes()).await?;
        self.keep(&trace_fields::without_ours(&header)).await
    }

    fn trace_lines(&self, from_domain: Option<&str>) -> Result<String, Refused> {
        let (Some(envelope), Some(peer)) = (&self.envelope, &self.peer) else { return Err(Refused::no_peer()) };
        let config = self.shared.config.load();
        let hello = self.receiver.hello();
        let extended = hello.is_none_or(|hello| hello.extended);
        let recipient = envelope.only_recipient();
        let received = Received {
            hello: hello.map_or("unknown", |hello| hello.name.as_str()),
            address: self.address,
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
            at: self.now(),
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
    pub(super) async fn body(&mut self, piece: &[u8]) {
        if let Err(refused) = self.keep(piece).await {
            let reference = self.reference();
            let reply = self.refuse(&refused, &reference);
            self.receiver.fail_message(reply);
        }
    }

    async fn keep(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let incoming = self.envelope.as_mut().and_then(|envelope| envelope.incoming.as_mut());
        let written = incoming.ok_or_else(Refused::store_unavailable)?.write(bytes).await;
        written.map_err(|error| self.mailbox_failed(&error))
    }

    /// The message is complete: one commit for all its mailboxes.
    async fn message(&mut self, size: u64) -> Answer {
        let reference = self.reference();
        let Some(envelope) = self.envelope.take() else {
            return Answer::Reply(self.refuse(&Refused::store_unavailable(), &reference));
        };
        let reports_wanted = envelope.success_reports_wanted();
        match self.commit(envelope).await {
            Ok(delivered) => {
                self.count_delivery(&delivered, size);
                tracing::info!(event = "tx-commit", reference, size, mailboxes = delivered.uids.len(), reports_wanted);
                Answer::Reply(taken(&delivered, &reference))
            }
            Err(refused) => {
                tracing::info!(event = "tx-abort", reference, why = refused.rule);
                Answer::Reply(self.refuse(&refused, &reference))
            }
        }
    }

    async fn commit(&self, envelope: Envelope) -> Result<Delivered, Refused> {
        let return_path = envelope.return_path();
        let incoming = envelope.incoming.ok_or_else(Refused::store_unavailable)?;
        let message: ReceivedMessage = incoming.finish().await.map_err(|error| self.mailbox_failed(&error))?;
        let recipients: Vec<_> = envelope.recipients.iter().map(|recipient| recipient.account).collect();
        let arrival = Arrival {
            space: &self.shared.trust.load_full(),
            sender: envelope.sender.as_ref(),
            party: &envelope.party,
            facts: &envelope.facts,
            message: &message,
            skip: our_own_octets(&return_path),
            recipients: &recipients,
            reference: &envelope.reference,
            largest: self.shared.config.load().limits.message,
            now: self.now(),
        };
        let Prepared { recipients, also, follow_up } = aftermath::prepare(&self.shared.mail, arrival).await;
        let count = recipients.len();
        let delivery = Delivery { also, ..Delivery::new(message, recipients, self.now()) };
        let delivered = follow_up.deliver(&self.shared.mail, delivery).await;
        delivered.map_err(|error| delivery_failed(&error, count))
    }

    fn count_delivery(&self, delivered: &Delivered, size: u64) {
        let metrics = &self.shared.metrics;
        metrics.messages_received.inc();
        metrics.bytes_received.inc_by(size);
        metrics.deliveries.inc_by(delivered.uids.len() as u64);
    }

    fn mailbox_failed(&self, error: &MailError) -> Refused {
        let refused = Refused::of_mailbox(error);
        if refused.code() < 500 {
            tracing::error!(%error, "a mailbox or the store does not take mail");
        }
        refused
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

/// The rule that lets pass, or the refusal.
fn accepted(decision: &Decision) -> Result<&'static str, Refused> {
    match decision.refusal() {
        None => Ok(decision.rule().name()),
        Some(refusal) => Err(refusal.into()),
    }
}

fn own_mailbox(account: &Account) -> OwnMailbox {
    OwnMailbox {
        address: account.address.clone(),
        kind: account.kind,
        test: account.data.test,
        restricted: account.data.restricted,
        state: account.state,
    }
}

fn account_failed(error: &AccountError) -> Refused {
    tracing::error!(%error, "an account cannot be read");
    Refused::store_unavailable()
}

fn delivery_failed(error: &DeliverError, recipients: usize) -> Refused {
    if matches!(error, DeliverError::Commit(_)) {
        tracing::error!(%error, "a delivery was not committed");
    }
    Refused::of_delivery(error, recipients)
}
