//! Looking somebody up: in the local copy, or by asking the directory (FHIR).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::client::{DirectoryError, FhirClient};
use super::copy::{Entry, Field, Query};
use super::fold::folded;
use super::refresh::CopyHandle;
use super::resource::{ACTIVITY, PROFESSIONAL, STRUCTURE, entries};

/// How long an answer of the directory is good.
const FRESH: Duration = Duration::from_secs(600);

/// Answers that are kept.
const MOST_KEPT: usize = 500;

/// Pages that are read of one question: who finds more has to say more.
const MOST_PAGES: usize = 4;

/// A word of digits alone is taken for a number if it is so long.
const NUMBER: usize = 8;

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the local copy of the extraction.
    Local,
    /// In the directory itself.
    Fhir,
}

impl Source {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Fhir => "fhir",
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Hits {
    /// Where.
    pub from: Source,
    /// When the copy was taken, Unix seconds.
    pub taken_at: Option<i64>,
    /// How many mailboxes; in the directory itself, as far as was read.
    pub total: usize,
    /// There is more in the directory than was read.
    pub is_cut: bool,
    /// The ones that were asked for, in the order of their names.
    pub entries: Vec<Entry>,
}

/// Why nothing was looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// There is no local copy, or not yet.
    #[error("there is no local copy of the directory (directory.extraction)")]
    NoCopy,
    /// The directory is not configured.
    #[error("the directory cannot be asked: directory.url is empty")]
    Off,
    /// That cannot be asked of the directory.
    #[error("the directory itself is not searched by {0}: look in the local copy")]
    NotThere(&'static str),
    /// The directory cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The server is stopping.
    #[error("it was interrupted")]
    Interrupted,
}

/// Looks mailboxes up. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    copy: Option<CopyHandle>,
    fhir: Option<Arc<FhirLookup>>,
}

impl Lookup {
    /// In what there is of the two.
    pub fn new(copy: Option<CopyHandle>, client: Option<FhirClient>) -> Self {
        Self { copy, fhir: client.map(|client| Arc::new(FhirLookup { client, kept: Mutex::default() })) }
    }

    /// Whether there is anything to look in, or will be.
    pub fn is_there(&self) -> bool {
        self.copy.is_some() || self.fhir.is_some()
    }

    /// The local copy, where it is configured.
    pub fn copy(&self) -> Option<&CopyHandle> {
        self.copy.as_ref()
    }

    /// Looks somebody up: where it is said, or else in the copy if there is one.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn search(
        &self,
        query: &Query,
        from: Option<Source>,
        skipped: usize,
        most: usize,
    ) -> Result<Hits, LookupError> {
        let copy = self.copy.as_ref().and_then(|handle| Some((handle.copy()?, handle.status().taken_at)));
        match (from, copy, &self.fhir) {
            (None | Some(Source::Local), Some((copy, taken_at)), _) => {
                // Milliseconds, in which no other connection of this thread were answered.
                let query = query.clone();
                let finding = tokio::task::spawn_blocking(move || copy.find(&query, skipped, most));
                let (total, entries) = finding.await.map_err(|_| LookupError::Interrupted)?;
                Ok(Hits { from: Source::Local, taken_at, total, is_cut: false, entries })
            }
            (Some(Source::Local), None, _) => Err(LookupError::NoCopy),
            (None | Some(Source::Fhir), _, Some(fhir)) => {
                let answer = fhir.search(query).await?;
                let entries = answer.entries.iter().skip(skipped).take(most).cloned().collect();
                let (total, is_cut) = (answer.entries.len(), answer.is_cut);
                Ok(Hits { from: Source::Fhir, taken_at: None, total, is_cut, entries })
            }
            (None | Some(Source::Fhir), _, None) => Err(LookupError::Off),
        }
    }
}

/// Asks the directory, and remembers its answers for a while.
#[derive(Debug)]
struct FhirLookup {
    client: FhirClient,
    kept: Mutex<HashMap<Query, (Instant, Arc<Answer>)>>,
}

#[derive(Debug, Default)]
struct Answer {
    entries: Vec<Entry>,
    is_cut: bool,
}

/// A question: a type of resource and what it should have.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    resource: &'static str,
    parameters: Vec<(&'static str, String)>,
    /// What the directory cannot be asked of such a resource, but is asked of what comes along with it.
    names: Vec<String>,
    numbers: Vec<String>,
}

/// What comes along with an activity, and with a professional (FHIR R4 §3.1.1.5.4): one has the name, the other may have the mailbox.
const WITH_PROFESSIONALS: (&str, &str) = ("_include", "PractitionerRole:practitioner");
const WITH_ACTIVITIES: (&str, &str) = ("_revinclude", "PractitionerRole:practitioner");

impl FhirLookup {
    async fn search(&self, query: &Query) -> Result<Arc<Answer>, LookupError> {
        let kept = self.kept().get(query).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, answer)| Arc::clone(answer));
        if let Some(answer) = kept {
            return Ok(answer);
        }
        let mut answer = Answer::default();
        for question in questions(query)? {
            self.ask(&question, query, &mut answer).await?;
        }
        answer.entries.sort_by_cached_key(|entry| {
            let name = if entry.last_name.is_empty() { &entry.structure } else { &entry.last_name };
            (folded(name), folded(&entry.first_name), entry.address.to_lowercase())
        });
        answer.entries.dedup();
        let answer = Arc::new(answer);
        self.keep(query.clone(), Arc::clone(&answer));
        Ok(answer)
    }

    async fn ask(&self, question: &Question, query: &Query, answer: &mut Answer) -> Result<(), DirectoryError> {
        let parameters: Vec<(&str, &str)> =
            question.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut page = self.client.first_page(question.resource, &parameters).await?;
        for number in 1.. {
            answer.entries.extend(question.found(&page.resources, query));
            match page.next.take() {
                None => break,
                Some(_) if number == MOST_PAGES => {
                    answer.is_cut = true;
                    break;
                }
                Some(next) => page = self.client.page(&next).await?,
            }
        }
        Ok(())
    }

    fn keep(&self, query: Query, answer: Arc<Answer>) {
        let mut kept = self.kept();
        kept.retain(|_, (at, _)| at.elapsed() < FRESH);
        if kept.len() >= MOST_KEPT {
            let oldest = kept.iter().min_by_key(|(_, (at, _))| *at).map(|(query, _)| query.clone());
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        kept.insert(query, (Instant::now(), answer));
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Query, (Instant, Arc<Answer>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    fn of(resource: &'static str) -> Self {
        Self { resource, parameters: Vec::new(), names: Vec::new(), numbers: Vec::new() }
    }

    /// Each of these words too: a parameter that is repeated has to be met each time (FHIR R4 §3.1.1.4.17).
    fn with(mut self, parameter: &'static str, words: &[&str]) -> Self {
        self.parameters.extend(words.iter().map(|word| (parameter, (*word).to_owned())));
        self
    }

    fn along(mut self, (parameter, resources): (&'static str, &'static str)) -> Self {
        self.parameters.push((parameter, resources.to_owned()));
        self
    }

    /// Of a person with these names and numbers; known once the answer is there.
    fn of_person(mut self, names: &[&str], numbers: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        (self.names, self.numbers) = (owned(names), owned(numbers));
        self
    }

    /// The mailboxes of a page's resources, with what came along.
    fn found(&self, resources: &[Value], query: &Query) -> impl Iterator<Item = Entry> {
        let shown = resources.iter().flat_map(|resource| entries(resource, resources));
        shown.filter(|entry| has_address(entry, query) && self.is_of_person(entry))
    }

    fn is_of_person(&self, entry: &Entry) -> bool {
        let name = folded(&[entry.last_name.as_str(), &entry.first_name].join(" "));
        let (national, own) = (entry.national_id.as_str(), entry.national_id.get(1..).unwrap_or_default());
        self.names.iter().all(|word| name.contains(word)) && self.numbers.iter().all(|n| n == national || n == own)
    }
}

/// What has to be asked, by the directory's own search parameters (API Annuaire Santé FHIR v2). A word that is said of nothing in
/// particular is a number or a name.
fn questions(query: &Query) -> Result<Vec<Question>, LookupError> {
    let of = |field| query.words(Some(field)).collect::<Vec<&str>>();
    let [names, numbers, addresses, structures, professions, towns] =
        [Field::Name, Field::Number, Field::Address, Field::Structure, Field::Profession, Field::Town].map(of);
    let is_number = |word: &&str| word.len() >= NUMBER && word.bytes().all(|octet| octet.is_ascii_digit());
    let (any_numbers, any_names): (Vec<&str>, Vec<&str>) = query.words(None).partition(is_number);
    let is_person = !names.is_empty() || !numbers.is_empty();
    let is_structure = !structures.is_empty() || !towns.is_empty();
    if !professions.is_empty() {
        return Err(LookupError::NotThere("profession"));
    }
    if is_person && is_structure {
        return Err(LookupError::NotThere("a professional and a structure together"));
    }
    let asked = |resource| {
        let question = Question::of(resource).with("mailbox-mss:contains", &addresses);
        question.with("name:contains", &any_names).with("identifier", &any_numbers)
    };
    let mut questions = Vec::new();
    if !is_structure {
        let question = asked(PROFESSIONAL).with("name:contains", &names).with("identifier", &numbers);
        // A mailbox may stand on one of the professional's activities, which have no name to be asked by.
        let along = addresses.is_empty().then_some(WITH_ACTIVITIES);
        questions.push(along.into_iter().fold(question, Question::along));
    }
    if !is_person {
        questions.push(asked(STRUCTURE).with("name:contains", &structures).with("address-city", &towns));
    }
    // By its address, or by a number of its own, an activity is asked for itself; whose it is comes along.
    let has_number = any_names.is_empty() && !is_person && !any_numbers.is_empty();
    if !is_structure && (!addresses.is_empty() || has_number) {
        let activity = Question::of(ACTIVITY).with("mailbox-mss:contains", &addresses);
        let activity = match addresses.is_empty() {
            true => activity.with("identifier", &any_numbers),
            false => activity.of_person(&[names, any_names].concat(), &[numbers, any_numbers].concat()),
        };
        questions.push(activity.along(WITH_PROFESSIONALS));
    }
    Ok(questions)
}

/// A resource is found by one of its mailboxes; the others are not what was looked for.
fn has_address(entry: &Entry, query: &Query) -> bool {
    let address = folded(&entry.address);
    query.words(Some(Field::Address)).all(|word| address.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::directory::resource::NAME_OF_ACTIVITY;
    use serde_json::json;

    fn shown(query: &Query) -> Vec<String> {
        let line = |question: &Question| {
            let pairs = question.parameters.iter().map(|(name, value)| format!("{name}={value}"));
            format!("{}?{}", question.resource, pairs.collect::<Vec<_>>().join("&"))
        };
        questions(query).unwrap().iter().map(line).collect()
    }

    #[test]
    fn each_field_asks_the_resources_that_have_it() {
        let with = |field, text| Query::default().with(field, text);
        for (query, asked) in [
            (
                with(None, "Éloïse Martin"),
                vec![
                    "Practitioner?name:contains=eloise&name:contains=martin&_revinclude=PractitionerRole:practitioner",
                    "Organization?name:contains=eloise&name:contains=martin",
                ],
            ),
            (
                with(None, "810003456789"),
                vec![
                    "Practitioner?identifier=810003456789&_revinclude=PractitionerRole:practitioner",
                    "Organization?identifier=810003456789",
                    "PractitionerRole?identifier=810003456789&_include=PractitionerRole:practitioner",
                ],
            ),
            (
                with(Some(Field::Address), "martin@aura"),
                vec![
                    "Practitioner?mailbox-mss:contains=martin&mailbox-mss:contains=aura",
                    "Organization?mailbox-mss:contains=martin&mailbox-mss:contains=aura",
                    "PractitionerRole?mailbox-mss:contains=martin&mailbox-mss:contains=aura&\
                     _include=PractitionerRole:practitioner",
                ],
            ),
            (
                with(Some(Field::Address), "aura").with(Some(Field::Name), "martin"),
                vec![
                    "Practitioner?mailbox-mss:contains=aura&name:contains=martin",
                    "PractitionerRole?mailbox-mss:contains=aura&_include=PractitionerRole:practitioner",
                ],
            ),
            (with(Some(Field::Town), "Lyon"), vec!["Organization?address-city=lyon"]),
            (
                with(Some(Field::Number), "10003456789"),
                vec!["Practitioner?identifier=10003456789&_revinclude=PractitionerRole:practitioner"],
            ),
        ] {
            assert_eq!(shown(&query), asked);
        }
        let both = with(Some(Field::Town), "Lyon").with(Some(Field::Name), "Martin");
        assert!(matches!(questions(&both), Err(LookupError::NotThere(_))));
        let profession = with(Some(Field::Profession), "médecin");
        assert!(matches!(questions(&profession), Err(LookupError::NotThere("profession"))));
    }

    #[test]
    fn the_red_list_and_other_addresses_are_not_shown() {
        let metadata =
            "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata";
        let contact = |address: &str, red: bool| {
            json!({ "system": "email", "value": address, "extension": [{ "url": metadata, "extension": [
                { "url": "type", "valueCode": "PER" }, { "url": "listeRouge", "valueBoolean": red },
            ]}]})
        };
        let resource = json!({
            "resourceType": "Practitioner",
            "identifier": [
                { "system": "https://rpps.esante.gouv.fr", "value": "10003456789" },
                { "system": "urn:oid:1.2.250.1.71.4.2.1", "value": "810003456789" },
            ],
            "name": [{ "family": "MARTIN", "given": ["Léa"], "prefix": ["MME"], "suffix": ["DR"] }],
            "telecom": [
                contact("lea.martin@aura.example", false),
                contact("cachee@aura.example", true),
                { "system": "email", "value": "lea@courriel.example" },
            ],
        });
        let found = entries(&resource, &[]);
        assert_eq!(found.iter().map(|entry| entry.address.as_str()).collect::<Vec<_>>(), ["lea.martin@aura.example"]);
        let Entry { national_id, title, last_name, first_name, .. } = &found[0];
        assert_eq!([national_id, title, last_name, first_name], ["810003456789", "DR", "MARTIN", "Léa"]);
        let address = |text| Query::default().with(Some(Field::Address), text);
        assert!(has_address(&found[0], &address("martin@aura")) && !has_address(&found[0], &address("cachee@aura")));
    }

    #[test]
    fn an_activitys_mailbox_is_its_professionals() {
        let contact = |address: &str| {
            let metadata =
                "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata";
            json!([{ "system": "email", "value": address, "extension": [{ "url": metadata, "extension": [] }] }])
        };
        let page = [
            json!({
                "resourceType": "Practitioner", "id": "003-1", "name": [{ "family": "MARTIN", "given": ["Léa"] }],
                "identifier": [{ "system": "urn:oid:1.2.250.1.71.4.2.1", "value": "810003456789" }],
            }),
            json!({
                "resourceType": "PractitionerRole", "id": "005-1", "telecom": contact("lea@aura.example"),
                "practitioner": { "reference": "https://annuaire.example/fhir/v2/Practitioner/003-1" },
            }),
            json!({
                "resourceType": "PractitionerRole", "id": "005-2", "telecom": contact("lea.petit@aura.example"),
                "practitioner": { "reference": "Practitioner/003-1" },
                "extension": [{ "url": NAME_OF_ACTIVITY, "valueHumanName": { "family": "PETIT", "given": ["Léa"] } }],
            }),
            json!({
                "resourceType": "PractitionerRole", "id": "005-3", "telecom": contact("autre@aura.example"),
                "practitioner": { "reference": "Practitioner/003-2" },
            }),
        ];
        let found = |field, word: &str| {
            let query = Query::default().with(Some(Field::Address), "aura.example").with(Some(field), word);
            let questions = questions(&query).unwrap();
            let activities = questions.iter().find(|question| question.resource == ACTIVITY).unwrap();
            activities.found(&page, &query).map(|entry| entry.address).collect::<Vec<_>>()
        };
        assert_eq!(found(Field::Name, "Martin"), ["lea@aura.example"]);
        assert_eq!(found(Field::Name, "petit"), ["lea.petit@aura.example"]);
        assert_eq!(found(Field::Number, "10003456789"), ["lea@aura.example", "lea.petit@aura.example"]);
        assert_eq!(found(Field::Number, "810003456788"), [""; 0]);
        assert_eq!(found(Field::Address, "autre"), ["autre@aura.example"], "whose it is is not known");
    }
}
