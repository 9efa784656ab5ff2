//! Who may do what in a mailbox, RFC 4314: GETACL, SETACL, DELETEACL, LISTRIGHTS, MYRIGHTS.
//!
//! Our rights are the whole mailbox's, and four; each stands for letters that are tied together (RFC 4314 §2):
//!
//! | right | letters | what it is for |
//! |---|---|---|
//! | read | `lr` | see folders and messages |
//! | write | `swikxte` (`cd` of RFC 2086 with them) | flag, file, delete; make, rename and delete folders |
//! | send | `p` | send in the mailbox's name |
//! | manage | `a` | say who else may do what |
//!
//! `\Seen` is the mailbox's and not its reader's, so `s` is of write. An identifier is a person's national id, or the address
//! of a mailbox here: whoever holds that one.

use std::sync::Arc;

use super::place::Place;
use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use crate::accounts::{Account, AccountError, Grantee};
use crate::mail::MailError;
use crate::mss::{Address, Right, Rights};
use crate::wire::imap::acl::{Letters, RightsChange};
use crate::wire::imap::command::FolderName;
use crate::wire::imap::response::{self, Code};

/// Identifiers that RFC 4314 §2 and RFC 2086 give a meaning that ours never have.
const NOBODY_HERE: [&str; 2] = ["anyone", "anonymous"];

impl Session {
    /// GETACL, RFC 4314 §3.3. The mailbox's own address stands for its holder.
    pub(super) fn get_acl(&mut self, folder: &FolderName) -> Outcome {
        let place = self.managed(folder)?;
        let account = self.account_of(&place)?;
        let mut entries = vec![(account.address.to_string(), Rights::all())];
        let now = super::append::now();
        for grant in &account.data.access_list {
            let (identifier, rights) = match Grantee::of(grant) {
                Grantee::Person(person) => {
                    let rights = account.granted(Some(&person), None, now);
                    (Some(person), rights)
                }
                Grantee::Mailbox(id) => {
                    let other = self.services.registry.by_id(id)?;
                    (other.map(|other| other.address.to_string()), account.granted(None, Some(id), now))
                }
            };
            if let Some(identifier) = identifier.filter(|_| !rights.is_empty()) {
                entries.push((identifier, rights));
            }
        }
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* ACL ");
        response::folder_name(out, folder);
        for (identifier, rights) in entries {
            out.push(b' ');
            response::string(out, identifier.as_bytes());
            put_letters(out, letters(rights));
        }
        out.extend_from_slice(b"\r\n");
        Ok(Reply::ok("Told"))
    }

    /// MYRIGHTS, RFC 4314 §3.5.
    pub(super) fn my_rights(&mut self, folder: &FolderName) -> Outcome {
        let place = self.place(folder)?;
        is_there(&place)?;
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* MYRIGHTS ");
        response::folder_name(out, folder);
        put_letters(out, letters(place.rights));
        out.extend_from_slice(b"\r\n");
        Ok(Reply::ok("Told"))
    }

    /// LISTRIGHTS, RFC 4314 §3.4: the identifier as it was sent, the rights that it has whatever is set here, then those that
    /// can be given, tied ones together.
    pub(super) fn list_rights(&mut self, folder: &FolderName, identifier: &str) -> Outcome {
        let place = self.managed(folder)?;
        let account = self.account_of(&place)?;
        let who = self.grantee(identifier)?;
        let is_holder = who == Grantee::Mailbox(account.id);
        let (required, can_be_given) = match &who {
            _ if is_holder => (Rights::all(), false),
            _ if place.is_whole_mailbox() => (Rights::NONE, true),
            who => (account.granted_to(who, super::append::now()), false),
        };
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* LISTRIGHTS ");
        response::folder_name(out, folder);
        out.push(b' ');
        response::string(out, identifier.as_bytes());
        put_letters(out, letters(required));
        if can_be_given {
            Right::ALL.into_iter().for_each(|right| put_letters(out, tied(right)));
        }
        out.extend_from_slice(b"\r\n");
        Ok(Reply::ok("Told"))
    }

    /// SETACL, RFC 4314 §3.1.
    pub(super) async fn set_acl(&mut self, folder: &FolderName, identifier: &str, change: RightsChange) -> Outcome {
        self.change_acl(folder, identifier, change).await?;
        Ok(Reply::ok("Rights set"))
    }

    /// DELETEACL, RFC 4314 §3.2.
    pub(super) async fn delete_acl(&mut self, folder: &FolderName, identifier: &str) -> Outcome {
        self.change_acl(folder, identifier, RightsChange::Replace(Letters::default())).await?;
        Ok(Reply::ok("Rights taken away"))
    }

    async fn change_acl(&mut self, folder: &FolderName, identifier: &str, change: RightsChange) -> Result<(), Stop> {
        let place = self.managed(folder)?;
        if !place.is_whole_mailbox() {
            let text = "Rights are the whole mailbox's: set them on its INBOX";
            return Err(Reply::no(Some(Code::Cannot), text).into());
        }
        let who = self.grantee(identifier)?;
        let account = place.mailbox.account();
        if who == Grantee::Mailbox(account) {
            return Err(Reply::no(Some(Code::Cannot), "The mailbox's holder has every right").into());
        }
        if is_in_vain(change, self.account_of(&place)?.granted_to(&who, super::append::now())) {
            let text = "Nothing of this can be given alone: LISTRIGHTS tells which rights go together, and lr goes before them";
            return Err(Reply::no(Some(Code::Cannot), text).into());
        }
        let registry = self.services.registry.acting_for(Arc::clone(self.user()?.asker()));
        registry.change_grant(account, &who, |held| rights(change.apply(letters(held)))).await?;
        tracing::info!(%account, by = %self.user()?.ticket.login().account, "access list changed");
        Ok(())
    }

    /// A folder whose mailbox's access list the user may see and change.
    fn managed(&self, folder: &FolderName) -> Result<Place, Stop> {
        let place = self.place(folder)?;
        is_there(&place)?;
        place.needs(Right::Manage)?;
        Ok(place)
    }

    fn account_of(&self, place: &Place) -> Result<Account, Stop> {
        let account = self.services.registry.by_id(place.mailbox.account())?;
        Ok(account.ok_or(AccountError::NoAccount)?)
    }

    /// Whom an identifier means.
    fn grantee(&self, identifier: &str) -> Result<Grantee, Stop> {
        let no = |code, text: &'static str| Err(Reply::no(Some(code), text).into());
        // RFC 4314 §2: a dash would take rights away from somebody, and "anyone" is everybody.
        if identifier.starts_with('-') || NOBODY_HERE.contains(&identifier) {
            return no(
                Code::Cannot,
                "Rights are given to a person by national id, or to a mailbox's holder by address",
            );
        }
        if !identifier.contains('@') {
            return Ok(Grantee::Person(identifier.to_owned()));
        }
        let Ok(address) = Address::parse(identifier) else {
            return no(Code::Cannot, "This is no mail address");
        };
        match self.services.registry.by_address(&address)? {
            Some(account) => Ok(Grantee::Mailbox(account.id)),
            None => no(Code::NonExistent, "There is no such mailbox here"),
        }
    }
}

/// Refuses a folder that is not there.
fn is_there(place: &Place) -> Result<(), Stop> {
    if place.root.is_some() && place.is_whole_mailbox() {
        return Ok(());
    }
    match place.mailbox.check_selectable(place.folder()?) {
        Err(MailError::NotSelectable) => Ok(()),
        outcome => place.said(outcome),
    }
}

fn put_letters(out: &mut Vec<u8>, letters: Letters) {
    out.push(b' ');
    match letters.to_string().as_str() {
        "" => out.extend_from_slice(b"\"\""),
        letters => out.extend_from_slice(letters.as_bytes()),
    }
}

/// The letters that stand for a right, tied together.
fn tied(right: Right) -> Letters {
    let text = match right {
        Right::Read => "lr",
        Right::Write => "swikxte",
        Right::Send => "p",
        Right::Manage => "a",
    };
    Letters::parse(text).unwrap_or_default()
}

/// The letters of rights.
fn letters(rights: Rights) -> Letters {
    rights.iter().map(tied).fold(Letters::default(), Letters::with)
}

/// The rights that letters give. RFC 4314 §2: of tied rights all are given or none; and nobody writes or manages who was
/// not given to read.
fn rights(given: Letters) -> Rights {
    let reads = given.has_all(tied(Right::Read));
    let is_given = |right: &Right| given.has_all(tied(*right)) && (reads || *right == Right::Send);
    Right::ALL.into_iter().filter(is_given).collect()
}

/// Whether of the letters that are asked for not one is given. RFC 4314 §2 has a part of tied rights passed over, so that
/// `lrs` gives what `lr` does; but where nothing is left an OK would be a lie.
fn is_in_vain(change: RightsChange, held: Rights) -> bool {
    let (RightsChange::Replace(asked) | RightsChange::Add(asked)) = change else { return false };
    let given = letters(rights(change.apply(letters(held))));
    asked != Letters::default() && asked.without(given) == asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_give_nothing_of_what_is_asked_for_is_in_vain() {
        let letters = |text: &str| Letters::parse(text).unwrap();
        let read: Rights = [Right::Read].into_iter().collect();
        let both: Rights = [Right::Read, Right::Write].into_iter().collect();
        for (change, held, in_vain) in [
            (RightsChange::Add(letters("w")), read, true),
            (RightsChange::Add(letters("w")), both, false),
            (RightsChange::Add(letters("swikxte")), read, false),
            (RightsChange::Add(letters("swikxte")), Rights::NONE, true),
            (RightsChange::Add(letters("")), read, false),
            (RightsChange::Replace(letters("lrs")), Rights::NONE, false),
            (RightsChange::Replace(letters("w")), both, true),
            (RightsChange::Replace(letters("")), both, false),
            (RightsChange::Remove(letters("w")), both, false),
        ] {
            assert_eq!(is_in_vain(change, held), in_vain, "{change:?} of {held}");
        }
    }

    #[test]
    fn rights_are_given_whole_or_not_at_all() {
        for (asked, shown) in [
            ("lr", "read"),
            ("lrs", "read"),
            ("lrswipkxte", "read, write, send"),
            ("lrswipcda", "read, write, send, manage"),
            ("swikxte", ""),
            ("a", ""),
            ("p", "send"),
            ("l", ""),
            ("", ""),
        ] {
            assert_eq!(rights(Letters::parse(asked).unwrap()).to_string(), shown, "{asked}");
        }
    }

    #[test]
    fn what_rights_are_shown_as_gives_the_same_rights() {
        for bits in 0..16u8 {
            let some: Rights =
                Right::ALL.into_iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, r)| r).collect();
            assert_eq!(rights(letters(some)), some);
            assert_eq!(rights(Letters::parse(&letters(some).to_string()).unwrap()), some);
        }
    }

    #[test]
    fn each_letter_is_of_one_right() {
        let all = Right::ALL.into_iter().map(|right| tied(right).to_string()).collect::<String>();
        let mut letters: Vec<char> = all.chars().collect();
        letters.sort_unstable();
        assert_eq!(letters.into_iter().collect::<String>(), "acdeiklprstwx");
    }
}
