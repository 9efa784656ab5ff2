//! GETQUOTA and GETQUOTAROOT, RFC 9208 (and RFC 2087): one root, for the whole mailbox.

use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use crate::mail::QuotaUse;
use crate::wire::imap::command::FolderName;
use crate::wire::imap::response::{self, Code, decimal};

impl Session {
    /// GETQUOTA.
    pub(super) fn get_quota(&mut self, root: &str) -> Outcome {
        if !root.is_empty() {
            return Err(Reply::no(Some(Code::NonExistent), "There is one quota root, \"\"").into());
        }
        self.tell_quota()?;
        Ok(Reply::ok("Told"))
    }

    /// GETQUOTAROOT; a folder that is not there would have the same root (RFC 9208 §4.1.3).
    pub(super) fn get_quota_root(&mut self, folder: &FolderName) -> Outcome {
        self.mailbox()?;
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* QUOTAROOT ");
        response::folder_name(out, folder);
        out.extend_from_slice(b" \"\"\r\n");
        self.tell_quota()?;
        Ok(Reply::ok("Told"))
    }

    /// Writes `* QUOTA "" (STORAGE used limit)`, in units of 1024 bytes.
    fn tell_quota(&mut self) -> Result<(), Stop> {
        let QuotaUse { bytes, limit, .. } = self.mailbox()?.quota()?;
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* QUOTA \"\" (");
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
