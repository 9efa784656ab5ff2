//! Records of mail on its way: the queue, the trail, and what is kept of a mailbox's correspondents. Compact binary.
//!
//! What names people or patients (addresses, replies) is sealed under a key of the operator's before it comes here: a
//! citizen's address is a national health identity. Domains and times lie open, for the queue's order.

use super::codec::{Reader, put_bytes, put_int, put_uint};
use super::{
    BodyId, ConsignmentKey, CorrespondentKey, DecodeError, FolderId, QueueId, QueueRecipientKey, Record, SecretKey,
    SentCopyKey, Table, TraceKey, TrailKey, Uid,
};
use crate::store::seal::SealedKey;

const LAYOUT: u8 = 1;
/// Of a queued message: 1 named no key, 2 does.
const MESSAGE_LAYOUT: u8 = 2;

/// A key of the operator's own, under the master key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secret {
    /// Sealed by [`crate::store::MasterKey::seal`] for account 0, which no mailbox has.
    pub sealed: SealedKey,
}

/// A message in the queue. It lives as long as one of its consignments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMessage {
    /// Its bytes, shared with the mailboxes that hold it.
    pub body: BodyId,
    /// The key that seals what is sealed of it, the recipients' records too: the moment of
    /// [`crate::store::KeyOwner::Transit`]. 0: [`SecretKey::Transit`], as in messages of versions whose key did not turn.
    pub transit_key: u64,
    /// The body's key under that key.
    pub sealed_body_key: SealedKey,
    /// Octets at the body's start that are ours alone and are not sent on (`Return-Path:`).
    pub skip: u32,
    /// Octets that are sent.
    pub size: u64,
    /// Octets of the header section and its empty line, within what is sent.
    pub header: u64,
    /// Unix seconds: when we took it.
    pub accepted_at: i64,
    /// Unix seconds before which nothing is tried (FUTURERELEASE); 0: at once.
    pub not_before: i64,
    /// Unix seconds: given up from then on.
    pub expires_at: i64,
    /// Unix seconds from which its sender is told of the delay.
    pub delay_at: i64,
    /// Sender, parameters, Message-ID …: the mail room's, sealed.
    pub sealed: Vec<u8>,
}

/// The recipients of a message in one domain: what one SMTP transaction carries. It lives as long as one of its
/// recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consignment {
    /// Where it goes, in lower case.
    pub domain: String,
    /// Unix seconds of the next try.
    pub due_at: i64,
    /// Unix seconds: when its message was taken. This and what follows stands here too so that a start reads consignments
    /// alone.
    pub accepted_at: i64,
    /// Unix seconds: given up from then on.
    pub expires_at: i64,
    /// Unix seconds from which the sender is told of the delay; 0: nobody is told.
    pub delay_at: i64,
    /// Tries so far.
    pub attempts: u32,
    /// Waits for the operator's release.
    pub held: bool,
    /// Its sender has been told of the delay.
    pub delay_told: bool,
}

/// A recipient that has not got its message yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecipient {
    /// Address, DSN parameters, the peer's last words: the mail room's, sealed.
    pub sealed: Vec<u8>,
}

/// Something that happened to a message on its way: a functional trace (MSSanté §11), never content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailEvent {
    /// What happened: the mail room's, sealed.
    pub sealed: Vec<u8>,
}

/// A trace that the scribe has not put into its day's file yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingTrace {
    /// What happened: the audit room's, sealed.
    pub sealed: Vec<u8>,
}

/// A citizen and a mailbox write to each other (MSSanté §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conversation {
    /// Unix seconds of the mailbox's first message.
    pub started_at: i64,
    /// Unix seconds of the mailbox's last message.
    pub written_at: i64,
    /// Unix seconds; `None`: the citizen may answer.
    pub closed_at: Option<i64>,
}

/// A correspondent was told of the holder's absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsenceAnswer {
    /// Unix seconds.
    pub at: i64,
}

/// A copy of a sent message lies in the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentCopy {
    /// Where.
    pub folder: FolderId,
    /// Its UID there.
    pub uid: Uid,
    /// Unix seconds.
    pub at: i64,
    /// The server filed it; a client's copy takes its place.
    pub by_server: bool,
}

fn put_key(out: &mut Vec<u8>, key: &SealedKey) {
    put_bytes(out, &key.0);
}

fn read_key(reader: &mut Reader<'_>) -> Result<SealedKey, DecodeError> {
    Ok(SealedKey(reader.bytes()?.to_vec()))
}

impl Record for Secret {
    const TABLE: Table = Table::Secret;
    type Key = SecretKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_key(out, &self.sealed);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let record = Secret { sealed: read_key(&mut reader)? };
        reader.end()?;
        Ok(record)
    }
}

impl Record for QueueMessage {
    const TABLE: Table = Table::QueueMessage;
    type Key = QueueId;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(MESSAGE_LAYOUT);
        put_uint(out, self.transit_key);
        put_uint(out, self.body.0);
        put_key(out, &self.sealed_body_key);
        put_uint(out, u64::from(self.skip));
        put_uint(out, self.size);
        put_uint(out, self.header);
        for time in [self.accepted_at, self.not_before, self.expires_at, self.delay_at] {
            put_int(out, time);
        }
        put_bytes(out, &self.sealed);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let transit_key = match reader.byte()? {
            LAYOUT => 0,
            MESSAGE_LAYOUT => reader.uint()?,
            newer => return Err(DecodeError::UnknownLayout(newer)),
        };
        let record = QueueMessage {
            transit_key,
            body: BodyId(reader.uint()?),
            sealed_body_key: read_key(&mut reader)?,
            skip: reader.u32()?,
            size: reader.uint()?,
            header: reader.uint()?,
            accepted_at: reader.int()?,
            not_before: reader.int()?,
            expires_at: reader.int()?,
            delay_at: reader.int()?,
            sealed: reader.bytes()?.to_vec(),
        };
        reader.end()?;
        Ok(record)
    }
}

impl Record for Consignment {
    const TABLE: Table = Table::Consignment;
    type Key = ConsignmentKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_bytes(out, self.domain.as_bytes());
        for time in [self.due_at, self.accepted_at, self.expires_at, self.delay_at] {
            put_int(out, time);
        }
        put_uint(out, u64::from(self.attempts));
        out.extend_from_slice(&[u8::from(self.held), u8::from(self.delay_told)]);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let record = Consignment {
            domain: reader.text()?,
            due_at: reader.int()?,
            accepted_at: reader.int()?,
            expires_at: reader.int()?,
            delay_at: reader.int()?,
            attempts: reader.u32()?,
            held: reader.bool()?,
            delay_told: reader.bool()?,
        };
        reader.end()?;
        Ok(record)
    }
}

fn decode_sealed(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader::layout(bytes, LAYOUT)?;
    let sealed = reader.bytes()?.to_vec();
    reader.end()?;
    Ok(sealed)
}

impl Record for QueueRecipient {
    const TABLE: Table = Table::QueueRecipient;
    type Key = QueueRecipientKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_bytes(out, &self.sealed);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_sealed(bytes).map(|sealed| QueueRecipient { sealed })
    }
}

impl Record for TrailEvent {
    const TABLE: Table = Table::Trail;
    type Key = TrailKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_bytes(out, &self.sealed);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_sealed(bytes).map(|sealed| TrailEvent { sealed })
    }
}

impl Record for WaitingTrace {
    const TABLE: Table = Table::Trace;
    type Key = TraceKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_bytes(out, &self.sealed);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_sealed(bytes).map(|sealed| WaitingTrace { sealed })
    }
}

impl Record for Conversation {
    const TABLE: Table = Table::Conversation;
    type Key = CorrespondentKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_int(out, self.started_at);
        put_int(out, self.written_at);
        out.push(u8::from(self.closed_at.is_some()));
        put_int(out, self.closed_at.unwrap_or(0));
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let (started_at, written_at) = (reader.int()?, reader.int()?);
        let closed = reader.bool()?;
        let at = reader.int()?;
        reader.end()?;
        Ok(Conversation { started_at, written_at, closed_at: closed.then_some(at) })
    }
}

impl Record for AbsenceAnswer {
    const TABLE: Table = Table::AbsenceAnswer;
    type Key = CorrespondentKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_int(out, self.at);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let record = AbsenceAnswer { at: reader.int()? };
        reader.end()?;
        Ok(record)
    }
}

impl Record for SentCopy {
    const TABLE: Table = Table::SentCopy;
    type Key = SentCopyKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_uint(out, self.folder.0);
        put_uint(out, u64::from(self.uid));
        put_int(out, self.at);
        out.push(u8::from(self.by_server));
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let record = SentCopy {
            folder: FolderId(reader.uint()?),
            uid: reader.u32()?,
            at: reader.int()?,
            by_server: reader.bool()?,
        };
        reader.end()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(&R::decode(&bytes).unwrap(), record);
        for cut in 0..bytes.len() {
            assert!(R::decode(&bytes[..cut]).is_err(), "{cut} bytes of {record:?}");
        }
        bytes.push(0);
        assert!(R::decode(&bytes).is_err(), "trailing bytes");
    }

    #[test]
    fn records_of_mail_on_its_way_come_back_as_they_were_and_refuse_every_cut() {
        round_trip(&Secret { sealed: SealedKey(vec![1, 2, 3]) });
        round_trip(&QueueMessage {
            transit_key: 1_764_000_000,
            body: BodyId(7),
            sealed_body_key: SealedKey(vec![9; 61]),
            skip: 54,
            size: 25 << 20,
            header: 900,
            accepted_at: 1_700_000_000,
            not_before: 0,
            expires_at: 1_700_172_800,
            delay_at: 1_700_014_400,
            sealed: vec![5; 200],
        });
        round_trip(&Consignment {
            domain: "aura.mssante.example".into(),
            due_at: -1,
            accepted_at: 1_700_000_000,
            expires_at: 1_700_172_800,
            delay_at: 0,
            attempts: 3,
            held: true,
            delay_told: false,
        });
        round_trip(&QueueRecipient { sealed: vec![1; 90] });
        round_trip(&TrailEvent { sealed: Vec::new() });
        round_trip(&WaitingTrace { sealed: vec![4; 300] });
        round_trip(&Conversation { started_at: 1, written_at: 2, closed_at: Some(3) });
        round_trip(&Conversation::default());
        round_trip(&AbsenceAnswer { at: 1_700_000_000 });
        round_trip(&SentCopy { folder: FolderId(3), uid: 12, at: 5, by_server: true });
    }

    #[test]
    fn a_queued_message_of_an_older_version_names_the_first_key() {
        let mut old = vec![LAYOUT];
        put_uint(&mut old, 7);
        put_key(&mut old, &SealedKey(vec![9; 61]));
        for number in [54, 25 << 20, 900] {
            put_uint(&mut old, number);
        }
        for time in [1_700_000_000, 0, 1_700_172_800, 1_700_014_400] {
            put_int(&mut old, time);
        }
        put_bytes(&mut old, &[5; 200]);
        let read = QueueMessage::decode(&old).unwrap();
        assert_eq!((read.transit_key, read.body, read.skip, read.header), (0, BodyId(7), 54, 900));
        assert_eq!((read.accepted_at, read.delay_at, read.sealed.len()), (1_700_000_000, 1_700_014_400, 200));
        assert_eq!(QueueMessage::decode(&[3]), Err(DecodeError::UnknownLayout(3)));
    }
}
