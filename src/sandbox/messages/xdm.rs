//! `IHE_XDM.zip` with a CDA document in it (section 7 of the rules): the way documents travel in the trust space.

use super::Patient;
use std::io::{self, Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The LOINC code of the document: a consultation note. Also the value of `X-MSS-CODECDA`.
pub(super) const CODE: &str = "11488-4";
/// Its label in French, as in the subject.
pub(super) const LABEL: &str = "CR de consultation";

/// Who wrote the document: display name, national identifier, structure identifier and name.
pub(super) struct Author<'a> {
    pub(super) first: &'a str,
    pub(super) last: &'a str,
    pub(super) person: &'a str,
    pub(super) structure: &'a str,
    pub(super) organisation: &'a str,
}

/// The archive. `day` is `YYYYMMDD`.
pub(super) fn archive(author: &Author<'_>, patient: &Patient, day: &str) -> io::Result<Vec<u8>> {
    let document = cda(author, patient, day);
    let files = [
        ("INDEX.HTM", index(patient)),
        ("README.TXT", README.replace('\n', "\r\n")),
        ("IHE_XDM/SUBSET01/DOC0001.XML", document.clone()),
        ("IHE_XDM/SUBSET01/METADATA.XML", metadata(author, patient, day, document.len())),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // Documents are small, and a stored entry needs no compression library in the server's dependency tree.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, text) in files {
        zip.start_file(name, options)?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

const README: &str = "Archive IHE XDM fabriquée par le bac à sable de Caducée.
Toutes les personnes et structures citées sont inventées.
";

fn index(patient: &Patient) -> String {
    let Patient { first, last, .. } = patient;
    format!(
        "<!DOCTYPE html>\n<html lang=\"fr\"><head><meta charset=\"utf-8\"><title>IHE XDM</title></head>\n<body><h1>{LABEL}</h1>\n\
         <p>Patient&nbsp;: {last} {first}</p>\n<p><a href=\"IHE_XDM/SUBSET01/DOC0001.XML\">Document CDA</a></p></body></html>\n"
    )
}

/// A CDA R2 document, level 1 body as text: small, and well-formed for those who parse it.
fn cda(author: &Author<'_>, patient: &Patient, day: &str) -> String {
    let Author { first, last, person, structure, organisation } = author;
    let Patient { first: p_first, last: p_last, ins, birth, gender } = patient;
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <realmCode code="FR"/>
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <id root="2.999.1.1" extension="{day}-0001"/>
  <code code="{CODE}" displayName="{LABEL}" codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC"/>
  <title>Compte rendu de consultation</title>
  <effectiveTime value="{day}093000+0100"/>
  <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
  <languageCode code="fr-FR"/>
  <recordTarget>
    <patientRole>
      <id root="2.999.1.2" extension="{ins}"/>
      <patient>
        <name><given>{p_first}</given><family>{p_last}</family></name>
        <administrativeGenderCode code="{gender}" codeSystem="2.16.840.1.113883.5.1"/>
        <birthTime value="{birth}"/>
      </patient>
    </patientRole>
  </recordTarget>
  <author>
    <time value="{day}093000+0100"/>
    <assignedAuthor>
      <id root="1.2.250.1.71.4.2.1" extension="{person}"/>
      <assignedPerson><name><given>{first}</given><family>{last}</family></name></assignedPerson>
      <representedOrganization><id root="1.2.250.1.71.4.2.2" extension="{structure}"/><name>{organisation}</name></representedOrganization>
    </assignedAuthor>
  </author>
  <custodian><assignedCustodian><representedCustodianOrganization>
    <id root="1.2.250.1.71.4.2.2" extension="{structure}"/><name>{organisation}</name>
  </representedCustodianOrganization></assignedCustodian></custodian>
  <component><structuredBody><component><section>
    <title>Conclusion</title>
    <text>Patient d'essai. Auscultation sans particularité. Contrôle conseillé dans six mois.</text>
  </section></component></structuredBody></component>
</ClinicalDocument>
"#,
        organisation = xml(organisation),
    )
}

/// The XDS description of the archive's one document (ebRIM 3).
fn metadata(author: &Author<'_>, patient: &Patient, day: &str, size: usize) -> String {
    let Author { first, last, person, .. } = author;
    let ins = patient.ins;
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">
  <rim:RegistryObjectList>
    <rim:ExtrinsicObject id="Document01" mimeType="text/xml" objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1">
      <rim:Slot name="URI"><rim:ValueList><rim:Value>DOC0001.XML</rim:Value></rim:ValueList></rim:Slot>
      <rim:Slot name="creationTime"><rim:ValueList><rim:Value>{day}083000</rim:Value></rim:ValueList></rim:Slot>
      <rim:Slot name="languageCode"><rim:ValueList><rim:Value>fr-FR</rim:Value></rim:ValueList></rim:Slot>
      <rim:Slot name="size"><rim:ValueList><rim:Value>{size}</rim:Value></rim:ValueList></rim:Slot>
      <rim:Slot name="sourcePatientId"><rim:ValueList><rim:Value>{ins}^^^&amp;2.999.1.2&amp;ISO^NH</rim:Value></rim:ValueList></rim:Slot>
      <rim:Slot name="legalAuthenticator"><rim:ValueList><rim:Value>{person}^{last}^{first}</rim:Value></rim:ValueList></rim:Slot>
      <rim:Name><rim:LocalizedString xml:lang="FR" value="{LABEL}"/></rim:Name>
    </rim:ExtrinsicObject>
  </rim:RegistryObjectList>
</lcm:SubmitObjectsRequest>
"#
    )
}

/// A text as XML content.
fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
