//! Where exported messages go: a Maildir++, mbox files, or one `.eml` file a message.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;

use crate::cli::files::{flags, mbox, names};
use crate::cli::import::plan::{SIDECAR, SidecarLine};
use crate::serve::http::line_ends::to_lf;

/// The form that an export takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One directory that Dovecot, mutt, mbsync and others open as a mailbox (Maildir++)
    Maildir,
    /// One file a folder (mboxrd)
    Mbox,
    /// One file a message, byte for byte as stored, with flags and dates in messages.jsonl beside them
    Eml,
}

/// A message with what is kept beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Exported<'a> {
    /// Its bytes as stored.
    pub bytes: &'a [u8],
    /// Its flags and keywords.
    pub flags: &'a [String],
    /// Its internal date, Unix seconds.
    pub date: i64,
    /// Its folder's UIDVALIDITY and its UID: what makes its file's name unique.
    pub identity: (u32, u32),
}

/// The directory that an export fills.
#[derive(Debug)]
pub struct Target {
    root: PathBuf,
    format: ExportFormat,
    folders: BTreeMap<String, OpenFolder>,
    /// Keywords that found no letter in a Maildir's names.
    keywords_dropped: usize,
}

#[derive(Debug)]
struct OpenFolder {
    directory: PathBuf,
    keywords: Vec<String>,
    /// The mbox file, or the sidecar of `.eml` files.
    file: Option<BufWriter<File>>,
}

impl Target {
    /// Takes a directory that is not there yet or empty: an export never mixes with something else.
    ///
    /// # Errors
    /// If it is neither, or cannot be made.
    pub fn create(root: &Path, format: ExportFormat) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        if fs::read_dir(root)?.next().is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the directory is not empty"));
        }
        Ok(Self { root: root.to_owned(), format, folders: BTreeMap::new(), keywords_dropped: 0 })
    }

    /// Makes a folder's place, so that one without messages is there too.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(&mut self, folder: &str) -> io::Result<()> {
        if !self.folders.contains_key(folder) {
            let opened = match self.format {
                ExportFormat::Maildir => self.open_maildir(folder),
                ExportFormat::Mbox => self.open_mbox(folder),
                ExportFormat::Eml => self.open_eml(folder),
            }?;
            self.folders.insert(folder.to_owned(), opened);
        }
        Ok(())
    }

    /// Writes one message into an opened folder.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, folder: &str, message: Exported<'_>) -> io::Result<()> {
        self.open(folder)?;
        let Some(folder) = self.folders.get_mut(folder) else { return Err(io::ErrorKind::NotFound.into()) };
        match self.format {
            ExportFormat::Maildir => {
                self.keywords_dropped += folder.write_maildir(message)?;
                Ok(())
            }
            ExportFormat::Mbox => folder.append(&mbox::write(message.bytes, message.flags, message.date)),
            ExportFormat::Eml => folder.write_eml(message),
        }
    }

    /// Writes what is left to write. Returns how many keywords a Maildir had no room for.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(mut self) -> io::Result<usize> {
        for folder in self.folders.values_mut() {
            if !folder.keywords.is_empty() {
                fs::write(folder.directory.join("dovecot-keywords"), flags::to_keywords_file(&folder.keywords))?;
            }
            if let Some(file) = &mut folder.file {
                file.flush()?;
                file.get_ref().sync_all()?;
            }
        }
        Ok(self.keywords_dropped)
    }

    fn open_maildir(&self, folder: &str) -> io::Result<OpenFolder> {
        let directory = if folder == "INBOX" {
            self.root.clone()
        } else {
            let levels: Vec<String> = folder.split('/').map(names::to_maildir).collect();
            self.root.join(format!(".{}", levels.join(".")))
        };
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(directory.join(part))?;
        }
        if directory != self.root {
            // Maildir++: the mark of a folder within a Maildir.
            fs::write(directory.join("maildirfolder"), "")?;
        }
        Ok(OpenFolder { directory, keywords: Vec::new(), file: None })
    }

    fn open_mbox(&self, folder: &str) -> io::Result<OpenFolder> {
        let mut path = self.path_of(folder);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        path.set_file_name(format!("{name}.mbox"));
        let directory = path.parent().unwrap_or(&self.root).to_owned();
        fs::create_dir_all(&directory)?;
        Ok(OpenFolder { directory, keywords: Vec::new(), file: Some(BufWriter::new(create_new(&path)?)) })
    }

    fn open_eml(&self, folder: &str) -> io::Result<OpenFolder> {
        let directory = self.path_of(folder);
        fs::create_dir_all(&directory)?;
        let sidecar = create_new(&directory.join(SIDECAR))?;
        Ok(OpenFolder { directory, keywords: Vec::new(), file: Some(BufWriter::new(sidecar)) })
    }

    fn path_of(&self, folder: &str) -> PathBuf {
        folder.split('/').map(names::to_file).fold(self.root.clone(), |path, level| path.join(level))
    }
}

impl OpenFolder {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().ok_or(io::ErrorKind::NotFound)?.write_all(bytes)
    }

    /// Returns how many of the message's keywords found no letter.
    fn write_maildir(&mut self, message: Exported<'_>) -> io::Result<usize> {
        // Files on Unix have LF; a message for which that would lose something stays as it is.
        let lines = to_lf(message.bytes);
        let bytes = lines.as_deref().unwrap_or(message.bytes);
        let (letters, dropped) = flags::to_maildir_letters(message.flags, &mut self.keywords);
        let (validity, uid) = message.identity;
        let base = format!("{}.V{validity}U{uid}.caducee,S={}", message.date.max(0), bytes.len());
        let written = self.directory.join("tmp").join(&base);
        write_dated(&written, bytes, message.date)?;
        fs::rename(&written, self.directory.join("cur").join(format!("{base}:2,{letters}")))?;
        Ok(dropped)
    }

    fn write_eml(&mut self, message: Exported<'_>) -> io::Result<()> {
        let file = format!("{:010}.eml", message.identity.1);
        write_dated(&self.directory.join(&file), message.bytes, message.date)?;
        let date = jiff::Timestamp::from_second(message.date).ok().map(|date| date.to_string());
        let mut line = serde_json::to_vec(&SidecarLine { file, flags: message.flags.to_vec(), date })?;
        line.push(b'\n');
        self.append(&line)
    }
}

/// Other people's mail: readable by the one who exports, and nobody else.
fn create_new(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write_dated(path: &Path, bytes: &[u8], date: i64) -> io::Result<()> {
    let mut file = create_new(path)?;
    file.write_all(bytes)?;
    let at = u64::try_from(date).map_or(UNIX_EPOCH, |seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    file.set_times(FileTimes::new().set_modified(at).set_accessed(SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::import::plan::Plan;
    use crate::cli::import::reader::{Found, Messages, Step};

    fn there_and_back(format: ExportFormat, name: &str) -> Vec<Found> {
        let root = std::env::temp_dir().join(format!("caducee-target-{name}-{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&root);
        let mut target = Target::create(&root, format).unwrap();
        let seen = ["\\Seen".to_owned(), "$MDNSent".to_owned()];
        let body = b"Subject: =?utf-8?q?=C3=A9t=C3=A9?=\r\nStatus: mine\r\n\r\nFrom here\r\n>From there\r\n\r\n";
        for (uid, folder) in ["INBOX", "../etc", "a.b/c & d", "Été", "messages.jsonl", "INBOX/x.sbd"].iter().enumerate()
        {
            let identity = (7, u32::try_from(uid).unwrap());
            let message = Exported { bytes: body, flags: &seen, date: 86_400 + uid as i64, identity };
            target.write(folder, message).unwrap();
        }
        target.open("Vide").unwrap();
        assert_eq!(target.finish().unwrap(), 0);
        let plan = Plan::of(std::slice::from_ref(&root), "INBOX");
        assert_eq!(plan.unreadable, []);
        let mut found: Vec<Found> = Messages::of(plan, 1 << 20)
            .filter_map(|step| match step {
                Step::Message(found) => Some(found),
                Step::Bad { origin, reason } => panic!("{origin}: {reason}"),
                Step::Read(_) => None,
            })
            .collect();
        found.sort_by_key(|found| found.date);
        for found in &found {
            assert_eq!(found.bytes, body);
            assert_eq!(found.flags, seen);
        }
        fs::remove_dir_all(&root).unwrap();
        found
    }

    #[test]
    fn what_is_exported_is_what_is_imported_again() {
        for (format, name) in
            [(ExportFormat::Maildir, "maildir"), (ExportFormat::Mbox, "mbox"), (ExportFormat::Eml, "eml")]
        {
            let found = there_and_back(format, name);
            let folders: Vec<&str> = found.iter().map(|found| found.folder.as_str()).collect();
            assert_eq!(folders, ["INBOX", "../etc", "a.b/c & d", "Été", "messages.jsonl", "INBOX/x.sbd"], "{name}");
            let dates: Vec<_> = found.iter().map(|found| found.date.unwrap() - 86_400).collect();
            assert_eq!(dates, [0, 1, 2, 3, 4, 5], "{name}");
        }
    }

    #[test]
    fn a_directory_with_something_in_it_is_refused() {
        let root = std::env::temp_dir().join(format!("caducee-target-full-{}", std::process::id()));
        fs::create_dir_all(root.join("x")).unwrap();
        assert!(Target::create(&root, ExportFormat::Eml).is_err());
        fs::remove_dir_all(&root).unwrap();
    }
}
