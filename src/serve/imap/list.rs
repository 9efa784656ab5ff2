//! LIST and LSUB, RFC 3501 §6.3.8 and §6.3.9, with LIST-EXTENDED (RFC 5258), CHILDREN (RFC 3348), SPECIAL-USE (RFC 6154)
//! and LIST-STATUS (RFC 5819).

use std::collections::{BTreeMap, HashSet};

use super::pattern;
use super::place::{self, Namespace};
use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use crate::mail::{FolderInfo, INBOX, MailError};
use crate::store::SpecialUse;
use crate::wire::imap::command::FolderName;
use crate::wire::imap::list::{ListCommand, StatusItem};
use crate::wire::imap::response::{self, Code};

/// Characters of all patterns of one LIST together: matching takes time by their number.
const MAX_PATTERN: usize = 2048;

/// A name that may be listed.
#[derive(Debug, Clone, Default)]
struct Listed {
    selectable: bool,
    /// There is a folder or level of this name.
    exists: bool,
    has_children: bool,
    subscribed: bool,
    special_use: Option<SpecialUse>,
    /// A folder below it is selected by the options, though no pattern matches it (RECURSIVEMATCH).
    child_selected: bool,
}

impl Session {
    /// LIST and LSUB.
    pub(super) async fn list(&mut self, command: &ListCommand) -> Outcome {
        if !command.extended && !command.lsub && command.patterns == [""] {
            // RFC 3501 §6.3.8: a question for the delimiter.
            self.channel.out.extend_from_slice(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
            return Ok(Reply::ok("Listed"));
        }
        let patterns: Vec<String> =
            command.patterns.iter().map(|pattern| format!("{}{pattern}", command.reference)).collect();
        if patterns.iter().map(String::len).sum::<usize>() > MAX_PATTERN {
            return Err(Reply::no(Some(Code::Limit), "The patterns are too long").into());
        }
        let matches = |name: &str| patterns.iter().any(|pattern| pattern::matches(pattern, name));
        if command.lsub {
            self.lsub(matches).await?;
            return Ok(Reply::ok("Listed"));
        }
        let names = self.names(|level| patterns.iter().any(|pattern| pattern::reaches(pattern, level)))?;
        let chosen = choose(command, &names, matches);
        for (name, listed) in &chosen {
            self.tell_listed(command, name, listed);
            if let Some(items) = command.return_status.as_deref().filter(|_| listed.selectable) {
                self.tell_listed_status(name, items)?;
            }
            self.channel.flush_if_full().await?;
        }
        Ok(Reply::ok("Listed"))
    }

    fn tell_listed_status(&mut self, name: &str, items: &[StatusItem]) -> Result<(), Stop> {
        if items.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore();
        }
        let place = self.place(&FolderName::new(name))?;
        match place.mailbox.status(place.folder()?) {
            Ok(status) => self.tell_status(name, &status, items),
            // RFC 5819 §2: deleted in between; it just has no STATUS.
            Err(MailError::NoFolder | MailError::NotSelectable) => {}
            Err(error) => return place.said(Err(error)),
        }
        Ok(())
    }

    fn tell_listed(&mut self, command: &ListCommand, name: &str, listed: &Listed) {
        let mut attributes: Vec<&str> = Vec::new();
        if !listed.exists {
            attributes.push("\\NonExistent");
        } else if !listed.selectable {
            attributes.push("\\Noselect");
        }
        attributes.push(if listed.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
        if listed.subscribed && command.return_subscribed {
            attributes.push("\\Subscribed");
        }
        attributes.extend(listed.special_use.map(special_use));
        let out = &mut self.channel.out;
        line(out, "LIST", &attributes, name);
        if listed.child_selected {
            // RFC 5258 §3.5
            let kinds = [
                command.select_subscribed.then_some("\"SUBSCRIBED\""),
                command.select_special_use.then_some("\"SPECIAL-USE\""),
            ];
            let kinds: Vec<&str> = kinds.into_iter().flatten().collect();
            out.extend_from_slice(format!(" (\"CHILDINFO\" ({}))", kinds.join(" ")).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Subscribed names; with `%` also the levels above those that it does not reach (RFC 3501 §6.3.9).
    async fn lsub(&mut self, matches: impl Fn(&str) -> bool) -> Result<(), Stop> {
        let mut told: BTreeMap<&str, bool> = BTreeMap::new();
        let subscriptions = self.user()?.mailbox.subscriptions()?;
        for subscription in &subscriptions {
            let name = subscription.name.as_str();
            if matches(name) {
                told.insert(name, subscription.selectable || self.leads_to_a_folder(name));
            } else {
                let above = name.match_indices('/').map(|(at, _)| &name[..at]).filter(|above| matches(above));
                above.for_each(|above| {
                    told.entry(above).or_insert(false);
                });
            }
        }
        for (name, selectable) in told {
            let attributes: &[&str] = if selectable { &[] } else { &["\\Noselect"] };
            line(&mut self.channel.out, "LSUB", attributes, name);
            self.channel.out.extend_from_slice(b"\r\n");
            self.channel.flush_if_full().await?;
        }
        Ok(())
    }
}

/// Writes `* LIST (…) "/" name`, without the line's end.
fn line(out: &mut Vec<u8>, word: &str, attributes: &[&str], name: &str) {
    out.extend_from_slice(format!("* {word} ({}) \"/\" ", attributes.join(" ")).as_bytes());
    response::folder(out, name);
}

fn special_use(special: SpecialUse) -> &'static str {
    match special {
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Trash => "\\Trash",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Archive => "\\Archive",
    }
}

/// What there is to be listed.
impl Session {
    /// Folders and levels of the own mailbox, INBOX first; then those of other mailboxes as far as `reaches` says that they
    /// are looked for; then subscribed names that are none of these.
    fn names(&self, reaches: impl Fn(&str) -> bool) -> Result<Vec<(String, Listed)>, Stop> {
        let own = self.place(&FolderName::new(INBOX))?.mailbox;
        let folders = own.folders()?.into_iter();
        let mut names: Vec<(String, Listed)> = folders.map(|folder| (folder.name.clone(), listed(&folder))).collect();
        self.add_other_mailboxes(&mut names, reaches)?;
        let subscriptions = own.subscriptions()?;
        let mut left: HashSet<&str> = subscriptions.iter().map(|subscription| subscription.name.as_str()).collect();
        for (name, listed) in &mut names {
            listed.subscribed = left.remove(name.as_str());
        }
        let others = subscriptions.iter().filter(|subscription| left.contains(subscription.name.as_str()));
        names.extend(others.map(|other| (other.name.clone(), Listed { subscribed: true, ..Listed::default() })));
        Ok(names)
    }

    /// Namespace, mailbox, its folders: the first two are levels that hold no messages.
    fn add_other_mailboxes(
        &self,
        names: &mut Vec<(String, Listed)>,
        reaches: impl Fn(&str) -> bool,
    ) -> Result<(), Stop> {
        for other in self.opened_to_me()? {
            let namespace = Namespace::of(other.kind).name();
            match names.iter_mut().find(|(name, _)| name == namespace) {
                Some((_, level)) => level.has_children = true,
                None => names.push((namespace.to_owned(), level())),
            }
            let root = place::root_of(other.kind, &other.address);
            let below = format!("{root}/");
            names.push((root, level()));
            if !reaches(&below) {
                continue;
            }
            match self.services.room.open(other.account).and_then(|mailbox| mailbox.folders()) {
                Ok(folders) => names.extend(folders.iter().map(|folder| {
                    // Special uses are the other mailbox's: a client that files what it sends must not take them for its own.
                    (format!("{below}{}", folder.name), Listed { special_use: None, ..listed(folder) })
                })),
                // RFC 4314 §4: a LIST is never refused for what it cannot list.
                Err(error) => tracing::info!(account = %other.account, %error, "a mailbox is left out of a list"),
            }
        }
        Ok(())
    }

    /// Whether a name leads to a folder of another mailbox.
    fn leads_to_a_folder(&self, name: &str) -> bool {
        let place = self.foreign_place(name).ok().flatten();
        place.is_some_and(|place| place.folder().is_ok_and(|folder| place.mailbox.check_selectable(folder).is_ok()))
    }
}

fn listed(folder: &FolderInfo) -> Listed {
    let FolderInfo { selectable, has_children, special_use, .. } = *folder;
    Listed { selectable, exists: true, has_children, special_use, ..Listed::default() }
}

/// A level above other mailboxes.
fn level() -> Listed {
    Listed { exists: true, has_children: true, ..Listed::default() }
}

/// The names that a LIST tells, by the selection options of RFC 5258 §3.1.
fn choose<'a>(
    command: &ListCommand,
    names: &'a [(String, Listed)],
    matches: impl Fn(&str) -> bool,
) -> Vec<(&'a str, Listed)> {
    let selected = |listed: &Listed| {
        (listed.exists || command.select_subscribed)
            && (!command.select_subscribed || listed.subscribed)
            && (!command.select_special_use || listed.special_use.is_some())
    };
    let child_selected = |name: &str| {
        command.recursive_match
            && names.iter().any(|(other, listed)| {
                selected(listed)
                    && other.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
                    && !matches(other)
            })
    };
    let mut chosen: Vec<(&str, Listed)> = Vec::new();
    for (name, listed) in names.iter().filter(|(name, _)| matches(name)) {
        let child_selected = child_selected(name);
        if selected(listed) || child_selected {
            chosen.push((name, Listed { child_selected, ..listed.clone() }));
        }
    }
    if command.recursive_match {
        add_missing_parents(names, &matches, &selected, &mut chosen);
    }
    chosen
}

/// RECURSIVEMATCH: levels above a selected name that are neither folder nor subscription (RFC 5258 §3.5).
fn add_missing_parents<'a>(
    names: &'a [(String, Listed)],
    matches: &impl Fn(&str) -> bool,
    selected: &impl Fn(&Listed) -> bool,
    chosen: &mut Vec<(&'a str, Listed)>,
) {
    for (name, _) in names.iter().filter(|(name, listed)| selected(listed) && !matches(name)) {
        for above in name.match_indices('/').map(|(at, _)| &name[..at]).filter(|above| matches(above)) {
            let known =
                names.iter().any(|(other, _)| other == above) || chosen.iter().any(|(other, _)| *other == above);
            if !known {
                chosen.push((above, Listed { has_children: true, child_selected: true, ..Listed::default() }));
            }
        }
    }
}
