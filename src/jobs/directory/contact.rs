//! A mailbox as a `telecom` of the directory (MSSanté §9), written and read.

use serde_json::{Map, Value, json};

use crate::accounts::publication::{Image, kind_of};
use crate::config::directory::TypeAs;

const EMAIL_TYPE: &str = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type";
const EMAIL_TYPES: &str = "https://mos.esante.gouv.fr/NOS/TRE_R256-TypeMessagerie/FHIR/TRE-R256-TypeMessagerie";
const METADATA: &str =
    "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata";
const KINDS: &str = "https://mos.esante.gouv.fr/NOS/TRE_R257-TypeBAL/FHIR/TRE-R257-TypeBAL";

/// What a `telecom` says of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The address.
    pub address: String,
    /// `PER`, `ORG`, `APP`, `CAB`.
    pub kind: Option<String>,
    /// Not shown to others (liste rouge).
    pub red_list: bool,
    /// Electronic delivery in place of paper (dématérialisation).
    pub zero_paper: bool,
    /// What it is for.
    pub description: Option<String>,
    /// The service within the structure.
    pub service: Option<String>,
    /// Who answers for it.
    pub responsible: Option<String>,
}

/// Reads a `telecom`; none where it is no mailbox of the trust space's.
pub fn listed(contact: &Value) -> Option<Listed> {
    let metadata = extension(contact, METADATA);
    let email_type = extension(contact, EMAIL_TYPE);
    let is_mssante = email_type.and_then(code).is_some_and(|code| code == "MSSANTE");
    if contact["system"] != "email" || (metadata.is_none() && !is_mssante) {
        return None;
    }
    let part = |name: &str| metadata.and_then(|metadata| extension(metadata, name));
    let text = |name: &str| part(name).and_then(|part| part["valueString"].as_str()).map(str::to_owned);
    let flag = |name: &str| part(name).and_then(|part| part["valueBoolean"].as_bool()).unwrap_or(false);
    Some(Listed {
        address: contact["value"].as_str()?.to_owned(),
        kind: part("type").and_then(code).map(str::to_owned),
        red_list: flag("listeRouge"),
        zero_paper: flag("digitization"),
        description: text("description"),
        service: text("service"),
        responsible: text("responsible"),
    })
}

/// The `telecom` that says what the directory should show. What was there before keeps its rank, and what we know nothing of.
pub fn written(image: &Image, before: Option<&Value>, type_as: TypeAs) -> Value {
    let mut contact = before.and_then(Value::as_object).cloned().unwrap_or_default();
    let is_ours = |extension: &Value| extension["url"] == METADATA || extension["url"] == EMAIL_TYPE;
    let kept = contact.get("extension").and_then(Value::as_array).into_iter().flatten();
    let kept: Vec<Value> = kept.filter(|extension| !is_ours(extension)).cloned().collect();
    let unknown = before.and_then(|before| extension(before, METADATA)).map(unknown_parts).unwrap_or_default();
    let email_type = json!({ "url": EMAIL_TYPE, "valueCoding": { "system": EMAIL_TYPES, "code": "MSSANTE" } });
    let metadata =
        json!({ "url": METADATA, "extension": parts(image, type_as).chain(unknown).collect::<Vec<Value>>() });
    let extensions: Vec<Value> = [email_type, metadata].into_iter().chain(kept).collect();
    let mut put = |name: &str, value: Value| drop(Map::insert(&mut contact, name.to_owned(), value));
    put("system", json!("email"));
    put("value", json!(image.address));
    put("extension", json!(extensions));
    Value::Object(contact)
}

/// What the directory shows otherwise than it should, by the names of the rules.
pub fn differences(listed: &Listed, image: &Image) -> Vec<&'static str> {
    let kind = kind_of(image).code();
    let pairs = [
        ("address", listed.address != image.address),
        ("type", listed.kind.as_deref() != Some(kind)),
        ("listeRouge", listed.red_list != image.red_list),
        ("digitization", listed.zero_paper != image.zero_paper),
        ("description", listed.description != image.description),
        ("service", listed.service != image.service),
        ("responsible", listed.responsible != image.responsible),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// The parts of the metadata.
fn parts(image: &Image, type_as: TypeAs) -> impl Iterator<Item = Value> {
    let kind = kind_of(image).code();
    let kind = match type_as {
        TypeAs::CodeableConcept => {
            json!({ "url": "type", "valueCodeableConcept": { "coding": [{ "system": KINDS, "code": kind }] } })
        }
        TypeAs::Code => json!({ "url": "type", "valueCode": kind }),
    };
    let text =
        |name: &str, value: &Option<String>| value.as_ref().map(|value| json!({ "url": name, "valueString": value }));
    let texts = [
        text("description", &image.description),
        text("responsible", &image.responsible),
        text("service", &image.service),
    ];
    let flag = |name: &str, value: bool| json!({ "url": name, "valueBoolean": value });
    let flags = [flag("digitization", image.zero_paper), flag("listeRouge", image.red_list)];
    [kind].into_iter().chain(texts.into_iter().flatten()).chain(flags)
}

/// Parts of somebody's metadata that we do not write: a telephone number, say.
fn unknown_parts(metadata: &Value) -> Vec<Value> {
    const OURS: [&str; 6] = ["type", "description", "responsible", "service", "digitization", "listeRouge"];
    let parts = metadata["extension"].as_array().into_iter().flatten();
    parts.filter(|part| !OURS.iter().any(|url| part["url"] == *url)).cloned().collect()
}

fn extension<'v>(of: &'v Value, url: &str) -> Option<&'v Value> {
    of["extension"].as_array()?.iter().find(|extension| extension["url"] == url)
}

/// The code of an extension, in whichever form: the directory's draft shows several (MSSanté §9).
fn code(extension: &Value) -> Option<&str> {
    let coded = extension["valueCode"].as_str().or_else(|| extension["valueCoding"]["code"].as_str());
    coded.or_else(|| extension["valueCodeableConcept"]["coding"][0]["code"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::publication::Place;

    fn image() -> Image {
        let text = |text: &str| Some(text.to_owned());
        Image {
            place: Place::default(),
            address: "secretariat@aura.example".into(),
            red_list: true,
            description: text("Secrétariat"),
            service: text("Cardiologie"),
            responsible: text("810000000001"),
            ..Image::default()
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was_in_both_forms_of_the_draft() {
        for type_as in [TypeAs::CodeableConcept, TypeAs::Code] {
            let contact = written(&image(), None, type_as);
            let listed = listed(&contact).unwrap();
            assert_eq!(differences(&listed, &image()), [""; 0], "{contact}");
            assert_eq!(listed.kind.as_deref(), Some("PER"));
            let other = Image { zero_paper: true, service: None, ..image() };
            assert_eq!(differences(&listed, &other), ["digitization", "service"]);
        }
    }

    #[test]
    fn a_published_contact_of_the_directory_is_read() {
        // As the implementation guide prints it, with the kind in both forms.
        for kind in [
            json!({ "url": "type", "valueCode": "ORG" }),
            json!({ "url": "type", "valueCodeableConcept": { "coding": [{ "system": KINDS, "code": "ORG" }] } }),
        ] {
            let contact = json!({
                "extension": [
                    { "url": METADATA, "extension": [
                        kind,
                        { "url": "description", "valueString": "BAL principale de la structure" },
                        { "url": "digitization", "valueBoolean": true },
                        { "url": "listeRouge", "valueBoolean": false },
                    ]},
                ],
                "system": "email",
                "value": "structure@domain.mssante.fr",
                "rank": 1,
            });
            let read = listed(&contact).unwrap();
            assert_eq!((read.kind.as_deref(), read.zero_paper, read.red_list), (Some("ORG"), true, false));
            assert_eq!(read.description.as_deref(), Some("BAL principale de la structure"));
        }
    }

    #[test]
    fn a_telephone_number_or_ordinary_mail_is_no_mailbox() {
        assert_eq!(listed(&json!({ "system": "phone", "value": "04 00 00 00 00" })), None);
        assert_eq!(listed(&json!({ "system": "email", "value": "a@courriel.example" })), None);
        let bare = json!({ "system": "email", "value": "a@aura.example", "extension": [
            { "url": EMAIL_TYPE, "valueCoding": { "system": EMAIL_TYPES, "code": "MSSANTE" } },
        ]});
        assert_eq!(listed(&bare).unwrap().address, "a@aura.example");
    }

    #[test]
    fn what_others_wrote_beside_ours_stays() {
        let mut before = written(&image(), None, TypeAs::Code);
        before["rank"] = json!(1);
        before["extension"][1]["extension"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "url": "phone", "valueString": "04" }));
        before["extension"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "url": "https://autre.example", "valueBoolean": true }));
        let after = written(&Image { red_list: false, ..image() }, Some(&before), TypeAs::Code);
        assert_eq!(after["rank"], 1);
        let text = after.to_string();
        assert!(text.contains("\"phone\"") && text.contains("autre.example"), "{text}");
        assert_eq!(text.matches("listeRouge").count(), 1, "{text}");
        assert!(!listed(&after).unwrap().red_list);
    }
}
