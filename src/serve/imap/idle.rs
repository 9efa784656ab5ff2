//! IDLE, RFC 2177: the session waits for its client and its folder at once, and holds nothing else.

use tokio::time::Instant;

use super::reply::{End, Reply, Stop};
use super::session::{LIVED, Session, arrived};
use super::updates::Expunges;
use super::user::ended;
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
        let until = self.until();
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

    /// When IDLE is over at the latest, and what is said then: RFC 2177 lets a client be shown out that does not renew it, and
    /// the session has its own end.
    fn until(&self) -> (Instant, &'static str) {
        let (most, left) = (self.services.options.max_idle, self.left());
        let farewell = if left < most { LIVED } else { "Autologout: too long in IDLE" };
        (Instant::now() + left.min(most), farewell)
    }

    async fn woken(&mut self, (until, farewell): (Instant, &'static str)) -> Result<Woken, Stop> {
        let Session { channel, selected, services, user, .. } = self;
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
            ending = ended(user.as_ref()) => Err(End::Bye(ending.told()).into()),
            () = services.shutdown.begun() => Err(End::Bye("The server is stopping").into()),
            () = tokio::time::sleep_until(until) => Err(End::Bye(farewell).into()),
        }
    }
}
