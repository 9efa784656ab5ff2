//! What the directory shows of our domains, held against what it should.

use std::collections::HashMap;

use serde_json::Value;

use super::client::{DirectoryError, FhirClient};
use super::contact::{Listed, differences, listed};
use super::copy::Entry;
use crate::accounts::publication::{Image, Place, is_withheld, kind_of, numbered, wanted};
use crate::accounts::{Account, AccountError, ListFilter, Registry};
use crate::mss::{Domain, Kind};

/// The types of resources that mailboxes are contacts of.
const TYPES: [&str; 3] = ["Practitioner", "PractitionerRole", "Organization"];

/// Accounts read at a time.
const PAGE: usize = 500;

/// Pages of what the directory shows of a domain, at most: one that gives more gives them in a circle.
const MOST_PAGES: usize = 10_000;

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
    /// Only the rules in force do not publish it, though nothing has happened to the mailbox.
    pub withheld: bool,
    /// It was put in the outbox to be mended.
    pub mended: bool,
    /// What mends it; none: it is not ours.
    remedy: Option<Remedy>,
}

/// Whom to look at again, and where.
#[derive(Clone, Debug)]
struct Remedy {
    account: Account,
    /// Where it is shown, if that is another place than we know of.
    found: Option<Place>,
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

impl Verified {
    /// How many of the differences come from the rules in force alone.
    pub fn withheld(&self) -> u64 {
        self.differences.iter().filter(|difference| difference.withheld).count() as u64
    }

    /// Puts what is wrong and ours in the outbox. Mailboxes that only the rules in force take away are left where they are, unless
    /// `takes_withheld`: a line that is lost from the configuration makes thousands of them.
    ///
    /// # Errors
    /// What the registry says; what was mended until then is.
    pub async fn mend(&mut self, registry: &Registry, takes_withheld: bool) -> Result<(), AccountError> {
        for difference in &mut self.differences {
            if let Some(remedy) = difference.remedy.as_ref().filter(|_| takes_withheld || !difference.withheld) {
                registry.mend_publication(&remedy.account, remedy.found.as_ref()).await?;
                difference.mended = true;
            }
        }
        Ok(())
    }
}

/// Holds what the directory shows against our mailboxes. Reads every account: not for an async thread.
///
/// # Errors
/// What the registry says.
pub fn compare(registry: &Registry, found: Vec<Found>, extent: Extent) -> Result<Verified, AccountError> {
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
            verified.differences.extend(examine(registry, account, &there, extent)?);
        }
    }
    let unknown = shown.into_values().flatten().map(|found| Difference {
        shown_at: Some(found.place().to_string()),
        address: found.listed.address,
        discord: Discord::Unknown,
        fields: Vec::new(),
        waits: false,
        withheld: false,
        mended: false,
        remedy: None,
    });
    verified.differences.extend(unknown);
    verified.differences.sort_by(|one, other| one.address.cmp(&other.address));
    Ok(verified)
}

/// How one mailbox is shown, and should be.
fn examine(
    registry: &Registry,
    account: &Account,
    there: &[Found],
    extent: Extent,
) -> Result<Option<Difference>, AccountError> {
    let standing = registry.publication_of(account)?;
    let (discord, fields, misplaced) = match (&standing.wanted, there) {
        (None, []) => return Ok(None),
        (None, [found, ..]) => (Discord::Stale, Vec::new(), Some(found)),
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
            (Discord::Wrong, fields, elsewhere.first().copied())
        }
    };
    // The extraction says whose a mailbox is; we may know better in which of their activities it lies.
    let knows = |found: &Found| standing.published.as_ref().is_some_and(|known| extent.is_at(found, &known.place));
    let found = misplaced.filter(|found| !knows(found)).map(Found::place);
    Ok(Some(Difference {
        address: account.data.address.clone(),
        discord,
        fields,
        shown_at: misplaced.or(there.first()).map(|found| found.place().to_string()),
        waits: !standing.waiting.is_empty(),
        withheld: discord == Discord::Stale && is_withheld(&account.data, registry.publication_options()),
        mended: false,
        remedy: Some(Remedy { account: account.clone(), found }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::publication::{Due, PublicationOptions, PublishFrom};
    use crate::accounts::{AccountOptions, NewMailbox};
    use crate::jobs::unix_now;
    use crate::mail::{MailLimits, MailRoom};
    use crate::mss::Address;
    use crate::store::{Holder, MasterKey, Store};

    /// A server over a room, with these rules.
    fn started(room: MailRoom, from: PublishFrom) -> Registry {
        let publication = PublicationOptions { on: true, from, test_mailboxes: false };
        Registry::new(room, AccountOptions { publication, ..AccountOptions::default() })
    }

    /// A mailbox that the directory shows.
    async fn published(registry: &Registry, local: &str, person: &str, activity: Option<&str>) -> Account {
        let text = |text: &str| Some(text.to_owned());
        let holder = Holder {
            national_id: text(person),
            last_name: text("Lefèvre"),
            activity_id: activity.map(str::to_owned),
            ..Holder::default()
        };
        let address = Address::parse(&format!("{local}@aura.mssante.example")).unwrap();
        let account = registry.create(NewMailbox::new(address, Kind::Per, holder)).await.unwrap();
        for due in due(registry) {
            registry.publication_done(&due, Some("insert")).await.unwrap();
        }
        account
    }

    async fn scene() -> Registry {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let registry = started(room, PublishFrom::Creation);
        registry.add_domain(&Domain::parse("aura.mssante.example").unwrap(), "").await.unwrap();
        registry
    }

    fn due(registry: &Registry) -> Vec<Due> {
        registry.publications_due(unix_now(), None, 100).unwrap().due
    }

    /// As the extraction shows a professional's mailbox.
    fn extracted(account: &Account) -> Found {
        let national_id = account.data.holder.national_id.clone().unwrap();
        let address = account.data.address.clone();
        Found::extracted(Entry { address, kind: "PER".into(), national_id, ..Entry::default() })
    }

    #[tokio::test]
    async fn mending_takes_what_is_closed_away_and_what_only_the_rules_withhold_when_it_is_confirmed() {
        let first = scene().await;
        let anne = published(&first, "anne", "899700000001", None).await;
        let bea = published(&first, "bea", "899700000002", None).await;
        // The line is lost from the configuration; and bea's mailbox is closed while nothing is published.
        let off = Registry::new(first.room().clone(), AccountOptions::default());
        off.close(bea.id, "").await.unwrap();
        let registry = started(first.room().clone(), PublishFrom::Acceptance);
        let found = || [&anne, &bea].map(extracted).to_vec();
        let mut verified = compare(&registry, found(), Extent::Whole).unwrap();
        let told = |verified: &Verified| -> Vec<(Discord, bool, bool)> {
            verified.differences.iter().map(|one| (one.discord, one.withheld, one.mended)).collect()
        };
        assert_eq!(told(&verified), [(Discord::Stale, true, false), (Discord::Stale, false, false)]);
        verified.mend(&registry, false).await.unwrap();
        assert_eq!(told(&verified), [(Discord::Stale, true, false), (Discord::Stale, false, true)]);
        assert_eq!(due(&registry).iter().map(|due| due.account).collect::<Vec<_>>(), [bea.id]);
        verified.mend(&registry, true).await.unwrap();
        assert_eq!((verified.withheld(), due(&registry).len()), (1, 2), "it is taken away when that is confirmed");
    }

    #[tokio::test]
    async fn a_place_that_we_know_better_than_the_extraction_is_kept() {
        let registry = scene().await;
        let anne = published(&registry, "anne", "899700000001", Some("1014196210")).await;
        registry.close(anne.id, "").await.unwrap();
        let [closed] = <[Due; 1]>::try_from(due(&registry)).unwrap();
        let known = closed.leaves()[0].clone();
        assert_eq!(known.resource, "PractitionerRole");
        registry.publication_refused(&closed, 422, "non").await.unwrap();
        let mut verified = compare(&registry, vec![extracted(&anne)], Extent::Extraction).unwrap();
        verified.mend(&registry, false).await.unwrap();
        assert_eq!(due(&registry)[0].leaves(), [&known]);
        // The directory itself says where it is.
        let mut verified = compare(&registry, vec![extracted(&anne)], Extent::Whole).unwrap();
        verified.mend(&registry, false).await.unwrap();
        assert_eq!(due(&registry)[0].leaves()[0].resource, "Practitioner");
    }
}
