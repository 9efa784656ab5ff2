//! `caducee store`: looks after a store while no server has it open.

use std::fs;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::output::{Exit, Output, pairs, size, table};
use crate::config::Config;
use crate::store::embedded::{self, CheckReport, SegmentStat, StoreStat, Upgrade};
use crate::store::{Compacted, Compaction, Damage, KeysFound, OpenError, Options, Store};

/// Looks after the store while the server is stopped
#[derive(Args, Debug)]
pub(super) struct StoreCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Reads every frame of the log, holds bodies, index and counters against it, and the key files against each other
    Check(Where),
    /// Shows what the store holds
    Stat(Where),
    /// Gives the space of deleted mail back: moves what lives out of files of the log that are mostly dead, and empties them
    Compact(Compact),
    /// Brings the store to this version's format
    Upgrade(Where),
}

#[derive(Args, Debug)]
struct Compact {
    #[command(flatten)]
    at: Where,
    /// Share of a file, in percent, that must be dead for the rest to be moved; with 0 any dead byte is enough
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    dead_percent: u8,
    /// Goes on where the store shows damage: what lies in a missing or damaged file makes what belongs to it look dead, and it
    /// is then destroyed for good
    #[arg(long)]
    in_spite_of_damage: bool,
}

/// Which store. They may write to it, so root becomes the store's owner for them.
#[derive(Args, Debug)]
struct Where {
    /// The configuration file that names the store
    #[arg(long, value_name = "FILE", default_value = "/etc/caducee/caducee.toml", conflicts_with = "dir")]
    config: PathBuf,
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Results as JSON
    #[arg(long)]
    json: bool,
}

impl StoreCommand {
    pub(super) fn run(self) -> ExitCode {
        let words = self.verb.words();
        match self.verb {
            Verb::Check(at) => at.with(&words, check),
            Verb::Stat(at) => at.with(&words, stat),
            Verb::Compact(Compact { at, dead_percent, in_spite_of_damage }) => {
                // Nobody waits for the disk meanwhile, and the segment that was written last is closed to be looked at too.
                let (rate, settle, whole) = (u64::MAX, Duration::ZERO, true);
                let goal = Compaction { dead_percent, rate, settle, whole, in_spite_of_damage };
                at.with(&words, |path, output| compact(path, output, &goal))
            }
            Verb::Upgrade(at) => at.with(&words, upgrade),
        }
    }
}

impl Verb {
    /// What to say to have it done by another process, but for which store.
    fn words(&self) -> Vec<String> {
        match self {
            Verb::Check(_) => vec!["check".to_owned()],
            Verb::Stat(_) => vec!["stat".to_owned()],
            Verb::Upgrade(_) => vec!["upgrade".to_owned()],
            Verb::Compact(Compact { dead_percent, in_spite_of_damage, .. }) => {
                let in_spite = in_spite_of_damage.then(|| "--in-spite-of-damage".to_owned());
                ["compact".to_owned(), format!("--dead-percent={dead_percent}")].into_iter().chain(in_spite).collect()
            }
        }
    }
}

impl Where {
    fn with(self, words: &[String], work: impl FnOnce(&Path, &Output) -> Result<Exit, OpenError>) -> ExitCode {
        let output = Output::new(self.json);
        let path = match self.dir {
            Some(path) => path,
            None => match Config::load(&self.config) {
                Ok(config) => config.store.path,
                Err(error) => return fail(&output, &error),
            },
        };
        let path = match as_owner(&path, words, &output) {
            Ok(ControlFlow::Break(exit)) => return exit,
            Ok(ControlFlow::Continue(path)) => path,
            Err(error) => return fail(&output, &error),
        };
        match work(&path, &output) {
            Ok(exit) => exit.into(),
            Err(error @ OpenError::InUse(_)) => {
                let code = fail(&output, &error);
                output.note("hint: stop the server first; while it runs, see its metrics and `caducee status`");
                code
            }
            Err(error) => fail(&output, &error),
        }
    }
}

/// Has a verb of root's done by the user whose directory the store is: what root writes there the server could not open at its
/// next start. To go on is to do it in this process, in the directory given back.
///
/// Root enters the directory first, and looks at where it is then: who owns the way there cannot change what was looked at.
fn as_owner(path: &Path, words: &[String], output: &Output) -> Result<ControlFlow<ExitCode, PathBuf>, OpenError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(ControlFlow::Continue(path.to_owned()));
    }
    let failed = |action: &'static str| move |source| OpenError::Io { action, path: path.to_owned(), source };
    if !path.is_dir() {
        return Err(OpenError::Missing(path.to_owned()));
    }
    std::env::set_current_dir(path).map_err(failed("enter"))?;
    let here = PathBuf::from(".");
    let directory = fs::metadata(&here).map_err(failed("look at"))?;
    let (user, group) = (directory.uid(), directory.gid());
    if user == 0 {
        return Ok(ControlFlow::Continue(here));
    }
    output.note(&format!("{}: as its owner, user {user}", path.display()));
    let mut command = Command::new("/proc/self/exe");
    command.arg("store").args(words).arg("--dir").arg(here.as_os_str()).uid(user).gid(group);
    // Nothing of root's goes along.
    let kept = ["LANG", "LC_ALL", "NO_COLOR", "TERM"];
    let kept = kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.stdin(Stdio::null()).env_clear().envs(kept);
    if output.is_json() {
        command.arg("--json");
    }
    let status = command.status().map_err(failed("become the owner of"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ControlFlow::Break(code.map_or(Exit::Failed.into(), ExitCode::from)))
}

fn fail(output: &Output, error: &dyn std::error::Error) -> ExitCode {
    if output.is_json() {
        eprintln!("{}", serde_json::json!({ "rule": "store", "detail": error.to_string() }));
    } else {
        eprintln!("caducee: {error}");
    }
    Exit::Failed.into()
}

fn check(path: &Path, output: &Output) -> Result<Exit, OpenError> {
    let bar = progress_bar(output);
    let report = embedded::check(path, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    output.result(&report, show_check);
    Ok(if report.is_sound() { Exit::Done } else { Exit::Failed })
}

fn progress_bar(output: &Output) -> ProgressBar {
    if output.is_json() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show_check(report: &CheckReport) -> String {
    let mut lines = vec![format!(
        "read {} in {} segments ({} emptied): {} commits, {} chunks of bodies; {} bodies in use",
        size(report.bytes),
        report.segments,
        report.emptied,
        report.commits,
        report.chunks,
        report.bodies
    )];
    if report.torn > 0 {
        lines.push(format!(
            "a torn tail of {}: the next start cuts it; nothing in it was acknowledged",
            size(report.torn)
        ));
    }
    if report.behind > 0 {
        lines.push(format!("the index lacks {} commits: the next start replays them", report.behind));
    }
    if let Some(reason) = &report.index_unusable {
        lines.push(format!("the index is unusable ({reason}): the next start rebuilds it from the log"));
    }
    for damage in &report.damaged {
        let (path, from, to, reason) = (damage.path.display(), damage.from, damage.to, damage.reason);
        lines.push(format!("damaged: {path}, bytes {from} to {to}: {reason}"));
    }
    for body in &report.unreadable {
        let messages: Vec<_> = body.messages.iter().map(|(folder, uid)| format!("folder {folder} UID {uid}")).collect();
        lines.push(format!(
            "unreadable: body {}, chunk {}: {}; {}",
            body.body,
            body.chunk,
            body.reason,
            messages.join(", ")
        ));
    }
    for record in &report.bad_records {
        lines.push(format!("bad record: {} {}: {}", record.table, record.key, record.reason));
    }
    for folder in &report.miscounted {
        let (id, recorded, counted) = (folder.folder, folder.recorded, folder.counted);
        lines.push(format!("miscounted: folder {id}: (messages, unseen, bytes) {recorded:?}, counted {counted:?}"));
    }
    lines.extend(keys_found(&report.keys));
    for account in &report.keyless {
        lines.push(format!("without a key: account {account}: nothing in its mailbox can be read"));
    }
    for account in &report.revived {
        lines.push(format!("not closed, though its key was destroyed: account {account}: close it again"));
    }
    for (moment, messages) in &report.unopenable {
        lines.push(format!("{messages} messages that wait cannot be opened: the queue's key of {moment} is lost"));
    }
    if report.not_listed > 0 {
        lines.push(format!("and {} more findings", report.not_listed));
    }
    lines.push(if report.is_sound() { "sound".to_owned() } else { "NOT sound".to_owned() });
    lines.join("\n")
}

fn keys_found(keys: &KeysFound) -> Vec<String> {
    let mut lines: Vec<_> = keys.missing.iter().map(|name| format!("missing: {name}")).collect();
    if keys.differing > 0 {
        lines.push(format!(
            "the key files differ in {} places: the next start mends each from the other",
            keys.differing
        ));
    }
    lines.extend(keys.contradicting.iter().map(|slot| format!("the key files contradict each other: slot {slot}")));
    lines.extend(keys.lost.iter().map(|slot| format!("damaged in both key files: slot {slot}")));
    lines
}

fn stat(path: &Path, output: &Output) -> Result<Exit, OpenError> {
    output.result(&embedded::stat(path)?, show_stat);
    Ok(Exit::Done)
}

fn show_stat(stat: &StoreStat) -> String {
    let summary = pairs([
        ("format", stat.format.to_string()),
        ("log", format!("{} in {} segments", size(stat.log_bytes), stat.segments.len())),
        ("living bodies", size(stat.living_bytes)),
        ("index", size(stat.index_bytes)),
        ("keys", stat.keys.to_string()),
        ("last commit", stat.applied.to_string()),
        ("last checkpoint", stat.checkpoint.to_string()),
        ("free on the disk", size(stat.free_bytes)),
    ]);
    let records = table(
        ["table", "records"],
        stat.records.iter().map(|(table, number)| [(*table).to_owned(), number.to_string()]),
    );
    let segments = table(
        ["segment", "size", "living bodies"],
        stat.segments.iter().map(|segment| [segment.number.to_string(), size_of(segment), size(segment.living_bytes)]),
    );
    [summary, records, segments].join("\n\n")
}

fn size_of(segment: &SegmentStat) -> String {
    if segment.emptied { "emptied".to_owned() } else { size(segment.bytes) }
}

fn compact(path: &Path, output: &Output, goal: &Compaction) -> Result<Exit, OpenError> {
    let (store, opening) = Store::open_for_upkeep(path, &Options::default())?;
    for Damage { path, from, to, reason } in &opening.damaged {
        output.note(&format!("damaged: {}, bytes {from} to {to}: {reason}", path.display()));
    }
    let outcome = store.compact_blocking(goal);
    store.close();
    match outcome {
        Ok(done) => {
            output.result(&done, show_compacted);
            Ok(if done.kept_damaged + done.without_room == 0 { Exit::Done } else { Exit::Failed })
        }
        Err(error) => {
            fail(output, &error);
            Ok(Exit::Failed)
        }
    }
}

fn show_compacted(done: &Compacted) -> String {
    let mut lines = vec![pairs([
        ("segments read", done.surveyed.to_string()),
        ("segments emptied", done.emptied.to_string()),
        ("moved", size(done.moved_bytes)),
        ("given back", size(done.freed_bytes)),
        ("log now", size(done.log_bytes)),
        ("living bodies", size(done.living_bytes)),
    ])];
    if done.kept_damaged > 0 {
        lines.push(format!("{} damaged segments are kept as they are: `caducee store check`", done.kept_damaged));
    }
    if done.without_room > 0 {
        lines.push(format!("{} segments wait: the disk has no room for what lives in them", done.without_room));
    }
    lines.join("\n")
}

fn upgrade(path: &Path, output: &Output) -> Result<Exit, OpenError> {
    output.result(&embedded::upgrade(path)?, |Upgrade { from, to }: &Upgrade| {
        if from == to {
            format!("nothing to do: the store has format {to}, which is this version's")
        } else {
            format!("upgraded from format {from} to {to}")
        }
    });
    Ok(Exit::Done)
}
