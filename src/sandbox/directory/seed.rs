//! Whom the directory knows before anything is published: the professionals of the cast, their activities, their structures.

use crate::sandbox::cast::{self, Holder, Operator};
use crate::sandbox::pki::{Leaf, Pki, Subject};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// National ids of persons, and of structures (MSSanté §9).
const PERSONS: &str = "urn:oid:1.2.250.1.71.4.2.1";
const STRUCTURES: &str = "urn:oid:1.2.250.1.71.4.2.2";
/// RPPS numbers, and numbers of activities in the RPPS.
const RPPS: &str = "https://rpps.esante.gouv.fr";
const FINESS: &str = "https://finess.esante.gouv.fr";
const SIRET: &str = "https://sirene.fr";

/// All of them.
pub(super) fn resources(pki: &Pki, operators: &[Operator]) -> Vec<Value> {
    let mut resources = Vec::new();
    let mut known = BTreeSet::new();
    for operator in operators {
        let applications = operator.residents.iter().filter_map(|resident| resident.certificate);
        let subjects = applications.filter_map(|name| pki.leaf(name)).map(Leaf::subject);
        for subject in [&operator.subject].into_iter().chain(subjects) {
            if known.insert(subject.structure) {
                resources.push(organization(subject));
            }
        }
        for resident in &operator.residents {
            let Holder::Person { title, first, last, person } = resident.holder else { continue };
            resources.push(practitioner(title, first, last, person));
            resources.push(activity(person, operator.subject.structure));
        }
    }
    resources.extend(cast::guests().map(|guest| practitioner("", guest.first, guest.last, guest.person)));
    resources
}

/// The number of a professional's activity: in the RPPS it is one of its own; here it can be told from the person's.
fn activity_number(person: &str) -> String {
    format!("10{}", &person[person.len().saturating_sub(8)..])
}

fn practitioner(title: &str, first: &str, last: &str, person: &str) -> Value {
    let mut name = json!({ "use": "official", "family": last.to_uppercase(), "given": [first] });
    if !title.is_empty() {
        name["prefix"] = json!([title]);
    }
    json!({
        "resourceType": "Practitioner",
        "id": format!("003-{person}"),
        "active": true,
        "identifier": [
            { "use": "official", "system": PERSONS, "value": person },
            { "use": "official", "system": RPPS, "value": person.get(1..) },
        ],
        "name": [name],
    })
}

fn activity(person: &str, structure: &str) -> Value {
    let number = activity_number(person);
    json!({
        "resourceType": "PractitionerRole",
        "id": format!("005-{number}"),
        "active": true,
        "identifier": [{ "use": "official", "system": RPPS, "value": number }],
        "practitioner": { "reference": format!("Practitioner/003-{person}") },
        "organization": { "reference": format!("Organization/001-{structure}") },
    })
}

fn organization(subject: &Subject) -> Value {
    let structure = subject.structure;
    let own = match structure.split_at_checked(1) {
        Some(("1", number)) => Some((FINESS, number)),
        Some(("3", number)) => Some((SIRET, number)),
        _ => None,
    };
    let own = own.map(|(system, value)| json!({ "use": "official", "system": system, "value": value }));
    let national = json!({ "use": "official", "system": STRUCTURES, "value": structure });
    let identifiers: Vec<Value> = [national].into_iter().chain(own).collect();
    json!({
        "resourceType": "Organization",
        "id": format!("001-{structure}"),
        "active": true,
        "identifier": identifiers,
        "name": subject.organisation,
        "address": [{ "line": ["12 RUE DE L'ESSAI"], "postalCode": "69003", "city": "LYON" }],
    })
}
