//! What a resource of the directory (FHIR R4) says of mailboxes, as others may know it.

use serde_json::Value;

use super::contact::listed;
use super::copy::Entry;

/// The types of resources that have mailboxes.
pub(super) const PROFESSIONAL: &str = "Practitioner";
pub(super) const ACTIVITY: &str = "PractitionerRole";
pub(super) const STRUCTURE: &str = "Organization";

/// A resource's mailboxes; `page` has what came along with it. Who is on the red list is not shown to others.
pub(super) fn entries(resource: &Value, page: &[Value]) -> Vec<Entry> {
    let holder = holder(resource, page);
    let contacts = resource["telecom"].as_array().into_iter().flatten();
    let shown = contacts.filter_map(listed).filter(|listed| !listed.red_list);
    shown
        .map(|listed| Entry {
            address: listed.address,
            kind: listed.kind.unwrap_or_default(),
            service: listed.service.unwrap_or_default(),
            description: listed.description.unwrap_or_default(),
            zero_paper: listed.zero_paper,
            ..holder.clone()
        })
        .collect()
}

/// The name that a professional goes by in an activity, where it is another one.
pub(super) const NAME_OF_ACTIVITY: &str =
    "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-practitionerrole-name";

/// Whose contacts a resource's are; an activity's are those of the professional, who stands on the same page.
fn holder(resource: &Value, page: &[Value]) -> Entry {
    match resource["resourceType"].as_str() {
        Some(PROFESSIONAL) => professional(resource, &resource["name"][0]),
        Some(ACTIVITY) => {
            let reference = resource["practitioner"]["reference"].as_str().unwrap_or_default();
            let id = reference.rsplit_once("Practitioner/").map(|(_, id)| id);
            let is_its = |one: &&Value| one["resourceType"] == PROFESSIONAL && id.is_some_and(|id| one["id"] == id);
            let person = page.iter().find(is_its).unwrap_or(&Value::Null);
            let mut extensions = resource["extension"].as_array().into_iter().flatten();
            let named = extensions.find(|extension| extension["url"] == NAME_OF_ACTIVITY);
            professional(person, named.map_or(&person["name"][0], |extension| &extension["valueHumanName"]))
        }
        Some(STRUCTURE) => structure(resource),
        _ => Entry::default(),
    }
}

fn professional(person: &Value, name: &Value) -> Entry {
    Entry {
        national_id: identifier(person, "1.2.250.1.71.4.2.1"),
        title: text(if name["suffix"][0].is_string() { &name["suffix"][0] } else { &name["prefix"][0] }),
        last_name: text(&name["family"]),
        first_name: text(&name["given"][0]),
        ..Entry::default()
    }
}

fn structure(resource: &Value) -> Entry {
    let address = &resource["address"][0];
    let lines = address["line"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Entry {
        structure_id: identifier(resource, "1.2.250.1.71.4.2.2"),
        structure: text(&resource["name"]),
        street: lines.collect::<Vec<_>>().join(", "),
        postcode: text(&address["postalCode"]),
        town: text(&address["city"]),
        ..Entry::default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The identifier whose system ends so.
fn identifier(resource: &Value, ends: &str) -> String {
    let mut all = resource["identifier"].as_array().into_iter().flatten();
    let found = all.find(|one| one["system"].as_str().is_some_and(|system| system.ends_with(ends)));
    found.map(|one| text(&one["value"])).unwrap_or_default()
}
