//! What there is to import: paths on the command line become a list of files, each with its format and its folder.
//!
//! A file is an mbox when it begins with `From `, a message when it begins with a header field. A directory with `cur` or `new` in it is
//! a Maildir; its `.Folder.Sub` directories (Maildir++) and its ordinary ones (Dovecot's `fs` layout, mbsync's `Verbatim`) are its
//! folders. Any other directory is searched, and each directory below it is a folder. Symbolic links within are not followed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::cli::files::flags;
use crate::cli::files::mbox::looks_like_a_header;
use crate::cli::files::names::of_file;

/// The file beside exported `.eml` files that keeps what they cannot: flags and dates, one line of JSON a message.
pub const SIDECAR: &str = "messages.jsonl";

/// A line of a [`SIDECAR`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarLine {
    /// The file's name.
    pub file: String,
    /// The message's flags and keywords.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Its internal date, RFC 3339.
    #[serde(default)]
    pub date: Option<String>,
}

/// One file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// How large it is.
    pub size: u64,
    /// The folder that its messages go to.
    pub folder: String,
    /// How to read it.
    pub format: Format,
}

/// How a file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Many messages parted by `From ` lines.
    Mbox,
    /// One message, with what its Maildir or its sidecar says about it.
    Message {
        /// Its flags and keywords.
        flags: Vec<String>,
        /// When it arrived, in Unix seconds; the message's own header tells where absent.
        date: Option<i64>,
    },
}

/// What was found, in the order in which it is to be imported.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The files to read.
    pub sources: Vec<Source>,
    /// What cannot be read, and why.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Plan {
    /// Looks through `paths`; messages go to `folder` and to folders below it.
    pub fn of(paths: &[PathBuf], folder: &str) -> Self {
        let mut plan = Self::default();
        let base = Place { base: folder.to_owned(), below: Vec::new() };
        for path in paths {
            plan.note(path, |plan| plan.add(path, &base));
        }
        plan
    }

    /// How many bytes there are to read.
    pub fn bytes(&self) -> u64 {
        self.sources.iter().map(|source| source.size).sum()
    }

    fn note(&mut self, path: &Path, look: impl FnOnce(&mut Self) -> io::Result<()>) {
        if let Err(problem) = look(self) {
            self.unreadable.push((path.to_owned(), problem.to_string()));
        }
    }

    fn add(&mut self, path: &Path, place: &Place) -> io::Result<()> {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            if is_maildir(path) { self.add_maildir(path, place) } else { self.add_directory(path, place) }
        } else {
            self.add_file(path, metadata.len(), place, None)
        }
    }

    fn add_file(&mut self, path: &Path, size: u64, place: &Place, aside: Option<&SidecarLine>) -> io::Result<()> {
        let format = match sniff(path)? {
            Sniffed::Mbox => Format::Mbox,
            Sniffed::Empty => return Ok(()),
            Sniffed::Message => Format::Message {
                flags: aside.map(|line| line.flags.clone()).unwrap_or_default(),
                date: aside
                    .and_then(|line| line.date.as_deref()?.parse::<jiff::Timestamp>().ok())
                    .map(|at| at.as_second()),
            },
            Sniffed::Neither => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "neither an mbox file nor a message"));
            }
        };
        self.sources.push(Source { path: path.to_owned(), size, folder: place.folder(), format });
        Ok(())
    }

    /// A directory that is no Maildir: messages, mbox files, Maildirs and further directories.
    fn add_directory(&mut self, directory: &Path, place: &Place) -> io::Result<()> {
        let sidecar = read_sidecar(directory)?;
        for path in sorted_entries(directory)? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
                self.unreadable.push((path, "its name is not UTF-8".into()));
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let look = |plan: &mut Self| -> io::Result<()> {
                let metadata = fs::symlink_metadata(&path)?;
                if metadata.is_dir() {
                    return plan.add(&path, &place.below([of_file(name.strip_suffix(".sbd").unwrap_or(&name))]));
                }
                if is_beside_mail(&name) {
                    return Ok(());
                }
                if !metadata.is_file() {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
                }
                // An mbox file among others is a folder of its own; an explicitly named one is not.
                let inner = match sniff(&path)? {
                    Sniffed::Mbox => place.below([of_file(name.strip_suffix(".mbox").unwrap_or(&name))]),
                    _ => place.clone(),
                };
                plan.add_file(&path, metadata.len(), &inner, sidecar.get(&name))
            };
            self.note(&path, look);
        }
        Ok(())
    }

    fn add_maildir(&mut self, directory: &Path, place: &Place) -> io::Result<()> {
        let keywords = fs::read_to_string(directory.join("dovecot-keywords")).unwrap_or_default();
        let keywords = flags::of_keywords_file(&keywords);
        let mut messages = Vec::new();
        for part in ["cur", "new"] {
            let path = directory.join(part);
            if path.is_dir() {
                self.list_maildir_part(&path, &keywords, place, &mut messages)?;
            }
        }
        // In the order of arrival, so that UIDs rise with it; the name begins with the time and settles the rest.
        messages.sort_by(|(date, one), (other_date, other)| (date, &one.path).cmp(&(other_date, &other.path)));
        self.sources.extend(messages.into_iter().map(|(_, source)| source));
        for path in sorted_entries(directory)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let real_directory = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
            if !real_directory || ["cur", "new", "tmp"].contains(&name.as_str()) {
                continue;
            }
            match name.strip_prefix('.') {
                Some(levels) if is_maildir(&path) => {
                    let inner = place.below(levels.split('.').map(of_file));
                    self.note(&path, |plan| plan.add_maildir(&path, &inner));
                }
                None if is_maildir(&path) || has_maildir_below(&path) => {
                    let inner = place.below([of_file(&name)]);
                    self.note(&path, |plan| plan.add(&path, &inner));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn list_maildir_part(
        &mut self,
        part: &Path,
        keywords: &[String],
        place: &Place,
        into: &mut Vec<(i64, Source)>,
    ) -> io::Result<()> {
        for path in sorted_entries(part)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with('.') {
                continue;
            }
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    let date = modified(&metadata);
                    let flags = flags::of_maildir_name(&name, keywords);
                    let format = Format::Message { flags, date: Some(date) };
                    into.push((date, Source { path, size: metadata.len(), folder: place.folder(), format }));
                }
                Ok(_) => self.unreadable.push((path, "not a regular file".into())),
                Err(problem) => self.unreadable.push((path, problem.to_string())),
            }
        }
        Ok(())
    }
}

/// Where messages go: the folder that was asked for, and the way down from there.
#[derive(Clone, Debug)]
struct Place {
    base: String,
    below: Vec<String>,
}

impl Place {
    fn below(&self, levels: impl IntoIterator<Item = String>) -> Self {
        let below = self.below.iter().cloned().chain(levels.into_iter().filter(|level| !level.is_empty())).collect();
        Self { base: self.base.clone(), below }
    }

    /// The folder's name. Nothing is put below INBOX: what lies beside an inbox in the source lies beside it here.
    fn folder(&self) -> String {
        let in_inbox = self.base.eq_ignore_ascii_case("INBOX");
        match self.below.as_slice() {
            [] => self.base.clone(),
            [only] if in_inbox && only.eq_ignore_ascii_case("INBOX") => "INBOX".into(),
            below if in_inbox => below.join("/"),
            below => format!("{}/{}", self.base, below.join("/")),
        }
    }
}

enum Sniffed {
    Empty,
    Mbox,
    Message,
    Neither,
}

fn sniff(path: &Path) -> io::Result<Sniffed> {
    let mut start = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut start)?;
    let text = start.trim_ascii_start();
    Ok(if text.is_empty() {
        Sniffed::Empty
    } else if text.starts_with(b"From ") {
        Sniffed::Mbox
    } else if looks_like_a_header(&start) {
        Sniffed::Message
    } else {
        Sniffed::Neither
    })
}

fn is_maildir(path: &Path) -> bool {
    path.join("cur").is_dir() || path.join("new").is_dir()
}

/// Whether an ordinary directory in a Maildir leads to folders (`fs` layout: a folder that holds only folders).
fn has_maildir_below(path: &Path) -> bool {
    sorted_entries(path).unwrap_or_default().iter().any(|entry| is_maildir(entry))
}

/// Files that lie beside mail and hold none: indexes and lists of other programs, and our own sidecar.
fn is_beside_mail(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
    let mail = ["eml", "mbox"].contains(&extension);
    !mail
        && (lower == SIDECAR
            || ["msf", "dat"].contains(&extension)
            || lower.starts_with("dovecot")
            || lower == "subscriptions")
}

fn sorted_entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn modified(metadata: &fs::Metadata) -> i64 {
    let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

fn read_sidecar(directory: &Path) -> io::Result<HashMap<String, SidecarLine>> {
    let text = match fs::read_to_string(directory.join(SIDECAR)) {
        Ok(text) => text,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(problem) => return Err(problem),
    };
    // A damaged line costs the flags of one message, not the import.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<SidecarLine>(line).ok());
    Ok(lines.map(|line| (line.file.clone(), line)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("caducee-plan-{name}-{}", std::process::id()));
            let _left_over = fs::remove_dir_all(&root);
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }

        fn plan(&self, folder: &str) -> Plan {
            Plan::of(std::slice::from_ref(&self.0), folder)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn folders(plan: &Plan) -> Vec<&str> {
        plan.sources.iter().map(|source| source.folder.as_str()).collect()
    }

    const MESSAGE: &str = "Subject: x\n\nbody\n";

    #[test]
    fn a_maildir_with_its_folders_in_both_layouts() {
        let tree = Tree::new(
            "maildir",
            &[
                ("cur/1.a.h:2,S", MESSAGE),
                ("new/2.a.h", MESSAGE),
                (".Archive.2024/cur/3.a.h:2,", MESSAGE),
                (".&AMk-t&AOk-/new/4.a.h", MESSAGE),
                ("Projets/cur/5.a.h:2,a", MESSAGE),
                ("Projets/dovecot-keywords", "0 urgent\n"),
                ("tmp/6.a.h", MESSAGE),
                ("dovecot-uidlist", "3 V1\n"),
            ],
        );
        let plan = tree.plan("INBOX");
        assert_eq!(folders(&plan), ["INBOX", "INBOX", "Été", "Archive/2024", "Projets"]);
        assert!(matches!(&plan.sources[4].format, Format::Message { flags, .. } if flags == &["urgent"]));
        assert!(plan.unreadable.is_empty());
    }

    #[test]
    fn a_directory_of_many_things() {
        let tree = Tree::new(
            "many",
            &[
                ("a.eml", MESSAGE),
                ("INBOX/cur/1.h:2,", MESSAGE),
                ("Sent/x.eml", MESSAGE),
                (
                    "Sent/messages.jsonl",
                    "{\"file\":\"x.eml\",\"flags\":[\"\\\\Seen\"],\"date\":\"2026-11-22T00:49:54Z\"}\n",
                ),
                ("Old.mbox", "From x Sun Nov 22 00:49:54 2026\nA: 1\n\n"),
                ("Old.msf", "index"),
                ("picture.png", "\u{89}PNG"),
                ("empty", ""),
            ],
        );
        let plan = tree.plan("INBOX");
        assert_eq!(folders(&plan), ["INBOX", "Old", "Sent", "INBOX"]);
        assert_eq!(plan.sources[2].format, Format::Message { flags: vec!["\\Seen".into()], date: Some(1_795_308_594) });
        assert_eq!(plan.unreadable.len(), 1, "the picture is named: {:?}", plan.unreadable);
        let below = tree.plan("Reprise");
        assert_eq!(folders(&below), ["Reprise/INBOX", "Reprise/Old", "Reprise/Sent", "Reprise"]);
    }

    #[test]
    fn an_mbox_named_by_itself_goes_to_the_folder_asked_for() {
        let tree = Tree::new("named", &[("Old", "From x Sun Nov 22 00:49:54 2026\nA: 1\n\n")]);
        let plan = Plan::of(&[tree.0.join("Old"), tree.0.join("missing")], "Archive");
        assert_eq!(folders(&plan), ["Archive"]);
        assert_eq!(plan.unreadable.len(), 1);
    }

    #[test]
    fn links_are_not_followed() {
        let tree = Tree::new("links", &[("cur/1.h:2,", MESSAGE)]);
        std::os::unix::fs::symlink("/etc/passwd", tree.0.join("cur/2.h:2,")).unwrap();
        std::os::unix::fs::symlink(&tree.0, tree.0.join(".Loop")).unwrap();
        let plan = tree.plan("INBOX");
        assert_eq!((plan.sources.len(), plan.unreadable.len()), (1, 1));
    }
}
