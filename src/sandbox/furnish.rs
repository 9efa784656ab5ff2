//! Domains and mailboxes of an operator, made through its administration API as an administrator would make them.

use super::SandboxError;
use super::cast::{self, Guest, Holder, Operator, PASSWORD, Resident, Special, TINY_QUOTA};
use super::layout::{Layout, write_whole};
use super::pki::{Leaf, Pki};
use crate::cli::client::{Client, ClientError, path, query};
use crate::serve::http::types::{
    self, AccessGrant, Certificate, CloseRequest, CreatedMailbox, Domain, Domains, Mailbox, MailboxQuery, Mailboxes,
    NewCertificate, NewDomain, NewMailbox, PasswordChoice,
};
use hyper::Method;
use std::collections::BTreeSet;

/// Makes what is missing. What the sandbox's user has changed since the first start is left alone.
pub(super) async fn furnish(layout: &Layout, pki: &Pki, operator: &Operator) -> Result<(), SandboxError> {
    let failed = SandboxError::admin(operator.name);
    let mut client = Client::connect(&layout.path(operator.id).join("admin.sock")).await.map_err(&failed)?;
    let domains: Domains = client.get(&path(&["domains"])).await.map_err(&failed)?;
    if !domains.domains.iter().any(|domain| domain.name == operator.domain) {
        let new = NewDomain { name: operator.domain.to_owned(), description: operator.name.to_owned() };
        let _: Domain = client.send(Method::POST, &path(&["domains"]), &new).await.map_err(&failed)?;
    }
    let asked = MailboxQuery { limit: Some(1000), ..MailboxQuery::default() };
    let asked = path(&["mailboxes"]) + &query(&asked).map_err(&failed)?;
    let there: Mailboxes = client.get(&asked).await.map_err(&failed)?;
    let there: BTreeSet<String> = there.mailboxes.into_iter().map(|mailbox| mailbox.address).collect();
    // Left by a first start that was cut short: a mailbox may be there and not yet in its state.
    let mark = layout.path(operator.id).join("furnished");
    let first = !mark.exists();
    for resident in &operator.residents {
        let address = operator.address(resident);
        let new = !there.contains(&address);
        if new {
            let wanted = wanted(pki, operator, resident);
            let _: CreatedMailbox = client.send(Method::POST, &path(&["mailboxes"]), &wanted).await.map_err(&failed)?;
            bind_certificate(&mut client, resident, &address).await.map_err(&failed)?;
        }
        if new || first {
            put_in_state(&mut client, resident, &address).await.map_err(&failed)?;
        }
    }
    write_whole(&mark, b"", 0o600)
}

fn wanted(pki: &Pki, operator: &Operator, resident: &Resident) -> NewMailbox {
    let shared = matches!(resident.kind, "ORG" | "CAB");
    let grant = |r: &Resident| match r.holder {
        Holder::Person { person, .. } if r.special == Special::No && r.test == resident.test => {
            Some(AccessGrant { person: Some(person.to_owned()), name: r.holder.display(), ..AccessGrant::default() })
        }
        _ => None,
    };
    let address = operator.address(resident);
    let residents = operator.residents.iter().filter_map(grant);
    let works_there = |guest: &Guest| operator.id == "a" && guest.opens(operator).contains(&address);
    let guests = cast::guests().into_iter().filter(works_there).map(|guest| AccessGrant {
        person: Some(guest.person.to_owned()),
        name: guest.display(),
        rights: ["read", "write", "send"].map(str::to_owned).into(),
        ..AccessGrant::default()
    });
    NewMailbox {
        address: address.clone(),
        kind: resident.kind.to_owned(),
        test: resident.test,
        restricted: resident.special == Special::Restricted,
        holder: holder(pki, operator, resident),
        access_list: if shared { residents.chain(guests).collect() } else { Vec::new() },
        quota: (resident.special == Special::TinyQuota).then_some(TINY_QUOTA),
        allow_password: resident.password,
        password: resident.password.then(|| PasswordChoice::Set(PASSWORD.to_owned())),
        notification_address: Some(format!("{}@courriel.example", resident.local)),
        ..NewMailbox::default()
    }
}

fn holder(pki: &Pki, operator: &Operator, resident: &Resident) -> types::Holder {
    let owned = |text: &str| Some(text.to_owned());
    // An application's certificate carries the structure that the mailbox is bound to (MSSanté §4).
    let structure = resident.certificate.and_then(|name| pki.leaf(name)).map_or(&operator.subject, Leaf::subject);
    let mut holder = types::Holder {
        structure_id: owned(structure.structure),
        entity: owned(operator.name),
        ..types::Holder::default()
    };
    // What a structure's mailbox is for, and the professional who answers for it.
    let professional = match resident.holder {
        Holder::Person { .. } => Some(resident),
        Holder::Structure { label } => {
            holder.label = owned(label);
            operator.first("PER", resident.test)
        }
    };
    if let Some(Resident { holder: Holder::Person { title, first, last, person }, .. }) = professional {
        if matches!(resident.kind, "PER" | "CAB") {
            (holder.title, holder.first_name) = (owned(title), owned(first));
            (holder.last_name, holder.national_id) = (owned(last), owned(person));
        } else {
            holder.responsible = owned(person);
        }
    }
    holder
}

/// Whatever certificate carries the mailbox's structure opens it: the sandbox renews certificates and keeps names.
async fn bind_certificate(client: &mut Client, resident: &Resident, address: &str) -> Result<(), ClientError> {
    if resident.certificate.is_none() {
        return Ok(());
    }
    let new = NewCertificate { structure: true, label: Some(resident.holder.display()), ..NewCertificate::default() };
    let _: Certificate = client.send(Method::POST, &path(&["mailboxes", address, "certificates"]), &new).await?;
    Ok(())
}

async fn put_in_state(client: &mut Client, resident: &Resident, address: &str) -> Result<(), ClientError> {
    let mailbox: Mailbox = client.get(&path(&["mailboxes", address])).await?;
    match resident.special {
        Special::Suspended if mailbox.state == "open" => {
            client.order(Method::POST, &path(&["mailboxes", address, "suspend"])).await
        }
        Special::Closed if mailbox.state != "closed" => {
            let close = CloseRequest { confirm: address.to_owned(), reason: Some("bac à sable".to_owned()) };
            let _: serde_json::Value =
                client.send(Method::POST, &path(&["mailboxes", address, "close"]), &close).await?;
            Ok(())
        }
        _ => Ok(()),
    }
}
