//! What is answered to the engine's questions.

use super::envelope::{Envelope, Local, Taking, Written};
use super::header::{Mended, mend};
use super::session::Session;
use crate::accounts::Account;
use crate::audit::{Action, Asker, MessageFacts, Trace};
use crate::mail::aftermath::{self, Arrival, HeaderFacts, Prepared};
use crate::mail::queue::{self, Kind, Outbound, OutboundRecipient};
use crate::mail::report::{self, Original, Report, Told};
use crate::mail::trace_fields::{Hops, Received, return_path};
use crate::mail::trail;
use crate::mail::{self, Delivered, Delivery, OwnCopy, ReceivedMessage, Travels, conversation};
use crate::mss::exchange::{self, Origin, Party};
use crate::mss::{Address, admission};
use crate::serve::smtp::{self, Named, Refused, RefusedMail, accepted, delivery_failed};
use crate::store::{AccountId, Batch};
use crate::wire::smtp::command::{MailFrom, RcptTo};
use crate::wire::smtp::params::{BodyKind, Hold, MailParams, RcptParams};
use crate::wire::smtp::receiver::{Answer, Hello, Question};
use crate::wire::smtp::reply::Reply;

impl Session {
    /// Answers a question of the engine's; a refusal is counted and logged.
    pub(super) async fn decided(&mut self, question: Question, hello: Option<&Hello>) -> Answer {
        let reference = self.reference();
        let decided = match question {
            Question::Auth(credentials) => return self.enter(credentials).await,
            Question::Message { size } => return self.message(size).await,
            question => self.decide_mail(question, hello, &reference).await,
        };
        self.link.answer(decided, &reference)
    }

    /// Answers a question about mail under way; a refusal is traced.
    async fn decide_mail(&mut self, question: Question, hello: Option<&Hello>, reference: &str) -> Result<(), Refused> {
        let named = Named::by(&question);
        let decided = match question {
            Question::Mail(mail) => self.mail(mail),
            Question::Rcpt(rcpt) => self.rcpt(rcpt).await,
            Question::Open => self.open(),
            Question::HeaderEnd => self.header_end(hello).await,
            // Asked and answered elsewhere: by the driver, which holds the socket, and by the caller.
            Question::StartTls | Question::Auth(_) | Question::Message { .. } => Ok(()),
        };
        if let Err(refused) = &decided {
            self.link.trace_refused(&self.asker(), refused, &self.refused_mail().with(named), reference);
        }
        decided
    }

    /// What is told of the mail under way, should it be refused.
    fn refused_mail(&self) -> RefusedMail {
        let own = self.user.as_ref().map(|user| user.login().address.to_string());
        let Some(envelope) = &self.envelope else { return RefusedMail { mailbox: own, ..RefusedMail::default() } };
        RefusedMail {
            sender: envelope.sender.as_ref().map(Address::to_string).unwrap_or_default(),
            recipients: envelope.recipients().map(Address::to_string).collect(),
            mailbox: Some(envelope.account.address.to_string()),
            message_id: envelope.written.message_id.clone(),
            size: envelope.params.size,
        }
    }

    /// What the operator can search in the logs: the transaction, or the connection.
    fn reference(&self) -> String {
        self.envelope.as_ref().map_or_else(|| self.link.id.to_string(), |envelope| envelope.reference.clone())
    }

    /// `MAIL`: is there room, and is the sender's address theirs?
    fn mail(&mut self, mail: MailFrom) -> Result<(), Refused> {
        self.link.room_on_disk()?;
        let sender = match mail.path.mailbox() {
            Some(mailbox) => Some(Address::parse(&mailbox.to_string()).map_err(|e| Refused::bad_sender(&e))?),
            None => None,
        };
        let account = match &sender {
            Some(address) => self.theirs(address)?.ok_or_else(|| Refused::sender_not_yours(address))?,
            None => self.own_account()?,
        };
        let not_before = mail.params.hold.map(|hold| self.release(hold)).transpose()?.flatten();
        self.transactions += 1;
        let reference = format!("{}/{}", self.link.id, self.transactions);
        tracing::info!(event = "tx-begin", reference, account = %account.id, size = mail.params.size, not_before);
        self.envelope = Some(Envelope {
            reference,
            account,
            sender,
            params: mail.params,
            not_before,
            local: Vec::new(),
            remote: Vec::new(),
            header: Vec::new(),
            written: Written::default(),
            eight_bit: false,
            incoming: None,
        });
        Ok(())
    }

    /// When a message that is held back is released, within the bounds (RFC 4865 §5); `None`: at once.
    fn release(&self, hold: Hold) -> Result<Option<i64>, Refused> {
        let now = self.link.now();
        let longest = self.link.shared.config.load().submission.max_future_release.as_secs();
        let latest = now.saturating_add(i64::try_from(longest).unwrap_or(i64::MAX));
        let at = match hold {
            Hold::For(seconds) => now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)),
            Hold::Until(at) => at,
        };
        if at > latest { Err(Refused::hold_too_long()) } else { Ok(Some(at).filter(|at| *at > now)) }
    }

    /// `RCPT`: may the sender write there? An own mailbox must have room, a citizen's message its size.
    async fn rcpt(&mut self, rcpt: RcptTo) -> Result<(), Refused> {
        let to = self.link.named(&rcpt.path)?;
        let account = self.link.recipient(&to)?;
        let party = match &account {
            Some(account) => Party::Own(account.as_own()),
            None => self.link.party(&to)?,
        };
        let envelope = self.envelope.as_ref().ok_or_else(Refused::store_unavailable)?;
        let from = Party::Own(envelope.account.as_own());
        accepted(&exchange::decide(&self.link.shared.trust.load(), &from, &party))?;
        let size = envelope.params.size.unwrap_or(0);
        match account {
            Some(_) if envelope.not_before.is_some() => return Err(Refused::hold_local()),
            Some(account) => {
                self.link.room_in(account.id, size).await?;
                self.add_local(account, party, rcpt.params);
            }
            None => {
                self.fits_a_citizen(&to, size)?;
                self.add_remote(OutboundRecipient { address: to, params: rcpt.params });
            }
        }
        Ok(())
    }

    /// A mailbox named twice gets the message once; both are told yes.
    fn add_local(&mut self, account: Account, party: Party, params: RcptParams) {
        let Some(envelope) = &mut self.envelope else { return };
        tracing::info!(event = "tx-rcpt", reference = envelope.reference, account = %account.id);
        if !envelope.local.iter().any(|local| local.account == account.id) {
            envelope.local.push(Local { account: account.id, address: account.address, party, params });
        }
    }

    fn add_remote(&mut self, recipient: OutboundRecipient) {
        let Some(envelope) = &mut self.envelope else { return };
        let domain = recipient.address.domain();
        tracing::info!(event = "tx-rcpt", reference = envelope.reference, domain = domain.as_str());
        if !envelope.remote.iter().any(|other| other.address.key() == recipient.address.key()) {
            envelope.remote.push(recipient);
        }
    }

    /// MSSanté §8: a message to a citizen has its own bound.
    fn fits_a_citizen(&self, to: &Address, size: u64) -> Result<(), Refused> {
        match self.link.shared.config.load().citizens.bound_for(to) {
            Some(most) if size > most => Err(Refused::citizen_too_big(most)),
            _ => Ok(()),
        }
    }

    fn open(&mut self) -> Result<(), Refused> {
        let envelope = self.envelope.as_mut().ok_or_else(Refused::store_unavailable)?;
        let room = &self.link.shared.mail;
        envelope.incoming = Some(if envelope.only_passes() {
            Taking::Passing(Box::new(room.receive_passing()))
        } else {
            Taking::Kept(Box::new(room.receive()))
        });
        Ok(())
    }

    /// A piece of the header section: kept until it is whole (the engine bounds it), because it is judged as a whole and
    /// our lines go before it.
    pub(super) fn keep_header(&mut self, piece: &[u8]) {
        if let Some(envelope) = &mut self.envelope {
            envelope.eight_bit |= !piece.is_ascii();
            envelope.header.extend_from_slice(piece);
        }
    }

    /// The header section is whole: does the message loop, is it from an address of theirs, and what does it lack?
    async fn header_end(&mut self, hello: Option<&Hello>) -> Result<(), Refused> {
        let envelope = self.envelope.as_mut().ok_or_else(Refused::store_unavailable)?;
        let header = std::mem::take(&mut envelope.header);
        let config = self.link.shared.config.load_full();
        if Hops::of(&header, &config.server.name).is_loop(config.smtp.max_received as usize) {
            return Err(Refused::mail_loop());
        }
        self.may_be_from(&header)?;
        let envelope = self.envelope.as_ref().ok_or_else(Refused::store_unavailable)?;
        let ours = if envelope.local.is_empty() { String::new() } else { return_path(&envelope.return_path()) };
        let Mended { added, kept, message_id } = mend(&header, self.link.now(), || new_message_id(&config.server.name));
        let lines = format!("{}{added}", self.received(envelope, hello));
        let mut facts = HeaderFacts::of(&kept);
        facts.message_id = Some(message_id.clone());
        let written = Written {
            message_id: Some(message_id),
            answered_at: self.answered_at(envelope, &facts)?,
            facts,
            mss: smtp::mss_fields(&header),
            skip: u32::try_from(ours.len()).unwrap_or(u32::MAX),
            header: (lines.len() + kept.len()) as u64,
        };
        self.keep_above(ours.as_bytes()).await?;
        self.keep(lines.as_bytes()).await?;
        self.keep(&kept).await?;
        if let Some(envelope) = &mut self.envelope {
            envelope.written = written;
        }
        Ok(())
    }

    /// RFC 6409 §6.1 and §8.1: `From:` and `Sender:` name addresses of theirs. Another one than the envelope's must itself
    /// be free to write to everybody that the message goes to: a mailbox's bounds hold whatever name is put on it.
    fn may_be_from(&self, header: &[u8]) -> Result<(), Refused> {
        let envelope = self.envelope.as_ref().ok_or_else(Refused::store_unavailable)?;
        let senders = smtp::senders(header);
        let (from, sender) = admission::one_sender(&senders).map_err(|refusal| Refused::of_decision(&refusal))?;
        for (field, address) in std::iter::once(("From:", from)).chain(sender.map(|address| ("Sender:", address))) {
            // The envelope's own was asked for at `MAIL`.
            if envelope.sender.as_ref() == Some(address) {
                continue;
            }
            let account = self.theirs(address)?.ok_or_else(|| Refused::header_not_yours(field, address))?;
            if account.id != envelope.account.id {
                let named = Party::Own(account.as_own());
                let space = self.link.shared.trust.load();
                for to in envelope.parties() {
                    accepted(&exchange::decide(&space, &named, &to))?;
                }
            }
        }
        Ok(())
    }

    /// MSSanté §8: the mailboxes that patients among the recipients may answer to: that of the envelope, and those that `From:`
    /// and `Reply-To:` name. One in `Reply-To:` is opened to them as little as that in `From:` unless it is theirs who send, and
    /// free to write to these patients; they hear so now, and not their patient from our refusal.
    fn answered_at(&self, envelope: &Envelope, facts: &HeaderFacts) -> Result<Vec<AccountId>, Refused> {
        let space = self.link.shared.trust.load();
        let is_patient = |to: &Party| matches!(to, Party::Other { address } if space.citizens.is_citizen(address));
        let patients: Vec<Party> = envelope.parties().filter(is_patient).collect();
        // A notification (null sender) is nothing to answer.
        if patients.is_empty() || envelope.sender.is_none() {
            return Ok(Vec::new());
        }
        let mut answered = vec![envelope.account.id];
        if let Some(from) = &facts.from {
            answered.extend(self.theirs(from)?.map(|account| account.id));
        }
        for address in &facts.reply_to {
            // Another operator's mailbox is that operator's to open.
            if matches!(self.link.party(address)?, Party::Other { .. }) {
                continue;
            }
            let account = self.theirs(address)?.ok_or_else(|| Refused::reply_to_not_yours(address))?;
            let named = Party::Own(account.as_own());
            for patient in &patients {
                accepted(&exchange::decide(&space, &named, patient))?;
            }
            answered.push(account.id);
        }
        Ok(answered)
    }

    fn received(&self, envelope: &Envelope, hello: Option<&Hello>) -> String {
        let config = self.link.shared.config.load();
        let recipient = envelope.only_recipient();
        let received = Received {
            hello: hello.map_or("unknown", |hello| hello.name.as_str()),
            address: self.link.address,
            by: &config.server.name,
            // RFC 3848, RFC 6531 §4.3: within TLS, after a login.
            protocol: if envelope.params.smtp_utf8 { "UTF8SMTPSA" } else { "ESMTPSA" },
            tls: &self.tls,
            id: &envelope.reference,
            recipient: recipient.as_deref(),
            at: self.link.now(),
        };
        received.to_string()
    }

    /// A piece of the body.
    pub(super) async fn keep_body(&mut self, piece: &[u8]) -> Result<(), Reply> {
        if let Some(envelope) = &mut self.envelope {
            envelope.eight_bit |= !piece.is_ascii();
        }
        self.keep(piece).await.map_err(|refused| self.link.refuse(&refused, &self.reference()))
    }

    /// The line that is for own mailboxes only.
    async fn keep_above(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let written = match self.envelope.as_mut().and_then(|envelope| envelope.incoming.as_mut()) {
            Some(Taking::Kept(incoming)) if !bytes.is_empty() => Some(incoming.write_above(bytes).await),
            taking => taking.map(|_| Ok(())),
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

    /// The message is complete: one commit for all that it means.
    async fn message(&mut self, size: u64) -> Answer {
        let (reference, about) = (self.reference(), self.refused_mail());
        let Some(envelope) = self.envelope.take() else {
            return self.link.answer_to_message(Err(Refused::store_unavailable()), &reference);
        };
        let (queued, message_id) = (envelope.remote.len(), envelope.written.message_id.clone().unwrap_or_default());
        let reports_wanted = envelope.success_reports_wanted();
        let about = RefusedMail { size: Some(size), ..about };
        let came = self.commit(envelope, size).await;
        if let Err(refused) = &came {
            self.link.trace_refused(&self.asker(), refused, &about, &reference);
        }
        if let Ok(delivered) = &came {
            let (mailboxes, copy) = (delivered.uids.len(), delivered.own_copy);
            self.count(mailboxes, size);
            tracing::info!(event = "tx-commit", reference, size, mailboxes, queued, reports_wanted, ?copy);
        }
        self.link.answer_to_message(came.map(|delivered| taken(&delivered, &reference, &message_id)), &reference)
    }

    async fn commit(&self, mut envelope: Envelope, size: u64) -> Result<Delivered, Refused> {
        for recipient in &envelope.remote {
            self.fits_a_citizen(&recipient.address, size)?;
        }
        let room = &self.link.shared.mail;
        let mut also = self.conversations(&envelope)?;
        let failed = |error| self.link.mailbox_failed(&error);
        match envelope.incoming.take().ok_or_else(Refused::store_unavailable)? {
            Taking::Kept(incoming) => {
                let message = incoming.finish().await.map_err(failed)?;
                self.trace_accepted(&envelope, &message.travels, &mut also);
                self.link_told(&envelope, message.told.as_deref(), &mut also);
                self.file(envelope, message, also).await
            }
            Taking::Passing(passing) => {
                let message = passing.finish().await.map_err(failed)?;
                self.trace_accepted(&envelope, &message.travels, &mut also);
                let outbound = outbound(envelope).ok_or_else(Refused::store_unavailable)?;
                let queued = mail::pass_on(room, message, outbound, also).await;
                queued.map_err(|error| delivery_failed(&error, &[], 1))
            }
        }
    }

    /// The first trace of the message's way, and whose it is.
    fn trace_accepted(&self, envelope: &Envelope, travels: &Travels, also: &mut Batch) {
        let room = &self.link.shared.mail;
        room.traces().note(accepted_trace(envelope, travels, &self.asker()), also);
        if let Some(message_id) = &envelope.written.message_id {
            trail::mark(room, message_id, envelope.sender.as_ref(), also);
        }
    }

    /// What a report that is sent tells of another message is traced as that one's.
    fn link_told(&self, envelope: &Envelope, told: Option<&Told>, also: &mut Batch) {
        let Some(told) = told else { return };
        let to: Vec<&Address> = envelope.local.iter().map(|local| &local.address).collect();
        let citizens = &self.link.shared.config.load().citizens.domains;
        trail::link(&self.link.shared.mail, told, &to, citizens, &envelope.reference, also);
    }

    /// Into own mailboxes, and what goes further with it.
    async fn file(&self, envelope: Envelope, message: ReceivedMessage, mut also: Batch) -> Result<Delivered, Refused> {
        let room = &self.link.shared.mail;
        let success = self.success(&envelope, &message);
        let addressed: Vec<_> = envelope.local.iter().map(|local| local.account).collect();
        let Prepared { recipients, also: sent_on, follow_up } = self.prepare(&envelope, &message, &addressed).await;
        also.merge(sent_on);
        let (count, sender) = (recipients.len() + envelope.remote.len(), envelope.account.id);
        let sent_copy = envelope.sent_copy();
        let outbound = outbound(envelope);
        let delivery = Delivery { sent_copy, outbound, also, ..Delivery::new(message, recipients, self.link.now()) };
        let delivered = follow_up.deliver(room, delivery).await;
        let delivered = delivered.map_err(|error| {
            Refused::of_sender(&error, sender).unwrap_or_else(|| delivery_failed(&error, &addressed, count))
        })?;
        self.tell_success(success).await;
        Ok(delivered)
    }

    /// The report of success that the sender asked for, about own mailboxes (RFC 3461 §5.2.2, §6.2).
    fn success(&self, envelope: &Envelope, message: &ReceivedMessage) -> Option<Report> {
        let about = queue::Envelope {
            kind: Kind::Mail,
            sender: envelope.sender.clone(),
            account: Some(envelope.account.id),
            params: envelope.params.clone(),
            message_id: envelope.written.message_id.clone(),
            reference: envelope.reference.clone(),
        };
        let original = Original::of(message, envelope.written.skip, about, self.link.now());
        let local = envelope.local.iter().map(|local| (local.address.clone(), local.params.clone()));
        Report::delivered(original, local.collect())
    }

    /// Behind the delivery's commit: it is the sender's own mailbox that is told, whose lock a delivery may need itself. A
    /// message counts as taken whatever becomes of this.
    async fn tell_success(&self, report: Option<Report>) {
        let Some(report) = report else { return };
        let reference = report.original.envelope.reference.clone();
        if let Err(error) = report::settle(&self.link.shared.mail, vec![report], Batch::new()).await {
            tracing::error!(%error, reference, "a report of success is not delivered");
        }
    }

    /// MSSanté §8: citizens that it is written to may answer from this commit on, or no more.
    fn conversations(&self, envelope: &Envelope) -> Result<Batch, Refused> {
        let mut batch = Batch::new();
        let to: Vec<Address> = envelope.remote.iter().map(|recipient| recipient.address.clone()).collect();
        let (rules, is_last) = (&self.link.shared.trust.load().citizens, envelope.written.facts.closes_conversation);
        let (room, now) = (&self.link.shared.mail, self.link.now());
        for account in &envelope.written.answered_at {
            conversation::note(room, rules, *account, &to, is_last, now, &mut batch)
                .map_err(|error| self.link.mailbox_failed(&error))?;
        }
        Ok(batch)
    }

    /// Who gets it here, with their forwards followed.
    async fn prepare(&self, envelope: &Envelope, message: &ReceivedMessage, recipients: &[AccountId]) -> Prepared {
        let party = match &envelope.sender {
            Some(_) => Party::Own(envelope.account.as_own()),
            None => Party::Null(Origin::Own),
        };
        let arrival = Arrival {
            space: &self.link.shared.trust.load_full(),
            sender: envelope.sender.as_ref(),
            party: &party,
            facts: &envelope.written.facts,
            message,
            skip: envelope.written.skip,
            recipients,
            reference: &envelope.reference,
            largest: self.link.shared.config.load().limits.message,
            now: self.link.now(),
        };
        aftermath::prepare(&self.link.shared.mail, arrival).await
    }

    fn count(&self, mailboxes: usize, size: u64) {
        let metrics = &self.link.shared.metrics;
        metrics.messages_submitted.inc();
        metrics.bytes_submitted.inc_by(size);
        metrics.deliveries.inc_by(mailboxes as u64);
    }
}

/// What goes into the queue, if anything does.
fn outbound(envelope: Envelope) -> Option<Outbound> {
    let Envelope { reference, account, sender, params, not_before, remote, written, eight_bit, .. } = envelope;
    if remote.is_empty() {
        return None;
    }
    let body = if eight_bit { BodyKind::EightBitMime } else { BodyKind::SevenBit };
    // Nobody is told what became of a message with a null sender (RFC 5321 §4.5.5).
    let told = sender.is_some().then_some(account.id);
    Some(Outbound {
        kind: Kind::Mail,
        sender,
        account: told,
        params: MailParams { body, hold: None, ..params },
        recipients: remote,
        message_id: written.message_id,
        reference,
        skip: written.skip,
        header: written.header,
        not_before,
    })
}

/// That the message was taken, on the mailbox in whose name it goes out.
fn accepted_trace(envelope: &Envelope, travels: &Travels, by: &Asker) -> Trace {
    let accepted = Action::Accepted {
        sender: envelope.sender.as_ref().map(Address::to_string).unwrap_or_default(),
        queued: envelope.remote.iter().map(|recipient| recipient.address.to_string()).collect(),
        delivered: envelope.local.iter().map(|local| local.address.to_string()).collect(),
    };
    let facts = trail::whole(envelope.written.message_id.as_deref(), travels);
    Trace {
        message: Some(MessageFacts { mss: envelope.written.mss.clone(), ..facts }),
        reference: envelope.reference.clone(),
        ..by.trace(Some(&envelope.account.address.to_string()), accepted)
    }
}

/// The only yes to a message. RFC 3463 2.6.0.
fn taken(proof: &Delivered, reference: &str, message_id: &str) -> Reply {
    let copy = match proof.own_copy {
        OwnCopy::NoRoom => "; no copy in Sent: your mailbox is full",
        OwnCopy::NoFolder => "; no copy in Sent: your mailbox has no such folder",
        OwnCopy::NotAsked | OwnCopy::Filed(_) | OwnCopy::ThereAlready => "",
    };
    Reply::new(250, (2, 6, 0), format!("{reference} taken{copy}; follow it by {message_id}"))
}

/// RFC 5322 §3.6.4: 128 random bits, and our name.
fn new_message_id(host: &str) -> String {
    let mut unique = [0; 16];
    // Only a system without randomness fails, and that one has done no TLS before.
    let _ = aws_lc_rs::rand::fill(&mut unique);
    let unique = u128::from_be_bytes(unique);
    format!("<{unique:032x}@{host}>")
}
