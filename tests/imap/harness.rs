//! A server in process: a store in memory, mailboxes, and sessions over pipes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use caducee::accounts::psc::PscHandle;
use caducee::accounts::{AccountOptions, HashingOptions, NewMailbox, Registry};
use caducee::config::Config;
use caducee::mail::{Delivery, MailLimits, MailRoom, deliver};
use caducee::mss::{Address, Domain, Kind};
use caducee::serve::front::Front;
use caducee::serve::imap::{Accepting, ClientTls, Options, Security, Services, Session, Transport};
use caducee::serve::tls::{CertificateProblem, PeerIdentity};
use caducee::serve::{Shutdown, ShutdownSwitch, shutdown};
use caducee::store::{AccountId, Holder, MasterKey, Store};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The password of every mailbox.
pub const PASSWORD: &str = "correct horse battery";
/// The mailbox that tests log in to.
pub const MAILBOX: &str = "anne.durand@aura.mssante.example";

/// TLS that is up as soon as it is asked for.
struct PretendedTls;

impl ClientTls for PretendedTls {
    fn accept(&self, stream: Box<dyn Transport>) -> Accepting<'_> {
        Box::pin(async { Ok((stream, Security { tls: true, chain: Vec::new() })) })
    }

    fn judge(&self, _chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, CertificateProblem> {
        Err(CertificateProblem::Revoked)
    }
}

/// The server.
pub struct Server {
    pub room: MailRoom,
    pub registry: Registry,
    pub psc: PscHandle,
    pub account: AccountId,
    pub switch: ShutdownSwitch,
    shutdown: Shutdown,
    pub options: Options,
    pub front: Front,
}

impl Server {
    /// With one mailbox of a quota of 10 MiB.
    pub async fn start() -> Server {
        let limits = MailLimits { quota: Some(10 << 20), ..MailLimits::default() };
        let mut server = Self::over(MailRoom::new(Store::in_memory(), MasterKey::generate(), limits).unwrap());
        let domain = Domain::parse("aura.mssante.example").unwrap();
        server.registry.add_domain(&domain, "").await.unwrap();
        server.account = server.mailbox(MAILBOX).await;
        server
    }

    /// Over a store as it is.
    pub fn over(room: MailRoom) -> Server {
        let hashing = HashingOptions { memory: 64, passes: 1, ..HashingOptions::default() };
        let registry = Registry::new(room.clone(), AccountOptions { hashing, ..AccountOptions::default() });
        let (switch, shutdown) = shutdown();
        let mut options = Options::of(&Config::default());
        options.max_message = 4 << 20;
        let psc = PscHandle::default();
        Server { room, registry, psc, account: AccountId(0), switch, shutdown, options, front: Front::default() }
    }

    /// Makes a mailbox of a structure.
    pub async fn mailbox(&self, address: &str) -> AccountId {
        let holder =
            Holder { structure_id: Some("1750000018".into()), label: Some("Secrétariat".into()), ..Holder::default() };
        self.create(NewMailbox::new(Address::parse(address).unwrap(), Kind::Org, holder)).await
    }

    /// Makes a professional's mailbox.
    pub async fn professional(&self, address: &str, national_id: &str) -> AccountId {
        let holder =
            Holder { national_id: Some(national_id.into()), last_name: Some("Lefèvre".into()), ..Holder::default() };
        self.create(NewMailbox::new(Address::parse(address).unwrap(), Kind::Per, holder)).await
    }

    async fn create(&self, new: NewMailbox) -> AccountId {
        let new = NewMailbox { allow_password: true, test: true, ..new };
        let created = self.registry.create(new).await.unwrap().id;
        self.registry.set_password(created, PASSWORD, "test").await.unwrap();
        created
    }

    /// A session, greeting read; `tls` as if on 993.
    pub async fn connect(&self, tls: bool) -> Client {
        self.greeted(tls, Vec::new()).await
    }

    /// The same within TLS, by a client that has shown a certificate chain.
    pub async fn connect_with(&self, chain: Vec<CertificateDer<'static>>) -> Client {
        self.greeted(true, chain).await
    }

    async fn greeted(&self, tls: bool, chain: Vec<CertificateDer<'static>>) -> Client {
        let mut client = self.connect_silently(Security { tls, chain });
        let greeting = client.line().await;
        assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "), "{greeting}");
        client
    }

    /// A session whose greeting is still to be read.
    fn connect_silently(&self, security: Security) -> Client {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(self.session(Box::new(theirs), security).run());
        Client { stream: ours, buffer: Vec::new(), tags: 0 }
    }

    /// A session that is not running yet.
    pub fn session(&self, transport: Box<dyn Transport>, security: Security) -> Session {
        let services = Arc::new(Services {
            front: self.front.clone(),
            room: self.room.clone(),
            registry: self.registry.clone(),
            psc: self.psc.clone(),
            tls: Arc::new(PretendedTls),
            metrics: caducee::telemetry::Metrics::default(),
            shutdown: self.shutdown.clone(),
            options: self.options.clone(),
        });
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Session::new(services, transport, security, peer)
    }

    /// A session that is logged in.
    pub async fn login(&self) -> Client {
        self.login_to(MAILBOX).await
    }

    /// A session that is logged in to a mailbox.
    pub async fn login_to(&self, mailbox: &str) -> Client {
        let mut client = self.connect(true).await;
        client.ok(&format!("LOGIN {mailbox} \"{PASSWORD}\"")).await;
        client
    }

    /// A session that has INBOX open.
    pub async fn inbox(&self) -> Client {
        let mut client = self.login().await;
        client.ok("SELECT INBOX").await;
        client
    }

    /// Delivers a message as another operator would.
    pub async fn deliver(&self, message: &str) {
        self.deliver_to(self.account, message).await;
    }

    /// Delivers a message to a mailbox.
    pub async fn deliver_to(&self, account: AccountId, message: &str) {
        let mut incoming = self.room.receive();
        incoming.write(message.replace('\n', "\r\n").as_bytes()).await.unwrap();
        let message = incoming.finish().await.unwrap();
        let delivery = Delivery::new(message, vec![account], 1_700_000_000);
        deliver(&self.room, delivery).await.unwrap();
    }
}

/// The client's end.
pub struct Client {
    stream: DuplexStream,
    buffer: Vec<u8>,
    tags: u32,
}

impl Client {
    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// One line with its literals, without its end; literals stand in `{n}` CRLF form.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            let part = self.take_line().await;
            let literal = part.strip_suffix(b"}").and_then(|head| {
                let at = head.iter().rposition(|byte| *byte == b'{')?;
                std::str::from_utf8(&head[at + 1..]).ok()?.parse::<usize>().ok()
            });
            line.extend_from_slice(&part);
            let Some(size) = literal else { return String::from_utf8_lossy(&line).into_owned() };
            line.extend_from_slice(b"\r\n");
            while self.buffer.len() < size {
                assert!(self.fill().await, "the connection ended within a literal");
            }
            line.extend(self.buffer.drain(..size));
        }
    }

    async fn take_line(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                assert!(line.ends_with(b"\r\n"), "{:?}", String::from_utf8_lossy(&line));
                line.truncate(line.len() - 2);
                return line;
            }
            assert!(self.fill().await, "the connection ended; left: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    async fn fill(&mut self) -> bool {
        let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_buf(&mut self.buffer));
        read.await.expect("the server said nothing for 20 s").unwrap() > 0
    }

    /// Sends a command and reads to its tagged answer, which comes last.
    pub async fn command(&mut self, command: &str) -> Vec<String> {
        let tag = self.start(command).await;
        self.until(&tag).await
    }

    /// Sends a command; gives its tag.
    pub async fn start(&mut self, command: &str) -> String {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.send(format!("{tag} {command}\r\n")).await;
        tag
    }

    /// Reads to a tagged answer, from which the tag is taken off.
    pub async fn until(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(answer) = line.strip_prefix(&format!("{tag} ")) {
                lines.push(answer.to_owned());
                return lines;
            }
            lines.push(line);
        }
    }

    /// A command that must be answered OK.
    pub async fn ok(&mut self, command: &str) -> Vec<String> {
        let lines = self.command(command).await;
        assert!(lines.last().unwrap().starts_with("OK"), "{command}: {lines:?}");
        lines
    }

    /// A command that must be answered by this beginning; gives the whole answer.
    pub async fn refused(&mut self, command: &str, beginning: &str) -> String {
        let lines = self.command(command).await;
        let answer = lines.last().unwrap().clone();
        assert!(answer.starts_with(beginning), "{command}: {lines:?}");
        answer
    }

    /// Appends a message with LF line ends turned into CRLF.
    pub async fn append(&mut self, folder: &str, flags: &str, message: &str) -> String {
        let message = message.replace('\n', "\r\n");
        let flags = if flags.is_empty() { String::new() } else { format!("{flags} ") };
        let answer = self.ok(&format!("APPEND {folder} {flags}{{{}+}}\r\n{message}", message.len())).await;
        answer.last().unwrap().clone()
    }

    /// Reads to the end of the connection.
    pub async fn end(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }
}

/// A small message.
pub fn message(subject: &str) -> String {
    format!(
        "From: =?utf-8?q?Ren=C3=A9?= Martin <rene.martin@nouvelle-aquitaine.mssante.example>\nTo: {MAILBOX}\n\
         Date: Tue, 17 Nov 2026 10:00:00 +0100\nSubject: {subject}\nMessage-ID: <{}@x>\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
         Les r=C3=A9sultats sont pr=\n=C3=AAts.\n",
        subject.len()
    )
}
