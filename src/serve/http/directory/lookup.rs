//! Looking somebody up in the national directory, and the copy of it that is held for that.

use std::path::Path;

use axum::extract::State;

use super::types::{DirectoryCopy, DirectoryHits, FoundMailbox, LookupQuery};
use super::{ActingOnDirectory, DirectoryAdministration, LARGEST_PAGE, of_account};
use crate::jobs::directory::copy::{Entry, Field, Query as Words};
use crate::jobs::directory::extraction::{self, Column, ExtractionError};
use crate::jobs::directory::search::{Hits, LookupError, Source};
use crate::jobs::directory::{CopyHandle, CopyStatus};
use crate::serve::http::blocking;
use crate::serve::http::extract::Query;
use crate::serve::http::message_flags::date;
use crate::serve::http::problem::{Problem, Rule};

/// Mailboxes on a page where the request does not say.
const PAGE: u32 = 50;

/// `GET /v1/directory/search`.
pub(super) async fn search(
    State(directory): State<DirectoryAdministration>,
    Query(query): Query<LookupQuery>,
) -> Result<axum::Json<DirectoryHits>, Problem> {
    let words = words(&query);
    if words.is_empty() {
        return Err(Problem::field("?text", "Say what to look for: a name, a number, an address, a town."));
    }
    let from = match query.source.as_deref() {
        None => None,
        Some("local") => Some(Source::Local),
        Some("fhir") => Some(Source::Fhir),
        Some(_) => return Err(Problem::field("?source", "Expected local or fhir.")),
    };
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::field("?limit", format!("Expected 1 to {LARGEST_PAGE}.")));
    }
    let offset = query.offset.unwrap_or_default() as usize;
    let hits = directory.lookup.search(&words, from, offset, limit as usize).await.map_err(of_lookup)?;
    Ok(axum::Json(shown(hits, offset)))
}

/// An address is looked for as one, wherever it stands.
fn words(query: &LookupQuery) -> Words {
    let mut words = Words::default();
    for part in query.text.split_whitespace() {
        words = words.with(part.contains('@').then_some(Field::Address), part);
    }
    let fields = [
        (Field::Name, &query.name),
        (Field::Number, &query.number),
        (Field::Address, &query.address),
        (Field::Structure, &query.structure),
        (Field::Profession, &query.profession),
        (Field::Town, &query.town),
    ];
    fields.into_iter().fold(words, |words, (field, text)| words.with(Some(field), text))
}

fn of_lookup(error: LookupError) -> Problem {
    let text = format!("Nothing was looked up: {error}.");
    match error {
        LookupError::NoCopy => Problem::new(Rule::NoDirectoryCopy, text),
        LookupError::Off => Problem::new(Rule::DirectoryOff, text),
        LookupError::NotThere(_) => Problem::field("?source", text),
        LookupError::Directory(_) | LookupError::Interrupted => Problem::new(Rule::DirectoryUnavailable, text),
    }
}

fn shown(hits: Hits, offset: usize) -> DirectoryHits {
    let end = offset.saturating_add(hits.entries.len());
    DirectoryHits {
        source: hits.from.name().to_owned(),
        taken_at: hits.taken_at.map(date),
        total: hits.total as u64,
        cut: hits.is_cut,
        next_offset: (!hits.entries.is_empty() && end < hits.total).then(|| u32::try_from(end).unwrap_or(u32::MAX)),
        found: hits.entries.into_iter().map(shown_entry).collect(),
    }
}

fn shown_entry(entry: Entry) -> FoundMailbox {
    let Entry { address, kind, national_id, title, last_name, first_name, profession, skill, .. } = entry;
    let Entry { structure_id, structure, sign, service, description, street, postcode, town, zero_paper, .. } = entry;
    FoundMailbox {
        address,
        kind,
        national_id,
        title,
        last_name,
        first_name,
        profession,
        skill,
        structure_id,
        structure,
        sign,
        service,
        description,
        street,
        postcode,
        town,
        zero_paper,
    }
}

/// `GET /v1/directory/copy`.
pub(super) async fn copy(
    State(directory): State<DirectoryAdministration>,
) -> Result<axum::Json<DirectoryCopy>, Problem> {
    Ok(axum::Json(shown_copy(directory.copy()?.status())))
}

/// `POST /v1/directory/copy/refresh`.
pub(super) async fn refresh(
    ActingOnDirectory(directory): ActingOnDirectory,
) -> Result<axum::Json<DirectoryCopy>, Problem> {
    let copy = directory.copy()?;
    directory.registry.note_deed("directory-copy-refreshed", None).await.map_err(of_account)?;
    let refused = |error| Problem::new(Rule::ExtractionRefused, format!("The copy stays as it was: {error}."));
    copy.refresh().await.map_err(refused)?;
    Ok(axum::Json(shown_copy(copy.status())))
}

fn shown_copy(status: CopyStatus) -> DirectoryCopy {
    DirectoryCopy {
        source: status.source,
        mailboxes: status.mailboxes,
        memory: status.memory,
        taken_at: status.taken_at.map(date),
        fresh_at: status.fresh_at.map(date),
        damaged: status.damaged,
        first_damaged: status.first_damaged,
        problem: status.problem,
    }
}

impl DirectoryAdministration {
    fn copy(&self) -> Result<&CopyHandle, Problem> {
        self.lookup.copy().ok_or_else(|| of_lookup(LookupError::NoCopy))
    }

    /// What an extraction shows of our domains: a file on this machine, or else the copy.
    pub(super) async fn extracted(&self, file: Option<String>) -> Result<Vec<Entry>, Problem> {
        let names = self.registry.domains().map_err(of_account)?;
        let is_ours = move |domain: &str| names.iter().any(|ours| ours.name.eq_ignore_ascii_case(domain));
        match file {
            Some(file) => blocking(move || read_file(Path::new(&file), is_ours).map_err(of_extraction)).await,
            None => {
                let copy = self.copy()?.copy().ok_or_else(|| of_lookup(LookupError::NoCopy))?;
                blocking(move || Ok(copy.of_domains(is_ours))).await
            }
        }
    }
}

fn of_extraction(error: ExtractionError) -> Problem {
    Problem::new(Rule::ExtractionRefused, format!("Nothing can be compared: {error}."))
}

fn read_file(path: &Path, is_ours: impl Fn(&str) -> bool) -> Result<Vec<Entry>, ExtractionError> {
    let mut found = Vec::new();
    extraction::read(extraction::open(path)?, &mut |line| {
        if line.get(Column::Address).rsplit_once('@').is_some_and(|(_, domain)| is_ours(domain)) {
            found.push(Entry::of(line));
        }
    })?;
    Ok(found)
}
