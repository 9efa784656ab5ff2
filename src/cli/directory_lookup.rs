//! `caducee directory search` and `caducee directory copy`: looking people up in the national directory.

use clap::{Args, ValueEnum};
use hyper::Method;

use super::client::{Client, ClientError, path, query};
use super::output::{Exit, Output, pairs, size, table, tick};
use crate::serve::http::directory::types::{DirectoryCopy, DirectoryHits, FoundMailbox, LookupQuery};

/// Whom to look for
#[derive(Args, Debug)]
pub(super) struct Search {
    /// Words of a name, an RPPS number, an address, a structure, a profession, a town
    #[arg(required_unless_present_any = ["name", "number", "address", "structure", "profession", "town"])]
    text: Vec<String>,
    /// Words of the professional's name
    #[arg(long)]
    name: Option<String>,
    /// The professional's number (RPPS), or its beginning
    #[arg(long)]
    number: Option<String>,
    /// Words of the mail address
    #[arg(long)]
    address: Option<String>,
    /// Words of the structure's name, its number, the service
    #[arg(long)]
    structure: Option<String>,
    /// Words of the profession or what they specialise in; in the copy only
    #[arg(long)]
    profession: Option<String>,
    /// The town or its postcode, or the beginning
    #[arg(long)]
    town: Option<String>,
    /// Where to look; by default in the copy of the extraction if there is one
    #[arg(long, value_enum)]
    source: Option<Source>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// After so many
    #[arg(long, default_value_t = 0)]
    offset: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Source {
    /// The copy of the extraction
    Local,
    /// The directory itself
    Fhir,
}

impl Search {
    pub(super) async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        let source = self.source.map(|source| match source {
            Source::Local => "local".to_owned(),
            Source::Fhir => "fhir".to_owned(),
        });
        let fields = LookupQuery {
            text: self.text.join(" "),
            name: self.name.unwrap_or_default(),
            number: self.number.unwrap_or_default(),
            address: self.address.unwrap_or_default(),
            structure: self.structure.unwrap_or_default(),
            profession: self.profession.unwrap_or_default(),
            town: self.town.unwrap_or_default(),
            source,
            limit: Some(self.limit),
            offset: Some(self.offset),
        };
        let hits: DirectoryHits = client.get(&(path(&["directory", "search"]) + &query(&fields)?)).await?;
        output.result(&hits, shown);
        Ok(if hits.found.is_empty() { Exit::Failed } else { Exit::Done })
    }
}

fn shown(hits: &DirectoryHits) -> String {
    let DirectoryHits { source, taken_at, total, cut, next_offset, found } = hits;
    let place = match taken_at {
        Some(taken_at) => format!("in the copy of {taken_at}"),
        None if source == "fhir" => "in the directory".to_owned(),
        None => "in the copy".to_owned(),
    };
    let count = if *total == 1 { "1 mailbox".to_owned() } else { format!("{total} mailboxes") };
    let more = if *cut { " or more" } else { "" };
    let head = format!("{count}{more} {place}.");
    if found.is_empty() {
        return head;
    }
    let rows = table(
        ["mailbox", "kind", "who", "number", "profession", "structure", "town", "zero paper"],
        found.iter().map(row),
    );
    let next = next_offset.map(|offset| format!("\n\nMore with --offset {offset}.")).unwrap_or_default();
    format!("{head}\n\n{rows}{next}")
}

fn row(one: &FoundMailbox) -> [String; 8] {
    let joined = |parts: &[&String], between: &str| {
        parts.iter().filter(|part| !part.is_empty()).map(|part| part.as_str()).collect::<Vec<_>>().join(between)
    };
    let number = if one.national_id.is_empty() { &one.structure_id } else { &one.national_id };
    let what = if one.description.is_empty() { &one.service } else { &one.description };
    [
        one.address.clone(),
        one.kind.clone(),
        joined(&[&one.title, &one.last_name, &one.first_name], " "),
        number.clone(),
        joined(&[&one.profession, &one.skill], ", "),
        joined(&[&one.structure, what], ", "),
        joined(&[&one.postcode, &one.town], " "),
        tick(one.zero_paper),
    ]
}

/// Shows how the copy of the extraction stands; with `refresh`, after asking its source.
pub(super) async fn copy(client: &mut Client, output: &Output, refresh: bool) -> Result<Exit, ClientError> {
    let copy: DirectoryCopy = if refresh {
        client.send(Method::POST, &path(&["directory", "copy", "refresh"]), &()).await?
    } else {
        client.get(&path(&["directory", "copy"])).await?
    };
    output.result(&copy, standing);
    Ok(if copy.problem.is_none() && copy.taken_at.is_some() { Exit::Done } else { Exit::Failed })
}

fn standing(copy: &DirectoryCopy) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    pairs([
        ("source", copy.source.clone()),
        ("mailboxes", copy.mailboxes.to_string()),
        ("memory", size(copy.memory)),
        ("taken", text(&copy.taken_at)),
        ("known to be the newest", text(&copy.fresh_at)),
        ("lines that make no sense", copy.damaged.to_string()),
        ("the first of them", copy.first_damaged.join("; ")),
        ("problem", text(&copy.problem)),
    ])
}
