//! From requests to what the accounts room takes.

use super::access::grants;
use super::errors::sentence;
use super::mailboxes::{parse_address, parse_kind};
use super::problem::Problem;
use super::{handling, types};
use crate::accounts::{Account, AccountChange, NewMailbox, Registry};
use crate::mss::Address;
use crate::store::{Holder, NewMailPace};

pub(super) fn new_mailbox(new: types::NewMailbox, registry: &Registry) -> Result<NewMailbox, Problem> {
    let address = parse_address(&new.address)?;
    let kind = parse_kind(&new.kind, "kind")?;
    if let Some(notices) = &new.notification_address {
        check_notices(notices)?;
    }
    Ok(NewMailbox {
        test: new.test,
        restricted: new.restricted,
        red_list: new.red_list,
        zero_paper: new.zero_paper,
        save_sent: new.save_sent,
        access_list: grants(new.access_list, registry)?,
        notification_address: new.notification_address,
        quota: new.quota,
        allow_password: new.allow_password,
        comment: new.comment,
        ..NewMailbox::new(address, kind, holder(new.holder))
    })
}

pub(super) fn change(
    change: types::MailboxChange,
    account: &Account,
    registry: &Registry,
) -> Result<AccountChange, Problem> {
    if let Some(Some(notices)) = &change.notification_address {
        check_notices(notices)?;
    }
    Ok(AccountChange {
        test: change.test,
        restricted: change.restricted,
        red_list: change.red_list,
        zero_paper: change.zero_paper,
        holder: (!change.holder.is_empty()).then(|| changed_holder(account.data.holder.clone(), change.holder)),
        access_list: change.access_list.map(|list| grants(list, registry)).transpose()?,
        notification_address: change.notification_address,
        new_mail_notices: change
            .new_mail_notices
            .map(|pace| pace.map(|pace| parse_pace(&pace)).transpose())
            .transpose()?,
        quota: change.quota,
        allow_password: change.allow_password,
        save_sent: change.save_sent,
        comment: change.comment,
        forward: change.forward.map(|wanted| wanted.map(|wanted| handling::forward(wanted, account))),
        absence: change.absence.map(|wanted| wanted.map(handling::absence).transpose()).transpose()?,
    })
}

/// How often a holder is told of new messages, by name.
const PACES: [(&str, NewMailPace); 4] = [
    ("at-once", NewMailPace::AtOnce),
    ("hourly", NewMailPace::Hourly),
    ("daily", NewMailPace::Daily),
    ("none", NewMailPace::None),
];

fn parse_pace(text: &str) -> Result<NewMailPace, Problem> {
    let found = PACES.iter().find(|(name, _)| *name == text).map(|(_, pace)| *pace);
    found.ok_or_else(|| Problem::field("new_mail_notices", "Expected at-once, hourly, daily or none."))
}

/// The name of a pace.
pub(super) fn shown_pace(pace: NewMailPace) -> String {
    PACES.iter().find(|(_, each)| *each == pace).map_or("", |(name, _)| *name).to_owned()
}

fn check_notices(address: &str) -> Result<(), Problem> {
    let checked = Address::parse(address).map_err(|problem| Problem::field("notification_address", sentence(&problem)));
    checked.map(drop)
}

fn holder(holder: types::Holder) -> Holder {
    Holder {
        title: holder.title,
        first_name: holder.first_name,
        last_name: holder.last_name,
        national_id: holder.national_id,
        structure_id: holder.structure_id,
        entity: holder.entity,
        service: holder.service,
        label: holder.label,
        profession: holder.profession,
        speciality: holder.speciality,
        responsible: holder.responsible,
        activity_id: holder.activity_id,
    }
}

fn changed_holder(mut holder: Holder, change: types::HolderChange) -> Holder {
    let fields = [
        (&mut holder.title, change.title),
        (&mut holder.first_name, change.first_name),
        (&mut holder.last_name, change.last_name),
        (&mut holder.national_id, change.national_id),
        (&mut holder.structure_id, change.structure_id),
        (&mut holder.entity, change.entity),
        (&mut holder.service, change.service),
        (&mut holder.label, change.label),
        (&mut holder.profession, change.profession),
        (&mut holder.speciality, change.speciality),
        (&mut holder.responsible, change.responsible),
        (&mut holder.activity_id, change.activity_id),
    ];
    for (field, change) in fields {
        if let Some(value) = change {
            *field = value;
        }
    }
    holder
}

/// A record's holder as the API shows it.
pub(super) fn shown_holder(holder: Holder) -> types::Holder {
    types::Holder {
        title: holder.title,
        first_name: holder.first_name,
        last_name: holder.last_name,
        national_id: holder.national_id,
        structure_id: holder.structure_id,
        entity: holder.entity,
        service: holder.service,
        label: holder.label,
        profession: holder.profession,
        speciality: holder.speciality,
        responsible: holder.responsible,
        activity_id: holder.activity_id,
    }
}
