//! One session: its state, the loop over its commands, and what holds for every command (RFC 3501 §3 and §5).
//!
//! Commands run one after another in the order they came; answers are written together when the client has nothing more
//! under way. While the session waits it holds neither buffers nor the state of a command: commands run in a future of
//! their own on the heap.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;

use super::channel::{Channel, Transport};
use super::reply::{End, Outcome, Reply, Stop};
use super::services::Services;
use super::traced::Looks;
use super::updates::Expunges;
use super::user::{User, ended};
use crate::accounts::Tried;
use crate::mail::Selected;
use crate::wire::imap::command::{Command, Numbers, Tag, Tagged};
use crate::wire::imap::framer::{FrameError, Framed, Framer, FramerLimits, Framing};
use crate::wire::imap::parse;
use crate::wire::imap::response::{self, Code, Status};

/// What TLS says of the connection.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// TLS is up.
    pub tls: bool,
    /// The client's certificate chain as shown, leaf first; judged at SASL EXTERNAL.
    pub chain: Vec<CertificateDer<'static>>,
}

/// A session.
pub struct Session {
    pub(super) services: Arc<Services>,
    pub(super) channel: Channel,
    pub(super) framer: Framer,
    /// TLS is up.
    pub(super) tls: bool,
    pub(super) newcomer: Box<Newcomer>,
    /// The client's network address, for the slowing down of guesses.
    pub(super) peer: IpAddr,
    /// Who is logged in.
    pub(super) user: Option<User>,
    /// The folder that is open.
    pub(super) selected: Option<Selected>,
    /// How many keywords of the open folder the client knows.
    pub(super) told_keywords: usize,
    /// RFC 7162 §3.1: from the first command that knows of it, FETCH responses carry MODSEQ.
    pub(super) condstore: bool,
    /// What of its looking was traced already.
    pub(super) looks: Looks,
    bad_commands: u32,
    began: Instant,
}

/// What is known of a client until it is logged in; nothing of it is kept for the session's life.
#[derive(Default)]
pub(super) struct Newcomer {
    /// Its certificate chain as shown, leaf first, not judged yet.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Failed logins so far.
    pub(super) failures: u32,
    /// What was tried in them.
    pub(super) tried: Tried,
}

/// The farewell to a session whose time is over (MSSanté §6).
pub(super) const LIVED: &str = "The session has lasted long enough; connect again";

/// What a client sent, whole.
enum Incoming {
    Command(Framed),
    Message { head: Framed, size: u64, synchronising: bool },
    Refused { tag: Option<Tag>, why: FrameError },
}

impl Session {
    /// A session over `transport`, with a client at `peer`.
    pub fn new(services: Arc<Services>, transport: Box<dyn Transport>, security: Security, peer: IpAddr) -> Session {
        let stall = services.options.stall_timeout;
        let limits = FramerLimits::before_login();
        let Security { tls, chain } = security;
        Session {
            channel: Channel::new(transport, stall),
            framer: Framer::new(limits),
            tls,
            newcomer: Box::new(Newcomer { chain, ..Newcomer::default() }),
            peer,
            user: None,
            selected: None,
            told_keywords: 0,
            condstore: false,
            looks: Looks::default(),
            bad_commands: 0,
            began: Instant::now(),
            services,
        }
    }

    /// Serves the client to the end.
    pub async fn run(mut self) {
        self.greet();
        let end = loop {
            if let Err(Stop::End(end)) = self.turn().await {
                break end;
            }
        };
        self.finish(end).await;
    }

    /// Takes and answers one command.
    async fn turn(&mut self) -> Result<(), Stop> {
        let incoming = self.incoming().await?;
        if let Some(user) = &self.user {
            user.ticket.touch();
        }
        self.recheck()?;
        match incoming {
            Incoming::Command(framed) => match parse::command(&framed) {
                Ok(Tagged { tag, command: Command::Idle }) => self.idle_command(&tag).await,
                Ok(Tagged { tag, command }) => Box::pin(self.command(&tag, command)).await,
                Err(error) => self.bad(error.tag.as_ref(), &Reply::from(&error.error)).await,
            },
            Incoming::Message { head, size, synchronising } => {
                Box::pin(self.append_command(&head, size, synchronising)).await
            }
            Incoming::Refused { tag, why } => {
                let reply = match why {
                    FrameError::LiteralTooBig => Reply::no(Some(Code::TooBig), why.to_string()),
                    _ => Reply::bad(why.to_string()),
                };
                self.bad(tag.as_ref(), &reply).await
            }
        }
    }

    /// The next command, waited for.
    async fn incoming(&mut self) -> Result<Incoming, Stop> {
        loop {
            let (used, event) = self.framer.step(self.channel.pending());
            let incoming = match event {
                None => None,
                Some(Framing::Command(framed)) => Some(Incoming::Command(framed)),
                Some(Framing::Message { head, size, synchronising }) => {
                    Some(Incoming::Message { head, size, synchronising })
                }
                Some(Framing::Refused { tag, why }) => Some(Incoming::Refused { tag, why }),
                Some(Framing::Overrun) => return Err(End::Bye("Literal too big").into()),
                Some(Framing::Continue) => {
                    response::continuation(&mut self.channel.out, "Go on");
                    self.channel.consume(used);
                    continue;
                }
                // Only given after expect_line and accept_message, which other loops answer.
                Some(Framing::Line(_) | Framing::Piece(_) | Framing::MessageEnd { .. }) => None,
            };
            self.channel.consume(used);
            match incoming {
                Some(incoming) => return Ok(incoming),
                None => self.wait().await?,
            }
        }
    }

    /// A line of its own, as AUTHENTICATE and IDLE take it.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, Stop> {
        self.framer.expect_line();
        loop {
            match self.arrived_line()? {
                Some(line) => return Ok(line),
                None => self.wait().await?,
            }
        }
    }

    /// The line asked for by [`Framer::expect_line`], if it is all there.
    pub(super) fn arrived_line(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        let (used, event) = self.framer.step(self.channel.pending());
        let line = match event {
            Some(Framing::Line(line)) => Ok(Some(line)),
            Some(Framing::Overrun) => Err(End::Bye("Line too long").into()),
            Some(Framing::Refused { why, .. }) => Err(Reply::bad(why.to_string()).into()),
            _ => Ok(None),
        };
        self.channel.consume(used);
        line
    }

    /// Writes what there is to say and waits for more from the client.
    pub(super) async fn wait(&mut self) -> Result<(), Stop> {
        self.channel.flush().await?;
        let (patience, farewell) = self.patience();
        let Session { channel, user, services, .. } = self;
        tokio::select! {
            filled = channel.fill() => Ok(arrived(filled)?),
            ending = ended(user.as_ref()) => Err(End::Bye(ending.told()).into()),
            () = services.shutdown.begun() => Err(End::Bye("The server is stopping").into()),
            () = tokio::time::sleep(patience) => Err(End::Bye(farewell).into()),
        }
    }

    /// How long to wait for the client, and what to say then.
    fn patience(&self) -> (Duration, &'static str) {
        let options = &self.services.options;
        let age = self.began.elapsed();
        let (patience, farewell) = match (&self.user, self.framer.at_rest()) {
            (None, _) => (options.login_timeout.saturating_sub(age), "Too long without a login"),
            // RFC 3501 §5.4: at least 30 minutes.
            (Some(_), true) => (options.idle_timeout, "Autologout: too long without a command"),
            (Some(_), false) => (options.stall_timeout, "Too long within a command"),
        };
        let life = self.left();
        if life < patience { (life, LIVED) } else { (patience, farewell) }
    }

    /// How long the session may go on.
    pub(super) fn left(&self) -> Duration {
        self.services.options.session_timeout.saturating_sub(self.began.elapsed())
    }

    /// Runs a command and answers it.
    async fn command(&mut self, tag: &Tag, command: Command) -> Result<(), Stop> {
        let expunges = expunges_allowed(&command);
        let uids = with_uids(&command);
        let allowed = self.allowed(&command).and_then(|()| if is_traced(&command) { self.traceable() } else { Ok(()) });
        let outcome = match allowed {
            Ok(()) => self.execute(tag, command).await,
            Err(reply) => Err(Stop::Reply(reply)),
        };
        let reply = match outcome {
            Ok(reply) | Err(Stop::Reply(reply)) => reply,
            Err(Stop::Answered) => return Ok(()),
            Err(end) => return Err(end),
        };
        if reply.status == Status::Bad {
            return self.bad(Some(tag), &reply).await;
        }
        self.updates(expunges, uids)?;
        self.answer(tag, &reply);
        Ok(self.channel.flush_if_full().await?)
    }

    /// Whether what is done now can be traced: nothing is done untraced (MSSanté §11).
    pub(super) fn traceable(&self) -> Result<(), Reply> {
        if self.services.room.traces().is_stuck() {
            return Err(Reply::no(Some(Code::Unavailable), "Nothing can be traced at the moment; try later"));
        }
        Ok(())
    }

    async fn execute(&mut self, tag: &Tag, command: Command) -> Outcome {
        match command {
            Command::Capability => self.capability(),
            Command::Noop | Command::Check => Ok(Reply::ok("Done")),
            Command::Logout => self.logout(tag),
            Command::StartTls => self.start_tls(tag).await,
            Command::Authenticate { mechanism, initial } => self.authenticate(&mechanism, initial).await,
            Command::Login { user, password } => self.login(user, password).await,
            Command::Enable(names) => self.enable(&names),
            Command::Id(pairs) => self.id(&pairs),
            Command::Namespace => self.namespace(),
            Command::Select(select) => self.select(select).await,
            Command::Create { folder, uses } => self.create(&folder, &uses).await,
            Command::Delete(folder) => self.delete(&folder).await,
            Command::Rename { from, to } => self.rename(&from, &to).await,
            Command::Subscribe(folder) => self.subscribe(&folder).await,
            Command::Unsubscribe(folder) => self.unsubscribe(&folder).await,
            Command::List(list) => self.list(&list).await,
            Command::Status { folder, items } => self.status(&folder, &items),
            Command::Close => self.close().await,
            Command::Unselect => self.unselect(),
            Command::Expunge(set) => self.expunge(set.as_ref()).await,
            Command::Search(search) => self.search(tag, &search).await,
            Command::Fetch(fetch) => self.fetch(&fetch).await,
            Command::Store(store) => self.store(&store).await,
            Command::Copy(copy) => self.copy(&copy).await,
            Command::GetQuota(root) => self.get_quota(&root),
            Command::GetQuotaRoot(folder) => self.get_quota_root(&folder),
            Command::SetQuota(..) => Err(Reply::no(Some(Code::NoPerm), "Quotas are set by the administrator").into()),
            Command::GetAcl(folder) => self.get_acl(&folder),
            Command::SetAcl { folder, identifier, change } => self.set_acl(&folder, &identifier, change).await,
            Command::DeleteAcl { folder, identifier } => self.delete_acl(&folder, &identifier).await,
            Command::ListRights { folder, identifier } => self.list_rights(&folder, &identifier),
            Command::MyRights(folder) => self.my_rights(&folder),
            Command::Idle => Err(Reply::bad("IDLE stands alone").into()),
        }
    }

    /// Whether the session is in a state that has this command, RFC 3501 §3.
    pub(super) fn allowed(&self, command: &Command) -> Result<(), Reply> {
        match command {
            Command::Capability | Command::Noop | Command::Logout | Command::Id(_) => Ok(()),
            Command::StartTls | Command::Authenticate { .. } | Command::Login { .. } => match self.user {
                None => Ok(()),
                Some(_) => Err(Reply::bad("Already logged in")),
            },
            _ if self.user.is_none() => Err(Reply::bad("Log in first")),
            Command::Check
            | Command::Close
            | Command::Unselect
            | Command::Expunge(_)
            | Command::Search(_)
            | Command::Fetch(_)
            | Command::Store(_)
            | Command::Copy(_)
                if self.selected.is_none() =>
            {
                Err(Reply::bad("Select a folder first"))
            }
            _ => Ok(()),
        }
    }

    /// Writes a tagged answer.
    pub(super) fn answer(&mut self, tag: &Tag, reply: &Reply) {
        response::tagged(&mut self.channel.out, tag, reply.status, reply.code.as_ref(), &reply.text);
    }

    /// Answers a command that should not have been sent; after too many of them the session ends.
    pub(super) async fn bad(&mut self, tag: Option<&Tag>, reply: &Reply) -> Result<(), Stop> {
        let out = &mut self.channel.out;
        match tag {
            Some(tag) => response::tagged(out, tag, reply.status, reply.code.as_ref(), &reply.text),
            None => response::untagged(out, reply.status, reply.code.as_ref(), &reply.text),
        }
        self.bad_commands += 1;
        if self.bad_commands >= self.services.options.max_errors {
            return Err(End::Bye("Too many bad commands").into());
        }
        Ok(self.channel.flush_if_full().await?)
    }

    /// Says goodbye, and lets go.
    async fn finish(&mut self, end: End) {
        let seconds = self.began.elapsed().as_secs();
        match &end {
            End::Logout => tracing::info!(seconds, "session ended: logout"),
            End::Closed => tracing::info!(seconds, "session ended: closed by the client"),
            End::Lost(error) => tracing::info!(seconds, %error, "session ended: connection lost"),
            End::Bye(why) => {
                tracing::info!(seconds, why, "session ended by the server");
                response::untagged(&mut self.channel.out, Status::Bye, None, why);
            }
        }
        self.selected = None;
        if let Some(user) = self.user.take() {
            user.ticket.leave(end.name());
        }
        if !matches!(end, End::Lost(_)) {
            self.channel.close().await;
        }
    }
}

/// What became of a read.
pub(super) fn arrived(filled: io::Result<usize>) -> Result<(), End> {
    match filled {
        Ok(0) => Err(End::Closed),
        Ok(_) => Ok(()),
        // Many clients just close: without TLS' goodbye, or with a reset. An IMAP command says its own end.
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => Err(End::Closed),
        Err(error) => Err(End::Lost(error)),
    }
}

/// Whether a command leaves traces, or lets others happen: it waits for times when they can be written. Logins say so themselves.
fn is_traced(command: &Command) -> bool {
    !matches!(
        command,
        Command::Capability
            | Command::Noop
            | Command::Check
            | Command::Logout
            | Command::Id(_)
            | Command::StartTls
            | Command::Authenticate { .. }
            | Command::Login { .. }
            | Command::Enable(_)
            | Command::Namespace
            | Command::Unselect
    )
}

/// RFC 3501 §7.4.1: no EXPUNGE while FETCH, STORE or SEARCH is answered; the UID forms may (§6.4.8, RFC 2180).
fn expunges_allowed(command: &Command) -> Expunges {
    match command {
        Command::Fetch(fetch) if fetch.numbers == Numbers::Sequence => Expunges::Held,
        Command::Store(store) if store.numbers == Numbers::Sequence => Expunges::Held,
        Command::Search(search) if search.numbers == Numbers::Sequence => Expunges::Held,
        _ => Expunges::Told,
    }
}

/// RFC 3501 §6.4.8: FETCH responses of a UID command carry the UID.
fn with_uids(command: &Command) -> bool {
    match command {
        Command::Fetch(fetch) => fetch.numbers == Numbers::Uid,
        Command::Store(store) => store.numbers == Numbers::Uid,
        Command::Search(search) => search.numbers == Numbers::Uid,
        Command::Copy(copy) => copy.numbers == Numbers::Uid,
        _ => false,
    }
}
