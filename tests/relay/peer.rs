//! A peer of our own that misbehaves as it is told to: SMTP over any stream, one answer a command.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// What the peer does where an answer is due.
#[derive(Clone, Debug)]
pub enum Say {
    /// What a good server says.
    Well,
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, and no more: the connection closes.
    Last(Vec<u8>),
    /// What a good server says, and these bytes a moment later.
    AndLater(&'static str),
    /// Nothing, for ever; what comes is read.
    Nothing,
    /// Nothing, and nothing is read either.
    Stall,
}

/// How much later than its answer a peer says what it was not asked for.
pub const MOMENT: Duration = Duration::from_millis(100);

impl Say {
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }

    pub fn last(text: &str) -> Self {
        Self::Last(text.as_bytes().to_vec())
    }

    pub const fn close() -> Self {
        Self::Last(Vec::new())
    }
}

/// How a peer behaves.
#[derive(Clone, Debug)]
pub struct Manners {
    /// What it offers after TLS.
    pub offers: &'static [&'static str],
    pub greeting: Say,
    pub ehlo: Say,
    pub starttls: Say,
    pub ehlo_after_tls: Say,
    pub mail: Say,
    pub rcpt: Say,
    /// Answers to recipients whose line has this in it.
    pub rcpt_of: Vec<(&'static str, Say)>,
    pub data: Say,
    /// The answer to the whole message.
    pub message: Say,
    /// Said when so many octets of the message have come, in place of waiting for the rest.
    pub early: Option<(usize, Say)>,
    /// Chunks are counted and not kept.
    pub forgets: bool,
    /// How long it takes for each piece of a chunk.
    pub drip: Option<Duration>,
    /// How long each answer takes.
    pub delay: Duration,
}

pub const EVERYTHING: &[&str] = &["PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 30000000"];

impl Default for Manners {
    fn default() -> Self {
        Self {
            offers: EVERYTHING,
            greeting: Say::Well,
            ehlo: Say::Well,
            starttls: Say::Well,
            ehlo_after_tls: Say::Well,
            mail: Say::Well,
            rcpt: Say::Well,
            rcpt_of: Vec::new(),
            data: Say::Well,
            message: Say::Well,
            early: None,
            forgets: false,
            drip: None,
            delay: Duration::ZERO,
        }
    }
}

/// A message that a peer has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub mail: String,
    pub rcpt: Vec<String>,
    pub bytes: Vec<u8>,
}

/// A peer, and what it has seen.
#[derive(Debug, Default)]
pub struct Peer {
    pub manners: Mutex<Manners>,
    pub connections: AtomicUsize,
    pub open: AtomicUsize,
    pub most_open: AtomicUsize,
    pub taken: Mutex<Vec<Taken>>,
    pub quits: AtomicUsize,
}

/// How a connection stands.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Close,
}

impl Peer {
    pub fn with(manners: Manners) -> Self {
        Self { manners: Mutex::new(manners), ..Self::default() }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Serves one connection whose TLS, if any, is done by the fake network without bytes.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_open.fetch_max(open, Ordering::SeqCst);
        // A peer that goes away in the middle is the other side's affair.
        let _ = self.converse(stream, false).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// The part before TLS, on a real connection: up to the handshake. Whether it may begin.
    pub async fn until_tls<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> bool {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let manners = self.manners.lock().unwrap().clone();
        let mut stream = BufReader::new(stream);
        let _ = say(&mut stream, &manners, &manners.greeting, "220 peer\r\n").await;
        let mut line = Vec::new();
        while matches!(read_line(&mut stream, &mut line).await, Ok(true)) {
            let well = match verb(&line).as_str() {
                "EHLO" => say(&mut stream, &manners, &manners.ehlo, "250-peer\r\n250 STARTTLS\r\n").await,
                "STARTTLS" => {
                    let went = say(&mut stream, &manners, &manners.starttls, "220 go\r\n").await;
                    return matches!(went, Ok(Go::On));
                }
                _ => say(&mut stream, &manners, &Say::Well, "221 bye\r\n").await,
            };
            if !matches!(well, Ok(Go::On)) {
                return false;
            }
        }
        false
    }

    /// The part after TLS.
    pub async fn after_tls<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) {
        let _ = self.converse(stream, true).await;
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, mut tls: bool) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let manners = self.manners.lock().unwrap().clone();
        if !tls && say(&mut stream, &manners, &manners.greeting, "220 peer\r\n").await? == Go::Close {
            return Ok(());
        }
        let (mut mail, mut rcpt, mut line) = (String::new(), Vec::new(), Vec::new());
        // RFC 5321 §4.1.4: one transaction at a time, until RSET or the end of a message.
        let mut is_open = false;
        while read_line(&mut stream, &mut line).await? {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            // Manners may change between two commands of one session.
            let manners = self.manners.lock().unwrap().clone();
            let go = match verb(&line).as_str() {
                "EHLO" if !tls => say(&mut stream, &manners, &manners.ehlo, "250-peer\r\n250 STARTTLS\r\n").await?,
                "EHLO" => {
                    let offer: String = manners.offers.iter().map(|word| format!("250-{word}\r\n")).collect();
                    say(&mut stream, &manners, &manners.ehlo_after_tls, &format!("250-peer\r\n{offer}250 HELP\r\n"))
                        .await?
                }
                "STARTTLS" => {
                    tls = true;
                    say(&mut stream, &manners, &manners.starttls, "220 go\r\n").await?
                }
                "MAIL" if is_open => {
                    say(&mut stream, &manners, &Say::Well, "503 5.5.1 nested MAIL command\r\n").await?
                }
                "MAIL" => {
                    is_open = matches!(manners.mail, Say::Well);
                    mail = text;
                    rcpt.clear();
                    say(&mut stream, &manners, &manners.mail, "250 2.1.0 ok\r\n").await?
                }
                "RCPT" => {
                    let special = manners.rcpt_of.iter().find(|(part, _)| text.contains(part));
                    let answer = special.map_or(&manners.rcpt, |(_, say)| say);
                    if matches!(answer, Say::Well) {
                        rcpt.push(text);
                    }
                    say(&mut stream, &manners, answer, "250 2.1.5 ok\r\n").await?
                }
                "DATA" => {
                    let go = say(&mut stream, &manners, &manners.data, "354 go\r\n").await?;
                    if go == Go::On && matches!(manners.data, Say::Well) {
                        is_open = false;
                        match data(&mut stream, &manners).await? {
                            Some(bytes) => self.message(&mut stream, &manners, &mail, &rcpt, bytes).await?,
                            None => Go::Close,
                        }
                    } else {
                        go
                    }
                }
                "BDAT" => {
                    is_open = false;
                    let size = text.split_whitespace().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
                    match chunk(&mut stream, &manners, size).await? {
                        Some(bytes) => self.message(&mut stream, &manners, &mail, &rcpt, bytes).await?,
                        None => Go::Close,
                    }
                }
                "RSET" => {
                    is_open = false;
                    say(&mut stream, &manners, &Say::Well, "250 ok\r\n").await?
                }
                "QUIT" => {
                    self.quits.fetch_add(1, Ordering::SeqCst);
                    say(&mut stream, &manners, &Say::last("221 bye\r\n"), "").await?
                }
                _ => say(&mut stream, &manners, &Say::Well, "500 what\r\n").await?,
            };
            if go == Go::Close {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn message<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        manners: &Manners,
        mail: &str,
        rcpt: &[String],
        bytes: Vec<u8>,
    ) -> std::io::Result<Go> {
        self.taken.lock().unwrap().push(Taken { mail: mail.to_owned(), rcpt: rcpt.to_vec(), bytes });
        say(stream, manners, &manners.message, "250 2.0.0 kept\r\n").await
    }
}

fn verb(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().split(' ').next().unwrap_or_default().to_ascii_uppercase()
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    Ok(stream.read_until(b'\n', line).await? > 0)
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    manners: &Manners,
    say: &Say,
    well: &str,
) -> std::io::Result<Go> {
    if !manners.delay.is_zero() {
        tokio::time::sleep(manners.delay).await;
    }
    match say {
        Say::Well => stream.write_all(well.as_bytes()).await?,
        Say::Bytes(bytes) => stream.write_all(bytes).await?,
        Say::Last(bytes) => {
            stream.write_all(bytes).await?;
            stream.flush().await?;
            return Ok(Go::Close);
        }
        Say::AndLater(more) => {
            stream.write_all(well.as_bytes()).await?;
            tokio::time::sleep(MOMENT).await;
            stream.write_all(more.as_bytes()).await?;
        }
        Say::Stall => std::future::pending().await,
        Say::Nothing => {
            // As long as the other side keeps the connection.
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            return Ok(Go::Close);
        }
    }
    stream.flush().await?;
    Ok(Go::On)
}

/// The early word, if its moment has come.
async fn early<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    manners: &Manners,
    come: usize,
) -> std::io::Result<bool> {
    let Some((at, word)) = &manners.early else { return Ok(false) };
    if come < *at {
        return Ok(false);
    }
    say(stream, manners, word, "").await?;
    Ok(true)
}

async fn data<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    manners: &Manners,
) -> std::io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut line) = (Vec::new(), Vec::new());
    while read_line(stream, &mut line).await? {
        if line == b".\r\n" {
            return Ok(Some(bytes));
        }
        bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        if early(stream, manners, bytes.len()).await? {
            return Ok(None);
        }
    }
    Ok(None)
}

async fn chunk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    manners: &Manners,
    size: usize,
) -> std::io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut come) = (Vec::new(), 0);
    let mut piece = vec![0; 16 << 10];
    while come < size {
        if let Some(time) = manners.drip {
            tokio::time::sleep(time).await;
        }
        let most = piece.len().min(size - come);
        let count = stream.read(&mut piece[..most]).await?;
        if count == 0 {
            return Ok(None);
        }
        come += count;
        if !manners.forgets {
            bytes.extend_from_slice(&piece[..count]);
        }
        if early(stream, manners, come).await? {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}
