//! GETQUOTA and GETQUOTAROOT, RFC 9208 (and RFC 2087): one root for each mailbox, the own one's is `""`.

use super::place::Place;
use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use crate::mail::QuotaUse;
use crate::wire::imap::command::FolderName;
use crate::wire::imap::response::{self, Code, decimal};

impl Session {
    /// GETQUOTA.
    pub(super) fn get_quota(&mut self, root: &str) -> Outcome {
        // A root's name leads to its mailbox.
        let place = self.place(&FolderName::new(root))?;
        if place.root.as_deref().unwrap_or_default() != root {
            return Err(Reply::no(Some(Code::NonExistent), "There is no such quota root").into());
        }
        self.tell_quota(&place)?;
        Ok(Reply::ok("Told"))
    }

    /// GETQUOTAROOT; a folder that is not there would have the same root (RFC 9208 §4.1.3).
    pub(super) fn get_quota_root(&mut self, folder: &FolderName) -> Outcome {
        let place = self.place(folder)?;
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* QUOTAROOT ");
        response::folder_name(out, folder);
        out.push(b' ');
        response::folder(out, place.root.as_deref().unwrap_or_default());
        out.extend_from_slice(b"\r\n");
        self.tell_quota(&place)?;
        Ok(Reply::ok("Told"))
    }

    /// Writes `* QUOTA root (STORAGE used limit)`, in units of 1024 bytes; the limit is what the domain leaves, where that is less.
    fn tell_quota(&mut self, place: &Place) -> Result<(), Stop> {
        let quota: QuotaUse = place.said(place.mailbox.quota())?;
        let (bytes, limit) = (quota.bytes, quota.effective());
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* QUOTA ");
        response::folder(out, place.root.as_deref().unwrap_or_default());
        out.extend_from_slice(b" (");
        if let Some(limit) = limit {
            out.extend_from_slice(b"STORAGE ");
            decimal(out, bytes.div_ceil(1024));
            out.push(b' ');
            decimal(out, limit / 1024);
        }
        out.extend_from_slice(b")\r\n");
        Ok(())
    }
}
