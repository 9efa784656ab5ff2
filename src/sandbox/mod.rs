//! A whole trust space on loopback: a test PKI, a signed white list, two operators with mailboxes and mail.
//!
//! It is for a first look, for the black-box tests, and for makers of practice software. Three rules: nothing listens
//! outside of loopback; nothing in it is about a real person; the operators are ordinary `caducee serve` processes with
//! ordinary configuration files, so what works here works outside.
//!
//! The way of a start: the directory is taken ([`layout`]), the PKI made or opened ([`pki`]), the white list signed
//! (`white_list`), the look-alikes of Pro Santé Connect (`psc`) and of the national directory (`directory`) and the relay of ordinary mail (`courriel`) opened, one server started for each operator of the [`cast`] (`process`), their mailboxes made through the
//! administration API (`furnish`), the sample [`messages`] sent from each operator to the other (`post`), and
//! `sandbox.json` written (`describe`). A later start finds what the earlier one left, and makes only what is missing.

pub mod cast;
mod courriel;
mod describe;
mod directory;
mod error;
mod furnish;
pub mod layout;
pub mod messages;
pub mod pki;
mod ports;
mod post;
mod process;
mod psc;
pub mod trust_list;
mod web;
mod welcome;
mod white_list;

pub use error::SandboxError;
pub use ports::DEFAULT_BASE;
pub use post::PostError;
pub use psc::{AskError, token};

use cast::Operator;
use courriel::Courriel;
use describe::{Common, Running};
use directory::Directory;
use error::operator_error;
use layout::Layout;
use pki::Pki;
use ports::{AllPorts, Ports};
use process::Process;
use psc::ProSanteConnect;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How often revocation lists and the white list are signed anew while the sandbox runs: their readers raise an alarm
/// after 24 hours.
const RENEW: Duration = Duration::from_secs(6 * 3600);

/// What a sandbox is asked to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its directory, made if it is not there.
    pub dir: PathBuf,
    /// From where its ports are counted; 0 takes free ones.
    pub base_port: u16,
}

/// Runs a sandbox until `stop` resolves; prints how to use it once it is ready.
///
/// # Errors
/// What kept it from being ready, or the death of one of its servers; all servers are stopped then.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), SandboxError> {
    let layout = Layout::take(&options.dir)?;
    // An older description would send its readers to ports that are not ours any more.
    let _ = fs::remove_file(layout.description());
    tokio::pin!(stop);
    let started = tokio::select! {
        started = Sandbox::start(layout, options.base_port) => started?,
        () = &mut stop => return Ok(()),
    };
    started.run(stop).await
}

/// A sandbox whose servers run.
struct Sandbox {
    layout: Layout,
    pki: Pki,
    operators: [Operator; 2],
    processes: [Process; 2],
}

impl Sandbox {
    async fn start(layout: Layout, base_port: u16) -> Result<Self, SandboxError> {
        let operators = cast::operators();
        let now = SystemTime::now();
        // Keys are made on every processor for half a second: not on the runtime's threads.
        let prepared = tokio::task::spawn_blocking({
            let operators = operators.clone();
            move || -> Result<(Layout, Pki), SandboxError> {
                let pki = Pki::open(&layout, cast::leaves(), now)?;
                white_list::write(&layout, &pki, &operators, now)?;
                Ok((layout, pki))
            }
        });
        let (layout, pki) = prepared.await.map_err(|error| SandboxError::Cast(error.to_string()))??;
        let AllPorts { operators: ports, psc, courriel, directory } = ports::choose(base_port, 2)?;
        let ports = [ports[0], ports[1]];
        let [a, b] = &operators;
        let connect = ProSanteConnect::open(&layout, &pki, &operators, psc).await?;
        let directory = Directory::open(&layout, &pki, &operators, directory).await?;
        let common = Common::of(&connect, courriel, &directory);
        Courriel::open(&layout, courriel).await?.serve();
        connect.serve();
        directory.serve();
        let processes = tokio::try_join!(
            Process::start(&layout, a, ports[0], (b, ports[1].smtp), &common),
            Process::start(&layout, b, ports[1], (a, ports[0].smtp), &common)
        )?;
        tokio::try_join!(furnish::furnish(&layout, &pki, a), furnish::furnish(&layout, &pki, b))?;
        tokio::try_join!(
            post::send(&layout, &pki, b, a, ports[0].smtp),
            post::send(&layout, &pki, a, b, ports[1].smtp)
        )?;
        let sandbox = Self { layout, pki, operators, processes: processes.into() };
        sandbox.announce(ports, common)?;
        Ok(sandbox)
    }

    fn announce(&self, ports: [Ports; 2], common: Common) -> Result<(), SandboxError> {
        let running: Vec<Running<'_>> = self
            .operators
            .iter()
            .zip(ports)
            .zip(&self.processes)
            .map(|((operator, ports), process)| Running { operator, ports, pid: process.pid() })
            .collect();
        describe::write(&self.layout, &self.pki, &running, common)?;
        // Whoever is not interested in the text may have closed standard output.
        let _ = writeln!(std::io::stdout(), "{}", welcome::text(&self.layout, &self.pki, &running));
        Ok(())
    }

    async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), SandboxError> {
        let mut renew = tokio::time::interval(RENEW);
        renew.tick().await;
        tokio::pin!(stop);
        let ended = loop {
            let [a, b] = &mut self.processes;
            tokio::select! {
                () = &mut stop => break Ok(()),
                death = a.death() => break Err(death),
                death = b.death() => break Err(death),
                _ = renew.tick() => self.renew()?,
            }
        };
        let _ = fs::remove_file(self.layout.description());
        let [a, b] = &mut self.processes;
        let (a, b) = tokio::join!(a.stop(), b.stop());
        ended.and(a).and(b)
    }

    fn renew(&self) -> Result<(), SandboxError> {
        let now = SystemTime::now();
        self.pki.write_crls(now)?;
        white_list::write(&self.layout, &self.pki, &self.operators, now)
    }
}
