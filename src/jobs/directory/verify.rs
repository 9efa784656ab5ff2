//! What the directory shows of our domains, held against what it should.

use std::collections::HashMap;

use serde_json::Value;

use super::client::{DirectoryError, FhirClient};
use super::contact::{Listed, differences, listed};
use super::copy::Entry;
use crate::accounts::publication::{Image, Place, kind_of, numbered, wanted};
use crate::accounts::{Account, AccountError, ListFilter, Registry};
use crate::mss::{Domain, Kind};

/// The types of resources that mailboxes are contacts of.
const TYPES: [&str; 3] = ["Practitioner", "PractitionerRole", "Organization"];

/// Accounts read at a time.
const PAGE: usize = 500;

/// Pages of what the directory shows of a domain, at most: one that gives more gives them in a circle.
const MOST_PAGES: usize = 10_000;

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The directory cannot be read.
    #[error("the directory cannot be read: {0}")]
    Directory(#[from] DirectoryError),
    /// Our own accounts cannot be read, or what is mended not be kept.
    #[error(transparent)]
    Accounts(#[from] AccountError),
}

/// A mailbox as the directory shows it.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it says of it.
    pub listed: Listed,
    /// The type of the resource whose contact it is.
    pub resource: String,
    /// The resource's identifiers: system and value.
    pub identifiers: Vec<(String, String)>,
}

impl Found {
    /// A mailbox as the extraction shows it.
    pub fn extracted(entry: Entry) -> Self {
        let (resource, identifiers) = numbered(&entry.kind, &entry.national_id, &entry.structure_id);
        let service = Some(entry.service).filter(|service| !service.is_empty() && entry.kind == Kind::Org.code());
        let listed = Listed {
            address: entry.address,
            kind: Some(entry.kind),
            zero_paper: entry.zero_paper,
            service,
            ..Listed::default()
        };
        Self { listed, resource: resource.to_owned(), identifiers }
    }
}

/// How much of the directory was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that it says of our mailboxes.
    Whole,
    /// Its public extraction, made once a day: personal and organisational mailboxes, without the red list, and little of each
    /// (MSSanté §9).
    Extraction,
}

impl Extent {
    /// Whether a mailbox that should be shown is to be seen there.
    fn shows(self, image: &Image) -> bool {
        self == Self::Whole || (!image.red_list && matches!(kind_of(image), Kind::Per | Kind::Org))
    }

    /// Whether a difference is one that can be seen there.
    fn tells(self, field: &str) -> bool {
        self == Self::Whole || !matches!(field, "description" | "responsible")
    }

    /// Whether a mailbox is shown where it should be: the extraction says whose it is, not in which of their activities.
    fn is_at(self, found: &Found, place: &Place) -> bool {
        found.is_at(place) || (self == Self::Extraction && place.resource == "PractitionerRole")
    }
}

/// How the directory and we differ about a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discord {
    /// The directory should show it, and does not.
    Missing,
    /// The directory shows it, and should not: it is closed, say.
    Stale,
    /// The directory shows it otherwise than it should.
    Wrong,
    /// The directory shows an address of our domains that is no mailbox of ours, and never was.
    Unknown,
}

impl Discord {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// A difference.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The mailbox.
    pub address: String,
    /// What is the matter.
    pub discord: Discord,
    /// What is shown otherwise: the names of the directory's rules, `place` for another resource, `twice` for several.
    pub fields: Vec<&'static str>,
    /// Where it is shown: `Practitioner`, and an identifier.
    pub shown_at: Option<String>,
    /// Something about it waits already: it may be right in a moment.
    pub waits: bool,
    /// It was put in the outbox to be mended.
    pub mended: bool,
}

/// What came of it all.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Mailboxes that the directory should show.
    pub wanted: u64,
    /// Mailboxes of our domains that it shows.
    pub shown: u64,
    /// Where the two differ.
    pub differences: Vec<Difference>,
}

/// Reads what the directory shows of these domains, by its search for addresses (MSSanté §9: `mailbox-mss:contains`).
///
/// # Errors
/// [`DirectoryError`].
pub async fn read(client: &FhirClient, domains: &[Domain]) -> Result<Vec<Found>, DirectoryError> {
    let mut found = Vec::new();
    for domain in domains {
        let end = format!("@{}", domain.as_str());
        for resource in TYPES {
            let mut page = client.first_page(resource, &[("mailbox-mss:contains", &end)]).await?;
            for number in 1.. {
                found.extend(page.resources.iter().flat_map(|resource| contacts(resource, &end)));
                match page.next.take() {
                    None => break,
                    Some(_) if number == MOST_PAGES => return Err(DirectoryError::Nonsense("its pages do not end")),
                    Some(next) => page = client.page(&next).await?,
                }
            }
        }
    }
    Ok(found)
}

/// A resource's mailboxes whose address ends so.
fn contacts(resource: &Value, end: &str) -> Vec<Found> {
    let items = |name: &str| resource[name].as_array().into_iter().flatten();
    let identifiers: Vec<(String, String)> = items("identifier")
        .filter_map(|one| Some((one["system"].as_str()?.to_owned(), one["value"].as_str()?.to_owned())))
        .collect();
    let resource = resource["resourceType"].as_str().unwrap_or_default();
    let ours = items("telecom").filter_map(listed).filter(|listed| listed.address.to_lowercase().ends_with(end));
    ours.map(|listed| Found { listed, resource: resource.to_owned(), identifiers: identifiers.clone() }).collect()
}

/// Holds what the directory shows against our mailboxes; with `mend` what is wrong and ours is put in the outbox.
///
/// # Errors
/// [`VerifyError::Accounts`].
pub async fn compare(
    registry: &Registry,
    found: Vec<Found>,
    extent: Extent,
    mend: bool,
) -> Result<Verified, VerifyError> {
    let mut verified = Verified { shown: found.len() as u64, ..Verified::default() };
    let mut shown: HashMap<String, Vec<Found>> = HashMap::new();
    for found in found {
        shown.entry(found.listed.address.to_lowercase()).or_default().push(found);
    }
    let mut after = None;
    loop {
        let accounts = registry.list(&ListFilter::default(), after, PAGE)?;
        let Some(last) = accounts.last() else { break };
        after = Some(last.id);
        for account in &accounts {
            let there = shown.remove(&account.data.address.to_lowercase()).unwrap_or_default();
            let image = wanted(&account.data, registry.publication_options());
            verified.wanted += u64::from(image.is_some_and(|image| extent.shows(&image)));
            if let Some(difference) = examine(registry, account, &there, extent, mend).await? {
                verified.differences.push(difference);
            }
        }
        tokio::task::yield_now().await;
    }
    let unknown = shown.into_values().flatten().map(|found| Difference {
        shown_at: Some(found.place().to_string()),
        address: found.listed.address,
        discord: Discord::Unknown,
        fields: Vec::new(),
        waits: false,
        mended: false,
    });
    verified.differences.extend(unknown);
    verified.differences.sort_by(|one, other| one.address.cmp(&other.address));
    Ok(verified)
}

/// How one mailbox is shown, and should be.
async fn examine(
    registry: &Registry,
    account: &Account,
    there: &[Found],
    extent: Extent,
    mend: bool,
) -> Result<Option<Difference>, AccountError> {
    let standing = registry.publication_of(account)?;
    let (discord, fields, misplaced) = match (&standing.wanted, there) {
        (None, []) => return Ok(None),
        (None, [found, ..]) => (Discord::Stale, Vec::new(), Some(found.place())),
        (Some(image), []) if !extent.shows(image) => return Ok(None),
        (Some(_), []) => (Discord::Missing, Vec::new(), None),
        (Some(image), found) => {
            let (right, elsewhere): (Vec<&Found>, Vec<&Found>) =
                found.iter().partition(|found| extent.is_at(found, &image.place));
            let mut fields = right.first().map_or_else(Vec::new, |found| differences(&found.listed, image));
            fields.retain(|field| extent.tells(field));
            fields.extend((!elsewhere.is_empty()).then_some("place"));
            fields.extend((right.len() > 1).then_some("twice"));
            if fields.is_empty() {
                return Ok(None);
            }
            (Discord::Wrong, fields, elsewhere.first().map(|found| found.place()))
        }
    };
    if mend {
        registry.mend_publication(account, misplaced.as_ref()).await?;
    }
    Ok(Some(Difference {
        address: account.data.address.clone(),
        discord,
        fields,
        shown_at: misplaced.or_else(|| there.first().map(Found::place)).map(|place| place.to_string()),
        waits: !standing.waiting.is_empty(),
        mended: mend,
    }))
}

impl Found {
    fn is_at(&self, place: &Place) -> bool {
        let has = |(system, value): &(String, String)| *system == place.system && *value == place.value;
        self.resource == place.resource && self.identifiers.iter().any(has)
    }

    /// By one of its identifiers.
    fn place(&self) -> Place {
        let (system, value) = self.identifiers.first().cloned().unwrap_or_default();
        Place { resource: self.resource.clone(), system, value }
    }
}
