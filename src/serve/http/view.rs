//! A mailbox as the API shows it.

use super::access::shown_grant;
use super::convert::{shown_holder, shown_pace};
use super::errors::{of_account, of_mail};
use super::handling::{shown_absence, shown_forward};
use super::message_flags::date;
use super::problem::Problem;
use super::types::Mailbox;
use crate::accounts::{Account, Registry, day_of};
use crate::mail::{MailError, MailRoom, QuotaUse};
use crate::store::CredentialKind;

/// Puts together what the registry and the mail room know of a mailbox. Reads some records: not for an async thread.
pub(super) fn mailbox(registry: &Registry, room: &MailRoom, account: Account) -> Result<Mailbox, Problem> {
    let quota = match room.open_any(account.id).and_then(|mailbox| mailbox.quota()) {
        Ok(quota) => quota,
        // Of a closed mailbox there is nothing left; of one whose key is damaged the rest is shown all the same.
        Err(MailError::Closed | MailError::Sealed(_)) => {
            QuotaUse { bytes: 0, messages: 0, limit: account.data.quota, domain_left: None }
        }
        Err(problem) => return Err(of_mail(problem)),
    };
    let credentials = registry.credentials(account.id).map_err(of_account)?;
    let count = |is_it: fn(&CredentialKind) -> bool| credentials.iter().filter(|(_, each)| is_it(&each.kind)).count();
    let passwords = count(|kind| matches!(kind, CredentialKind::Password { .. }));
    let devices = count(|kind| matches!(kind, CredentialKind::Device { .. }));
    let stage = account.stage().name().to_owned();
    let terms_owed = registry.terms_owed(&account).map_err(of_account)?.map(|terms| terms.head.version);
    let data = account.data;
    let address_of = |id| {
        let account = registry.by_id(id).map_err(of_account)?;
        Ok(account.map(|account| account.address.to_string()))
    };
    let access_list = data.access_list.into_iter().map(|grant| shown_grant(grant, address_of));
    Ok(Mailbox {
        id: account.id.0,
        address: account.address.to_string(),
        kind: account.kind.code().to_owned(),
        state: account.state.name().to_owned(),
        stage,
        closing_on: data.closing.map(|closing| day_of(closing.on).to_string()),
        terms_version: data.terms_version,
        terms_accepted_at: data.terms_accepted_at.map(date),
        terms_accepted_by: data.terms_accepted_by,
        terms_owed,
        test: data.test,
        restricted: data.restricted,
        holder: shown_holder(data.holder),
        access_list: access_list.collect::<Result<_, Problem>>()?,
        red_list: data.red_list,
        zero_paper: data.zero_paper,
        save_sent: data.save_sent,
        forward: data.forward.map(shown_forward),
        absence: data.absence.map(shown_absence),
        comment: data.comment,
        state_reason: data.state_reason,
        quota: quota.limit,
        used_bytes: quota.bytes,
        used_messages: quota.messages,
        allow_password: data.allow_password,
        has_password: passwords > 0,
        certificates: (credentials.len() - passwords - devices) as u64,
        notification_address: data.notification_address,
        new_mail_notices: data.new_mail_notices.map(shown_pace),
        notices_refused: data.notice_bounce.map(|bounce| bounce.status),
        created_at: Some(date(data.created_at)),
        state_changed_at: Some(date(data.state_changed_at)),
        last_login_at: data.last_login_at.map(date),
    })
}
