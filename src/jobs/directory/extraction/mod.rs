//! The directory's public extraction, read line by line: a ZIP with one text of 31 columns (MSSanté §9).
//!
//! Nothing in it is taken on trust. Of the archive one entry is read, by its name, and no more of it than [`LARGEST_TEXT`]; of a line
//! no more than [`LONGEST_LINE`]. Columns are found by the names in the header line, so that their order may change and one more do
//! no harm. A line that makes no sense is passed over, counted and named; a file with many of them is refused as a whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::fold::folded;

/// The most text that is read of an extraction: six times what there is today. What unpacks to more is no extraction.
const LARGEST_TEXT: u64 = 1 << 30;

/// The longest line, in bytes.
const LONGEST_LINE: usize = 16 << 10;

/// Entries of an archive: there is one today.
const MOST_ENTRIES: usize = 16;

/// Lines that make no sense and are named, by number and reason.
const NAMED: usize = 20;

/// One line in so many may make no sense, but a few may always.
const TOLERATED_SHARE: u64 = 100;
const TOLERATED_ALWAYS: u64 = 10;

/// How the text's name begins.
const NAME: &str = "Extraction_Correspondance_MSSante";

/// The columns of the extraction as it is published (MSSanté §9).
pub const PUBLISHED: usize = 31;

/// A column that is read, of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// `PER`, `ORG`.
    Kind,
    /// The mail address.
    Address,
    /// A digit for the kind of number, and the number (RPPS).
    NationalId,
    /// A digit for the kind of number, and the number (FINESS).
    StructureId,
    /// The service within the structure.
    Service,
    /// `DR`
    Title,
    /// The name that a professional practises under.
    LastName,
    /// And the first name.
    FirstName,
    /// `Civil`, `Étudiant`.
    Category,
    /// `Médecin`
    Profession,
    /// `Cardiologie`
    Skill,
    /// Electronic delivery in place of paper.
    ZeroPaper,
    /// The structure's registered name.
    Structure,
    /// The name over its door.
    Sign,
    /// Its address, line by line (AFNOR XP Z10-011): the floor, the corridor.
    L2,
    /// Its entrance, building.
    L3,
    /// The number in the street.
    L4Number,
    /// `bis`, `ter`.
    L4Complement,
    /// `RUE`
    L4Type,
    /// The street's name.
    L4Name,
    /// The hamlet, the postbox.
    L5,
    /// Postcode and town, or the town alone.
    L6,
    /// The postcode.
    Postcode,
}

/// The columns by their names in the header line, folded; MSSanté §9 has them as they are written.
const COLUMNS: [(Column, &str); 23] = [
    (Column::Kind, "type de bal"),
    (Column::Address, "adresse bal"),
    (Column::NationalId, "identification nationale pp"),
    (Column::StructureId, "identification structure"),
    (Column::Service, "service de rattachement"),
    (Column::Title, "civilite d exercice"),
    (Column::LastName, "nom d exercice"),
    (Column::FirstName, "prenom d exercice"),
    (Column::Category, "libelle de categorie profession"),
    (Column::Profession, "libelle profession"),
    (Column::Skill, "libelle savoir faire"),
    (Column::ZeroPaper, "dematerialisation"),
    (Column::Structure, "raison sociale structure bal"),
    (Column::Sign, "enseigne commerciale structure bal"),
    (Column::L2, "l2complementlocalisation structure bal"),
    (Column::L3, "l3complementdistribution structure bal"),
    (Column::L4Number, "l4numerovoie structure bal"),
    (Column::L4Complement, "l4complementnumerovoie structure bal"),
    (Column::L4Type, "nl4typevoie structure bal"),
    (Column::L4Name, "l4libellevoie structure bal"),
    (Column::L5, "l5lieuditmention structure bal"),
    (Column::L6, "l6ligneacheminement structure bal"),
    (Column::Postcode, "code postal structure bal"),
];

/// Why an extraction is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ExtractionError {
    /// It cannot be read, or its checksum is wrong.
    #[error("the extraction cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is no archive that can be read.
    #[error("the extraction is no archive that can be read: {0}")]
    Archive(#[from] ZipError),
    /// The archive holds many files.
    #[error("the archive holds {0} files; expected one")]
    ManyFiles(usize),
    /// The archive does not hold one text of that name.
    #[error("the archive holds {0} files called Extraction_Correspondance_MSSante_….txt; expected one")]
    NoText(usize),
    /// It unpacks to more than an extraction can be.
    #[error("the extraction unpacks to more than {LARGEST_TEXT} bytes")]
    TooLarge,
    /// The header line lacks columns.
    #[error("the extraction's first line lacks columns: {}", .0.join(", "))]
    Header(Vec<&'static str>),
    /// Many of its lines make no sense.
    #[error("{damaged} of {lines} lines of the extraction make no sense: {}", first.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Damaged {
        /// Lines that do not.
        damaged: u64,
        /// All of them, the header not counted.
        lines: u64,
        /// The first ones.
        first: Vec<Damaged>,
    },
}

impl ExtractionError {
    /// A stable kebab-case name, for alarms and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Archive(_) | Self::ManyFiles(_) | Self::NoText(_) => "bad-archive",
            Self::TooLarge => "bomb",
            Self::Header(_) => "bad-header",
            Self::Damaged { .. } => "damaged",
        }
    }
}

/// Why a line makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Longer than a line can be.
    #[error("longer than {LONGEST_LINE} bytes")]
    TooLong,
    /// Not UTF-8, or with control characters.
    #[error("no text")]
    NoText,
    /// More or fewer columns than the header line.
    #[error("{0} columns")]
    Columns(usize),
    /// Of no kind that there is.
    #[error("no kind of mailbox")]
    Kind,
    /// Without an address.
    #[error("no address")]
    Address,
}

/// A line that makes no sense. What it says is not repeated: logs hold no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {flaw}")]
pub struct Damaged {
    /// Its number in the text; the header line is 1.
    pub line: u64,
    /// What is the matter.
    pub flaw: Flaw,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Lines, the header and empty ones not counted.
    pub lines: u64,
    /// Those that make no sense.
    pub damaged: u64,
    /// The first of them.
    pub first_damaged: Vec<Damaged>,
}

/// A mailbox's line.
#[derive(Debug)]
pub struct Line<'a> {
    fields: &'a [&'a str],
    places: &'a [usize; COLUMNS.len()],
}

impl<'a> Line<'a> {
    /// What stands in a column.
    pub fn get(&self, column: Column) -> &'a str {
        self.fields.get(self.places[column as usize]).copied().unwrap_or_default()
    }

    fn flaw(&self) -> Option<Flaw> {
        if !matches!(self.get(Column::Kind), "PER" | "ORG" | "APP" | "CAB") {
            return Some(Flaw::Kind);
        }
        let parts = self.get(Column::Address).rsplit_once('@');
        let is_address = parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if is_address { None } else { Some(Flaw::Address) }
    }
}

/// Opens an extraction that is a file on this machine.
///
/// # Errors
/// [`ExtractionError::Unreadable`].
pub fn open(path: &Path) -> Result<File, ExtractionError> {
    // A pipe would keep us waiting for who never comes.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file").into());
    }
    Ok(File::open(path)?)
}

/// Reads an extraction, as it is published or unpacked, and calls `each` with every mailbox's line. What it was called with counts
/// only when this is `Ok`. Blocks.
///
/// # Errors
/// [`ExtractionError`].
pub fn read(content: impl Read + Seek, each: &mut dyn FnMut(&Line<'_>)) -> Result<Reading, ExtractionError> {
    with_text(content, |text| read_text(text, each))
}

/// How many columns an extraction has ([`PUBLISHED`] as published), if all that are read are among them. No line but the first is
/// read. Blocks.
///
/// # Errors
/// [`ExtractionError`].
pub fn columns(content: impl Read + Seek) -> Result<usize, ExtractionError> {
    with_text(content, |text| Ok(places_in(&mut Lines::new(text, LARGEST_TEXT))?.width))
}

/// Finds the text, in its archive or unpacked.
fn with_text<T>(
    mut content: impl Read + Seek,
    work: impl FnOnce(&mut dyn Read) -> Result<T, ExtractionError>,
) -> Result<T, ExtractionError> {
    let mut magic = [0; 4];
    let is_archive = content.read_exact(&mut magic).is_ok() && magic.starts_with(b"PK");
    content.seek(SeekFrom::Start(0))?;
    if !is_archive {
        return work(&mut content);
    }
    let mut archive = ZipArchive::new(content)?;
    if archive.len() > MOST_ENTRIES {
        return Err(ExtractionError::ManyFiles(archive.len()));
    }
    let names = archive.file_names().map(|name| name.map(|name| name.into_owned())).collect::<Result<Vec<_>, _>>()?;
    let is_text = |name: &&String| {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        name.starts_with(NAME) && name.to_ascii_lowercase().ends_with(".txt")
    };
    let texts: Vec<&String> = names.iter().filter(is_text).collect();
    let [name] = texts.as_slice() else { return Err(ExtractionError::NoText(texts.len())) };
    work(&mut archive.by_name(name)?)
}

fn read_text(text: &mut dyn Read, each: &mut dyn FnMut(&Line<'_>)) -> Result<Reading, ExtractionError> {
    let mut lines = Lines::new(text, LARGEST_TEXT);
    let places = places_in(&mut lines)?;
    let width = places.width;
    let (mut reading, mut bounds) = (Reading::default(), Vec::with_capacity(width + 1));
    while let Some((number, line)) = lines.next()? {
        if line == Ok("") {
            continue;
        }
        reading.lines += 1;
        bounds.clear();
        if let Err(flaw) = line.and_then(|line| judged(line, width, &places.of, &mut bounds, each)) {
            reading.damaged += 1;
            if reading.first_damaged.len() < NAMED {
                reading.first_damaged.push(Damaged { line: number, flaw });
            }
        }
    }
    let Reading { lines, damaged, ref first_damaged } = reading;
    if damaged > TOLERATED_ALWAYS.max(lines / TOLERATED_SHARE) || (damaged == lines && lines > 0) {
        return Err(ExtractionError::Damaged { damaged, lines, first: first_damaged.clone() });
    }
    Ok(reading)
}

/// Splits a line and hands it on, if it makes sense. `bounds` is room to work in.
fn judged(
    line: &str,
    width: usize,
    places: &[usize; COLUMNS.len()],
    bounds: &mut Vec<usize>,
    each: &mut dyn FnMut(&Line<'_>),
) -> Result<(), Flaw> {
    bounds.extend(memchr::memchr_iter(b'|', line.as_bytes()));
    let mut count = bounds.len() + 1;
    // A separator may end the line, too.
    if count == width + 1 && line.ends_with('|') {
        count = width;
    }
    if count != width || width > MOST_COLUMNS {
        return Err(Flaw::Columns(count));
    }
    let (mut fields, mut start) = ([""; MOST_COLUMNS], 0);
    for (at, field) in fields.iter_mut().take(width).enumerate() {
        let end = bounds.get(at).copied().unwrap_or(line.len());
        *field = line[start..end].trim();
        start = end + 1;
    }
    let line = Line { fields: &fields[..width], places };
    match line.flaw() {
        Some(flaw) => Err(flaw),
        None => {
            each(&line);
            Ok(())
        }
    }
}

/// Columns that there may be.
const MOST_COLUMNS: usize = 64;

/// Where the columns are.
struct Places {
    of: [usize; COLUMNS.len()],
    width: usize,
}

/// Where the header line says that they are.
fn places_in<R: Read>(lines: &mut Lines<R>) -> Result<Places, ExtractionError> {
    places(lines.next()?.map_or("", |(_, line)| line.unwrap_or_default()))
}

fn places(header: &str) -> Result<Places, ExtractionError> {
    let header = header.trim_start_matches('\u{feff}');
    let names: Vec<String> = header.strip_suffix('|').unwrap_or(header).split('|').map(folded).collect();
    let (mut of, mut missing) = ([0; COLUMNS.len()], Vec::new());
    for (column, name) in COLUMNS {
        match names.iter().position(|known| known == name) {
            Some(place) => of[column as usize] = place,
            None => missing.push(name),
        }
    }
    if missing.is_empty() { Ok(Places { of, width: names.len() }) } else { Err(ExtractionError::Header(missing)) }
}

/// The lines of a text, each within bounds.
struct Lines<R> {
    text: BufReader<io::Take<R>>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn new(text: R, most: u64) -> Self {
        // One byte more than may come tells that there is more.
        let text = BufReader::with_capacity(256 << 10, text.take(most + 1));
        Self { text, line: Vec::with_capacity(LONGEST_LINE + 1), number: 0 }
    }

    /// The next line without its end, and its number.
    #[allow(clippy::type_complexity)]
    fn next(&mut self) -> Result<Option<(u64, Result<&str, Flaw>)>, ExtractionError> {
        self.line.clear();
        let mut bounded = (&mut self.text).take(LONGEST_LINE as u64 + 1);
        let taken = bounded.read_until(b'\n', &mut self.line)?;
        if self.text.get_ref().limit() == 0 {
            return Err(ExtractionError::TooLarge);
        }
        if taken == 0 {
            return Ok(None);
        }
        self.number += 1;
        if taken > LONGEST_LINE && !self.line.ends_with(b"\n") {
            self.skip_line()?;
            return Ok(Some((self.number, Err(Flaw::TooLong))));
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).ok().filter(|text| !text.bytes().any(|octet| octet < b' '));
        Ok(Some((self.number, text.ok_or(Flaw::NoText))))
    }

    fn skip_line(&mut self) -> Result<(), ExtractionError> {
        loop {
            let (used, is_end) = match self.text.fill_buf()? {
                [] => return Ok(()),
                buffer => match memchr::memchr(b'\n', buffer) {
                    Some(at) => (at + 1, true),
                    None => (buffer.len(), false),
                },
            };
            self.text.consume(used);
            if is_end {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
