//! IDLE, RFC 2177: the session waits for its client and its folder at once, and holds nothing else.

use super::reply::{End, Reply, Stop};
use super::session::{Session, arrived};
use super::updates::Expunges;
use crate::wire::imap::command::{Command, Tag};
use crate::wire::imap::response;

/// What ended a wait.
enum Woken {
    /// The client sent something.
    Client,
    /// The folder changed.
    Folder,
}

impl Session {
    /// Answers IDLE, from `+` to DONE.
    pub(super) async fn idle_command(&mut self, tag: &Tag) -> Result<(), Stop> {
        if let Err(reply) = self.allowed(&Command::Idle) {
            return self.bad(Some(tag), &reply).await;
        }
        response::continuation(&mut self.channel.out, "idling");
        self.services.metrics.imap_idle.inc();
        let idled = self.idle().await;
        self.services.metrics.imap_idle.dec();
        match idled {
            Ok(line) if line.eq_ignore_ascii_case(b"DONE") => {
                self.answer(tag, &Reply::ok("IDLE ended"));
                Ok(())
            }
            Ok(_) => self.bad(Some(tag), &Reply::bad("Expected DONE")).await,
            Err(Stop::Reply(reply)) => self.bad(Some(tag), &reply).await,
            Err(end) => Err(end),
        }
    }

    /// Tells changes as they come, until the client says a line.
    async fn idle(&mut self) -> Result<Vec<u8>, Stop> {
        self.framer.expect_line();
        let until = tokio::time::Instant::now() + self.services.options.max_idle;
        loop {
            self.updates(Expunges::Told, false)?;
            if let Some(line) = self.arrived_line()? {
                return Ok(line);
            }
            self.channel.flush().await?;
            loop {
                match self.woken(until).await? {
                    Woken::Folder => break,
                    Woken::Client => {
                        if let Some(line) = self.arrived_line()? {
                            return Ok(line);
                        }
                    }
                }
            }
        }
    }

    async fn woken(&mut self, until: tokio::time::Instant) -> Result<Woken, Stop> {
        let Session { channel, selected, services, .. } = self;
        let changed = async {
            match selected {
                Some(selected) => selected.changed().await,
                // Authenticated without a folder: there is nothing to tell.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            filled = channel.fill() => Ok(arrived(filled).map(|()| Woken::Client)?),
            () = changed => Ok(Woken::Folder),
            () = services.shutdown.begun() => Err(End::Bye("The server is stopping").into()),
            () = tokio::time::sleep_until(until) => Err(End::Bye("Autologout: too long in IDLE").into()),
        }
    }
}
