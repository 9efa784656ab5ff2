//! The ordinary mail of the sandbox: a relay that takes notices and writes them down, so that a code that was "sent by e-mail"
//! can be read. `DIR/courriel/` holds one file a message.

use super::SandboxError;
use super::layout::{Layout, write_whole};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Longest conversation.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest conversation in bytes: notices are short.
const LARGEST: u64 = 1 << 20;

/// The relay, listening on loopback.
pub(super) struct Courriel {
    listener: TcpListener,
    directory: Arc<Path>,
}

impl Courriel {
    /// Takes the port and makes the directory.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub(super) async fn open(layout: &Layout, port: u16) -> Result<Self, SandboxError> {
        let directory = layout.path("courriel");
        std::fs::create_dir_all(&directory).map_err(SandboxError::file(&directory))?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
        let listener = listener.map_err(|error| SandboxError::Port { port, error })?;
        Ok(Self { listener, directory: directory.into() })
    }

    /// Takes messages, for as long as the runtime lives.
    pub(super) fn serve(self) {
        let Self { listener, directory } = self;
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let directory = Arc::clone(&directory);
                        tokio::spawn(async move {
                            // A peer that hangs or breaks off has its connection closed; that is all it is told.
                            let _ = tokio::time::timeout(PATIENCE, converse(stream, &directory)).await;
                        });
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
    }
}

/// As much of RFC 5321 as a relay's client needs, without extensions.
async fn converse(stream: TcpStream, directory: &Path) -> std::io::Result<()> {
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input.take(LARGEST));
    output.write_all(b"220 courriel.example ESMTP\r\n").await?;
    let (mut recipients, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let reply = match text.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => "250 courriel.example",
            "MAIL" | "RSET" => {
                recipients.clear();
                "250 2.0.0 Ok"
            }
            "RCPT" => {
                recipients.push(text.split_once(':').map_or("", |(_, path)| path.trim()).to_owned());
                "250 2.1.5 Ok"
            }
            "DATA" if !recipients.is_empty() => {
                output.write_all(b"354 Go ahead\r\n").await?;
                let message = message(&mut input).await?;
                file(directory, &recipients, &message)?;
                "250 2.0.0 Filed"
            }
            "NOOP" => "250 2.0.0 Ok",
            "QUIT" => return output.write_all(b"221 2.0.0 Bye\r\n").await,
            _ => "503 5.5.1 Not here",
        };
        output.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

/// Up to the line with a single dot (RFC 5321 §4.5.2).
async fn message(input: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        match input.read_until(b'\n', &mut line).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ if line == b".\r\n" => return Ok(message),
            _ => message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line)),
        }
    }
}

/// A new file; its name begins with a number that rises, so that the newest is the last.
fn file(directory: &Path, recipients: &[String], message: &[u8]) -> std::io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = jiff::Timestamp::now().as_millisecond();
    let path = directory.join(format!("{now}-{:04}.eml", NEXT.fetch_add(1, Ordering::Relaxed)));
    let envelope = recipients.iter().map(|path| format!("X-Envelope-To: {path}\r\n"));
    let mut text = envelope.collect::<String>().into_bytes();
    text.extend_from_slice(message);
    write_whole(&path, &text, 0o600).map_err(std::io::Error::other)?;
    Ok(path)
}
