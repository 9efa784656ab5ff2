//! The public extraction, made from what the look-alike knows: one line a mailbox, without the red list (MSSanté §9).

use serde_json::Value;
use std::io::{self, Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// National ids of persons, and of structures.
const PERSONS: &str = "urn:oid:1.2.250.1.71.4.2.1";
const STRUCTURES: &str = "urn:oid:1.2.250.1.71.4.2.2";

/// What is said of a mailbox.
const METADATA: &str =
    "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata";

/// The text's name in the archive.
const NAME: &str = "Extraction_Correspondance_MSSante_202601010000.txt";

/// The first line.
const HEADER: &str = "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|\
    Type identifiant structure|Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|\
    Prénom d'exercice|Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|\
    Code savoir-faire|Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|\
    Enseigne commerciale structure BAL|L2COMPLEMENTLOCALISATION structure BAL|L3COMPLEMENTDISTRIBUTION structure BAL|\
    L4NUMEROVOIE structure BAL|L4COMPLEMENTNUMEROVOIE structure BAL|NL4TYPEVOIE structure BAL|\
    L4LIBELLEVOIE structure BAL|L5LIEUDITMENTION structure BAL|L6LIGNEACHEMINEMENT structure BAL|\
    Code postal structure BAL|Département structure BAL|Pays structure BAL\n";

/// The archive.
pub(super) fn archive(text: &str) -> io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file(NAME, options)?;
    zip.write_all(text.as_bytes())?;
    Ok(zip.finish()?.into_inner())
}

/// Its text.
pub(super) fn text(resources: &[Value]) -> String {
    let mut text = HEADER.to_owned();
    for resource in resources {
        let contacts = resource["telecom"].as_array().into_iter().flatten().filter_map(listed);
        // The real one has no applications and no practices either.
        let shown = contacts.filter(|listed| !listed.red_list && matches!(listed.kind.as_str(), "PER" | "ORG"));
        for listed in shown {
            let person = person(resource, resources).unwrap_or(&Value::Null);
            let structure = if resource["resourceType"] == "Organization" { resource } else { &Value::Null };
            text.push_str(
                &columns(&listed, person, structure).map(|column| column.replace(['|', '\n', '\r'], " ")).join("|"),
            );
            text.push('\n');
        }
    }
    text
}

/// A mailbox's columns, by their order in [`HEADER`].
fn columns<'v>(listed: &'v Listed, person: &'v Value, structure: &'v Value) -> [String; 31] {
    let text = |value: &'v Value| value.as_str().unwrap_or_default();
    let national = identifier(person, PERSONS).unwrap_or_default();
    let (kind_of_person, own) = national.split_at_checked(1).unwrap_or_default();
    let structure_id = identifier(structure, STRUCTURES).unwrap_or_default();
    let (name, address) = (&person["name"][0], &structure["address"][0]);
    let (postcode, town) = (text(&address["postalCode"]), text(&address["city"]));
    let last_line = [postcode, town].join(" ");
    let mut columns = [""; 31];
    (columns[0], columns[1]) = (&listed.kind, &listed.address);
    (columns[2], columns[3], columns[4]) = (kind_of_person, own, national);
    (columns[5], columns[6]) = (structure_id.get(..1).unwrap_or_default(), structure_id);
    columns[7] = &listed.service;
    (columns[8], columns[9], columns[10]) = (text(&name["prefix"][0]), text(&name["family"]), text(&name["given"][0]));
    columns[17] = if listed.zero_paper { "O" } else { "N" };
    (columns[18], columns[25]) = (text(&structure["name"]), text(&address["line"][0]));
    (columns[27], columns[28]) = (last_line.trim(), postcode);
    (columns[29], columns[30]) = (postcode.get(..2).unwrap_or_default(), if town.is_empty() { "" } else { "FRANCE" });
    columns.map(str::to_owned)
}

/// What a contact says of a mailbox. Read apart from the server's own reading, which it is there to try.
struct Listed {
    address: String,
    kind: String,
    service: String,
    zero_paper: bool,
    red_list: bool,
}

fn listed(contact: &Value) -> Option<Listed> {
    let extensions = |of: &Value| of["extension"].as_array().cloned().unwrap_or_default();
    let metadata = extensions(contact).into_iter().find(|extension| extension["url"] == METADATA)?;
    let part = |name: &str| extensions(&metadata).into_iter().find(|part| part["url"] == name).unwrap_or_default();
    let flag = |name: &str| part(name)["valueBoolean"].as_bool().unwrap_or_default();
    let kind = part("type");
    let kind = kind["valueCode"].as_str().or_else(|| kind["valueCodeableConcept"]["coding"][0]["code"].as_str());
    Some(Listed {
        address: contact["value"].as_str()?.to_owned(),
        kind: kind?.to_owned(),
        service: part("service")["valueString"].as_str().unwrap_or_default().to_owned(),
        zero_paper: flag("digitization"),
        red_list: flag("listeRouge"),
    })
}

/// Whose a resource is: a professional's activity is theirs.
fn person<'r>(resource: &'r Value, resources: &'r [Value]) -> Option<&'r Value> {
    match resource["resourceType"].as_str() {
        Some("Practitioner") => Some(resource),
        Some("PractitionerRole") => {
            let id = resource["practitioner"]["reference"].as_str()?.strip_prefix("Practitioner/")?;
            resources.iter().find(|one| one["resourceType"] == "Practitioner" && one["id"] == id)
        }
        _ => None,
    }
}

fn identifier<'r>(resource: &'r Value, system: &str) -> Option<&'r str> {
    let mut all = resource["identifier"].as_array()?.iter();
    let found = all.find(|one| one["system"] == system);
    found.and_then(|one| one["value"].as_str())
}
