//! The verified canonical bytes of a white list → its entries, read as a stream.

use std::collections::HashMap;
use std::sync::Arc;

use quick_xml::events::{BytesRef, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::{Entry, WhiteList, WhiteListError};
use crate::mss::{DistinguishedName, Domain};

/// The namespace of the white list's elements.
pub const NAMESPACE: &str = "https://listeblanche.mssante.fr/schema";

/// How deep elements may lie in each other; the list itself has four levels, its signature six.
pub(super) const MAX_DEPTH: u32 = 12;

/// An entry that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProblem {
    /// Its number in the list, from 1.
    pub entry: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads a list from the canonical bytes that its signature covers.
///
/// Elements that are not known are passed over with all that is in them: they were signed, and say nothing that we act on.
/// A second `ListeDomaines` or `DateDeGeneration` is refused, since nobody could say which one counts.
pub(super) fn parse(canonical: &[u8]) -> Result<WhiteList, WhiteListError> {
    let mut reader = ListReader::new(canonical)?;
    match reader.next()? {
        Piece::Start(name) if name == "ListeBlancheMSSante" => {}
        _ => return Err(xml("the root is not ListeBlancheMSSante")),
    }
    let mut generated_at = None;
    let mut domains = None;
    while let Some(name) = reader.next_child()? {
        match name.as_str() {
            "DateDeGeneration" if generated_at.is_none() => {
                let text = reader.text()?;
                generated_at = Some(parse_time(&text).ok_or_else(|| xml(format!("'{text}' is no DateDeGeneration")))?);
            }
            "ListeDomaines" if domains.is_none() => domains = Some(reader.domains()?),
            "DateDeGeneration" | "ListeDomaines" => return Err(xml(format!("there is a second {name}"))),
            _ => reader.skip()?,
        }
    }
    match reader.next()? {
        Piece::End => {}
        _ => return Err(xml("there is something behind the root")),
    }
    let generated_at = generated_at.ok_or_else(|| xml("there is no DateDeGeneration"))?;
    let (entries, problems) = domains.ok_or_else(|| xml("there is no ListeDomaines"))?;
    if entries.is_empty() {
        return Err(WhiteListError::Empty);
    }
    let mut list = WhiteList::from_entries(generated_at, entries);
    list.problems = problems;
    Ok(list)
}

/// `YYYY-MM-DDThh:mm:ssZ` → Unix seconds.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.len() != 20 || !text.ends_with('Z') {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_second())
}

fn xml(problem: impl Into<String>) -> WhiteListError {
    WhiteListError::Xml(problem.into())
}

/// What the stream holds next.
enum Piece {
    /// An element of the list's namespace starts; the name of any other is empty.
    Start(String),
    /// The element ends, or the document.
    End,
    /// Text with its references resolved.
    Text(String),
}

struct ListReader<'x> {
    reader: NsReader<&'x [u8]>,
    depth: u32,
}

impl<'x> ListReader<'x> {
    fn new(canonical: &'x [u8]) -> Result<Self, WhiteListError> {
        let mut reader = NsReader::from_reader(canonical);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { reader, depth: 0 })
    }

    fn next(&mut self) -> Result<Piece, WhiteListError> {
        let (namespace, event) = self.reader.read_resolved_event().map_err(|error| xml(error.to_string()))?;
        match event {
            Event::Start(start) => {
                let known = matches!(namespace, ResolveResult::Bound(bound) if bound.as_ref() == NAMESPACE);
                let name = if known { start.local_name().as_ref().to_owned() } else { String::new() };
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(xml("elements lie too deep in each other"));
                }
                Ok(Piece::Start(name))
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(Piece::End)
            }
            // The reader says so again however often it is asked: within an element it must not pass for that one's end.
            Event::Eof if self.depth > 0 => Err(xml("it ends within an element")),
            Event::Eof => Ok(Piece::End),
            Event::Text(text) => Ok(Piece::Text(text.xml10_content().into_owned())),
            Event::GeneralRef(reference) => Ok(Piece::Text(resolve(&reference)?.into())),
            // The verification has refused these, and canonical XML has no declaration and no CDATA.
            Event::Empty(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => Err(xml("there is something that canonical XML of a white list never holds")),
        }
    }

    /// The name of the next child element, or None at the end of the parent. Text between children must be white.
    fn next_child(&mut self) -> Result<Option<String>, WhiteListError> {
        loop {
            match self.next()? {
                Piece::Start(name) => return Ok(Some(name)),
                Piece::End => return Ok(None),
                Piece::Text(text) if text.trim().is_empty() => {}
                Piece::Text(_) => return Err(xml("there is text between elements")),
            }
        }
    }

    /// All text of an element that holds nothing else.
    fn text(&mut self) -> Result<String, WhiteListError> {
        let mut whole = String::new();
        loop {
            match self.next()? {
                Piece::Text(text) => whole.push_str(&text),
                Piece::End => return Ok(whole),
                Piece::Start(name) => return Err(xml(format!("there is an element {name} where text belongs"))),
            }
        }
    }

    /// Passes over the rest of an element.
    fn skip(&mut self) -> Result<(), WhiteListError> {
        let outside = self.depth - 1;
        while self.depth > outside {
            self.next()?;
        }
        Ok(())
    }

    /// `ListeDomaines`: entries and what could not be read as one.
    fn domains(&mut self) -> Result<(Vec<Entry>, Vec<EntryProblem>), WhiteListError> {
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        let mut names = Names::default();
        let mut number = 0;
        while let Some(name) = self.next_child()? {
            if name != "Domaine" {
                self.skip()?;
                continue;
            }
            number += 1;
            match self.domain()?.into_entry(&mut names) {
                Ok(entry) => entries.push(entry),
                Err(problem) => problems.push(EntryProblem { entry: number, problem }),
            }
        }
        Ok((entries, problems))
    }

    fn domain(&mut self) -> Result<Fields, WhiteListError> {
        let mut fields = Fields::default();
        while let Some(name) = self.next_child()? {
            let field = match name.as_str() {
                "Nom" => &mut fields.name,
                "Description" => &mut fields.description,
                "DNCertificatOperateur" => &mut fields.dn,
                "ResponsableContact" => &mut fields.responsible,
                "SupportContact" => &mut fields.support,
                "DateMAJ" => &mut fields.updated,
                _ => {
                    self.skip()?;
                    continue;
                }
            };
            if field.is_some() {
                return Err(xml(format!("a Domaine has a second {name}")));
            }
            *field = Some(self.text()?);
        }
        Ok(fields)
    }
}

/// The character of `&amp;`, `&#13;` and the like; there are no other entities, since there is no DTD.
fn resolve(reference: &BytesRef<'_>) -> Result<char, WhiteListError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| xml(error.to_string()))? {
        return Ok(character);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(xml(format!("there is an entity {other}"))),
    }
}

/// Names already read: thousands of entries name the same few hundred.
#[derive(Default)]
struct Names(HashMap<String, Arc<DistinguishedName>>);

impl Names {
    fn read(&mut self, text: String) -> Result<Arc<DistinguishedName>, String> {
        if let Some(name) = self.0.get(&text) {
            return Ok(Arc::clone(name));
        }
        let name = DistinguishedName::parse_text(&text).map_err(|error| format!("DNCertificatOperateur: {error}"))?;
        Ok(Arc::clone(self.0.entry(text).or_insert(Arc::new(name))))
    }
}

/// The texts of one `Domaine`.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    description: Option<String>,
    dn: Option<String>,
    responsible: Option<String>,
    support: Option<String>,
    updated: Option<String>,
}

impl Fields {
    fn into_entry(self, names: &mut Names) -> Result<Entry, String> {
        let name = self.name.ok_or("it has no Nom")?;
        let dn = self.dn.ok_or("it has no DNCertificatOperateur")?;
        let tidy = |text: Option<String>| text.unwrap_or_default().trim().to_owned();
        Ok(Entry {
            domain: Domain::parse(name.trim()).map_err(|error| format!("Nom '{}': {error}", name.trim()))?,
            dn: names.read(dn)?,
            description: tidy(self.description),
            responsible: tidy(self.responsible),
            support: tidy(self.support),
            updated_at: self.updated.as_deref().and_then(parse_time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(inside: &str) -> String {
        format!("<ListeBlancheMSSante xmlns=\"{NAMESPACE}\">{inside}</ListeBlancheMSSante>")
    }

    const DATE: &str = "<DateDeGeneration>2026-01-02T03:04:05Z</DateDeGeneration>";
    const ENTRY: &str = "<Domaine><Nom>Aura.mssante.example</Nom><Description>A &amp; B&#xD;</Description>\
        <DNCertificatOperateur>CN=mss.aura.example,O=GCS &lt;SARA&gt;,C=FR</DNCertificatOperateur></Domaine>";

    fn problem_of(document: &str) -> String {
        parse(document.as_bytes()).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn entries_are_read_with_their_references_resolved() {
        let list = parse(list(&format!("{DATE}\n <ListeDomaines>{ENTRY}</ListeDomaines>")).as_bytes()).unwrap();
        assert_eq!(list.generated_at(), 1_767_323_045);
        let entry = &list.entries()[0];
        assert_eq!(entry.domain.as_str(), "aura.mssante.example");
        assert_eq!(entry.description, "A & B");
        assert_eq!(entry.dn.values("O").next(), Some("GCS <SARA>"));
        assert_eq!(entry.updated_at, None);
    }

    #[test]
    fn a_damaged_entry_costs_itself_only() {
        let damaged = "<Domaine><Nom>a_b</Nom><DNCertificatOperateur>CN=a</DNCertificatOperateur></Domaine>\
            <Domaine><Nom>a.b</Nom><DNCertificatOperateur>?</DNCertificatOperateur></Domaine><Domaine/>";
        let list = parse(list(&format!("{DATE}<ListeDomaines>{damaged}{ENTRY}</ListeDomaines>")).as_bytes()).unwrap();
        assert_eq!(list.entries().len(), 1);
        let entries: Vec<_> = list.problems().iter().map(|problem| problem.entry).collect();
        assert_eq!(entries, [1, 2, 3]);
    }

    #[test]
    fn unknown_elements_are_passed_over() {
        let inside = format!(
            "<Neuf><Domaine>{ENTRY}</Domaine></Neuf>{DATE}<x:ListeDomaines xmlns:x=\"urn:x\">{ENTRY}</x:ListeDomaines>\
             <ListeDomaines><Autre><Nom>x</Nom></Autre>{ENTRY}</ListeDomaines>"
        );
        assert_eq!(parse(list(&inside).as_bytes()).unwrap().entries().len(), 1);
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        let domains = format!("<ListeDomaines>{ENTRY}</ListeDomaines>");
        for (document, problem) in [
            (list(&format!("{DATE}{domains}{domains}")), "second ListeDomaines"),
            (list(&format!("{DATE}{DATE}{domains}")), "second DateDeGeneration"),
            (
                list(&format!("{DATE}<ListeDomaines><Domaine><Nom>a.b</Nom><Nom>c.d</Nom></Domaine></ListeDomaines>")),
                "second Nom",
            ),
            (
                list(&format!("{DATE}<ListeDomaines><Domaine><Nom>a<x/>b</Nom></Domaine></ListeDomaines>")),
                "where text belongs",
            ),
            (list(&format!("{DATE}x{domains}")), "text between elements"),
            (list(&domains), "no DateDeGeneration"),
            (list(DATE), "no ListeDomaines"),
            (list(&format!("{DATE}<ListeDomaines/>")), "no entry"),
            (list(&format!("<DateDeGeneration>hier</DateDeGeneration>{domains}")), "no DateDeGeneration"),
            (list("&bang;"), "entity bang"),
            ("<ListeBlancheMSSante/>".into(), "root is not"),
            (format!("{}<x/>", list(&format!("{DATE}{domains}"))), "behind the root"),
            ("<a".into(), "not the XML"),
            (String::new(), "root is not"),
        ] {
            assert!(problem_of(&document).contains(problem), "{document}: {}", problem_of(&document));
        }
    }

    #[test]
    fn only_utc_times_of_one_form_are_read() {
        assert_eq!(parse_time("1970-01-01T00:00:10Z"), Some(10));
        for text in ["", "1970-01-01", "1970-01-01T00:00:10", "1970-01-01T00:00:10+01:00", "1970-13-01T00:00:10Z"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
