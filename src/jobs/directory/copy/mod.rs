//! The extraction, held in memory to be searched.
//!
//! ```text
//! line ─▶ builder ─▶ mailboxes: 40 bytes each, numbers of strings, of professions, of structures      ─▶ entry
//!                      └▶ words of names, numbers, addresses ─▶ mailboxes                    ┐
//!                         words of structures, towns, professions, domains ─▶ groups ─▶ ─────┴─▶ one bit a mailbox
//! ```
//!
//! Half a million mailboxes have few professions, domains and structures: each is kept once, and so are its words. What a word finds
//! is gathered as a set of bits, one a mailbox, so that a short word costs little more than a long one.

mod find;
mod strings;
mod words;

use self::strings::{Interner, Strings};
use self::words::{Words, WordsBuilder};
use super::extraction::{Column, Line};
use super::fold::folded;
use crate::mss::Kind;

pub use self::find::{Field, Query};

/// A mailbox of the directory, as others may know it. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its address.
    pub address: String,
    /// `PER`, `ORG`, `APP`, `CAB`.
    pub kind: String,
    /// The professional's national number: a digit for its kind, and the RPPS number.
    pub national_id: String,
    /// `DR`
    pub title: String,
    /// The name that they practise under.
    pub last_name: String,
    /// And the first name.
    pub first_name: String,
    /// `Médecin`
    pub profession: String,
    /// `Cardiologie`
    pub skill: String,
    /// The structure's national number: a digit for its kind, and the FINESS number, say.
    pub structure_id: String,
    /// Its registered name.
    pub structure: String,
    /// The name over its door.
    pub sign: String,
    /// The service within the structure.
    pub service: String,
    /// What the mailbox is for; the extraction does not say.
    pub description: String,
    /// The street, with all that is written above and below it.
    pub street: String,
    /// The postcode.
    pub postcode: String,
    /// The town.
    pub town: String,
    /// Electronic delivery in place of paper.
    pub zero_paper: bool,
}

impl Entry {
    /// A line's mailbox.
    pub fn of(line: &Line<'_>) -> Self {
        let text = |column| line.get(column).to_owned();
        Self {
            address: text(Column::Address),
            kind: text(Column::Kind),
            national_id: text(Column::NationalId),
            title: text(Column::Title),
            last_name: text(Column::LastName),
            first_name: text(Column::FirstName),
            profession: text(Column::Profession),
            skill: text(Column::Skill),
            structure_id: text(Column::StructureId),
            structure: text(Column::Structure),
            sign: text(Column::Sign),
            service: text(Column::Service),
            description: String::new(),
            street: street(line),
            postcode: text(Column::Postcode),
            town: town(line).to_owned(),
            zero_paper: is_zero_paper(line),
        }
    }
}

/// A set of the extraction's mailboxes, in the order of their names.
#[derive(Debug)]
pub struct Copy {
    strings: Strings,
    mailboxes: Vec<Mailbox>,
    professions: Vec<Profession>,
    structures: Vec<Structure>,
    by_profession: Groups,
    by_structure: Groups,
    by_domain: Groups,
    /// Words of mailboxes of their own.
    names: Words,
    numbers: Words,
    locals: Words,
    services: Words,
    /// Words of groups.
    domains: Words,
    structure_words: Words,
    towns: Words,
    profession_words: Words,
}

/// Numbers of strings, but where something else is said.
#[derive(Clone, Copy, Debug)]
struct Mailbox {
    local: u32,
    /// Of a domain, in [`Copy::by_domain`]; the string's number is its group's.
    domain: u32,
    domain_text: u32,
    national_id: u32,
    title: u32,
    last_name: u32,
    first_name: u32,
    service: u32,
    profession: u32,
    structure: u32,
    kind: Kind,
    zero_paper: bool,
}

#[derive(Clone, Copy, Debug)]
struct Profession {
    category: u32,
    label: u32,
    skill: u32,
}

#[derive(Clone, Copy, Debug)]
struct Structure {
    id: u32,
    name: u32,
    sign: u32,
    street: u32,
    postcode: u32,
    town: u32,
}

/// The mailboxes of each of several groups.
#[derive(Debug, Default)]
struct Groups {
    starts: Vec<u32>,
    mailboxes: Vec<u32>,
}

impl Groups {
    /// `of` says each mailbox's group, by their order.
    fn new(count: usize, of: impl Iterator<Item = u32> + Clone) -> Self {
        let mut starts = vec![0u32; count + 1];
        for group in of.clone() {
            starts[group as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let (mut next, mut mailboxes) = (starts.clone(), vec![0; starts[count] as usize]);
        for (mailbox, group) in (0..).zip(of) {
            mailboxes[next[group as usize] as usize] = mailbox;
            next[group as usize] += 1;
        }
        Self { starts, mailboxes }
    }

    fn of(&self, group: u32) -> &[u32] {
        let at = group as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(&start), Some(&end)) => &self.mailboxes[start as usize..end as usize],
            _ => &[],
        }
    }

    fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn memory(&self) -> usize {
        (self.starts.capacity() + self.mailboxes.capacity()) * size_of::<u32>()
    }
}

impl Copy {
    /// How many mailboxes there are.
    pub fn len(&self) -> usize {
        self.mailboxes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.mailboxes.is_empty()
    }

    /// Bytes that it takes.
    pub fn memory(&self) -> usize {
        let words = [&self.names, &self.numbers, &self.locals, &self.services, &self.domains];
        let more = [&self.structure_words, &self.towns, &self.profession_words];
        let groups = [&self.by_profession, &self.by_structure, &self.by_domain];
        self.strings.memory()
            + self.mailboxes.capacity() * size_of::<Mailbox>()
            + self.professions.capacity() * size_of::<Profession>()
            + self.structures.capacity() * size_of::<Structure>()
            + words.into_iter().chain(more).map(Words::memory).sum::<usize>()
            + groups.into_iter().map(Groups::memory).sum::<usize>()
    }

    /// Every mailbox of some domains, in lower case.
    pub fn of_domains(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Entry> {
        let is_wanted = |mailbox: &&Mailbox| is_wanted(&self.strings.at(mailbox.domain_text).to_lowercase());
        self.mailboxes.iter().filter(is_wanted).map(|mailbox| self.entry(mailbox)).collect()
    }

    fn entry(&self, mailbox: &Mailbox) -> Entry {
        let text = |id| self.strings.at(id).to_owned();
        let profession = self.professions[mailbox.profession as usize];
        let structure = self.structures[mailbox.structure as usize];
        Entry {
            address: format!("{}@{}", self.strings.at(mailbox.local), self.strings.at(mailbox.domain_text)),
            kind: mailbox.kind.code().to_owned(),
            national_id: text(mailbox.national_id),
            title: text(mailbox.title),
            last_name: text(mailbox.last_name),
            first_name: text(mailbox.first_name),
            profession: text(if profession.label == 0 { profession.category } else { profession.label }),
            skill: text(profession.skill),
            structure_id: text(structure.id),
            structure: text(structure.name),
            sign: text(structure.sign),
            service: text(mailbox.service),
            description: String::new(),
            street: text(structure.street),
            postcode: text(structure.postcode),
            town: text(structure.town),
            zero_paper: mailbox.zero_paper,
        }
    }
}

/// A copy that is being gathered.
#[derive(Debug, Default)]
pub struct CopyBuilder {
    strings: Interner,
    mailboxes: Vec<Mailbox>,
    professions: Numbered<Profession>,
    structures: Numbered<Structure>,
    domains: Numbered<u32>,
    /// Room to work in.
    whole: String,
}

/// What a line says of a profession, and of a structure.
const OF_PROFESSION: [Column; 3] = [Column::Category, Column::Profession, Column::Skill];
const OF_STRUCTURE: [Column; 12] = [
    Column::StructureId,
    Column::Structure,
    Column::Sign,
    Column::Postcode,
    Column::L2,
    Column::L3,
    Column::L4Number,
    Column::L4Complement,
    Column::L4Type,
    Column::L4Name,
    Column::L5,
    Column::L6,
];

/// Values, each once, by number: made when what they are read from comes for the first time.
#[derive(Debug)]
struct Numbered<T> {
    known: Interner,
    values: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { known: Interner::default(), values: Vec::new() }
    }
}

impl<T> Numbered<T> {
    /// `whole` is not empty.
    fn add(&mut self, whole: &str, value: impl FnOnce() -> T) -> u32 {
        // The first number of an interner is 1.
        let number = self.known.add(whole).saturating_sub(1);
        if number as usize == self.values.len() {
            self.values.push(value());
        }
        number
    }

    fn finish(self) -> Vec<T> {
        self.values
    }
}

impl CopyBuilder {
    /// One more mailbox.
    pub fn add(&mut self, line: &Line<'_>) {
        let Some((local, domain)) = line.get(Column::Address).rsplit_once('@').filter(|(_, name)| !name.is_empty())
        else {
            return;
        };
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.code() == line.get(Column::Kind)) else { return };
        let (profession, structure) = (self.profession(line), self.structure(line));
        let Self { strings, mailboxes, domains, .. } = self;
        let domain = domains.add(domain, || strings.add(domain));
        let mut text = |column| strings.add(line.get(column));
        let [title, last_name, first_name, service] =
            [Column::Title, Column::LastName, Column::FirstName, Column::Service].map(&mut text);
        mailboxes.push(Mailbox {
            local: strings.push(local),
            domain,
            domain_text: domains.values[domain as usize],
            national_id: strings.push(line.get(Column::NationalId)),
            title,
            last_name,
            first_name,
            service,
            profession,
            structure,
            kind,
            zero_paper: is_zero_paper(line),
        });
    }

    fn profession(&mut self, line: &Line<'_>) -> u32 {
        let Self { strings, professions, whole, .. } = self;
        joined(line, &OF_PROFESSION, whole);
        professions.add(whole, || {
            let [category, label, skill] = OF_PROFESSION.map(|column| strings.add(line.get(column)));
            Profession { category, label, skill }
        })
    }

    fn structure(&mut self, line: &Line<'_>) -> u32 {
        let Self { strings, structures, whole, .. } = self;
        joined(line, &OF_STRUCTURE, whole);
        structures.add(whole, || {
            let [id, name, sign, postcode] = [Column::StructureId, Column::Structure, Column::Sign, Column::Postcode]
                .map(|c| strings.add(line.get(c)));
            let (street, town) = (strings.add(&street(line)), strings.add(town(line)));
            Structure { id, name, sign, street, postcode, town }
        })
    }

    /// The copy, when all are there. Takes up to three processors for a second.
    pub fn finish(self) -> Copy {
        let Self { strings, mailboxes, professions, structures, domains, .. } = self;
        let (professions, structures, domains) = (professions.finish(), structures.finish(), domains.finish());
        let strings = strings.finish();
        let mailboxes = sorted(mailboxes, &structures, &strings);
        let group = |count, of: fn(&Mailbox) -> u32| Groups::new(count, mailboxes.iter().map(of));
        let by_profession = group(professions.len(), |mailbox| mailbox.profession);
        let by_structure = group(structures.len(), |mailbox| mailbox.structure);
        let by_domain = group(domains.len(), |mailbox| mailbox.domain);
        let at = |id: u32| strings.at(id);
        // The three large ones beside one another: they take about the same time.
        let (names, numbers, locals) = std::thread::scope(|threads| {
            let names = threads.spawn(|| index(&mailboxes, |one| [at(one.last_name), at(one.first_name)]));
            // The RPPS number is looked for with the digit of its kind before it, and without.
            let numbers = threads.spawn(|| {
                gathered(WordsBuilder::of_rare_words(), &mailboxes, |one| with_and_without_kind(at(one.national_id)))
            });
            let locals = index(&mailboxes, |one| [at(one.local)]);
            (ended(names), ended(numbers), locals)
        });
        let services = index(&mailboxes, |one| [at(one.service)]);
        let domains = index(&domains, |&domain| [at(domain)]);
        let structure_words = index(&structures, |one| {
            let [id, own] = with_and_without_kind(at(one.id));
            [at(one.name), at(one.sign), id, own]
        });
        let towns = index(&structures, |one| [at(one.town), at(one.postcode)]);
        let profession_words = index(&professions, |one| [at(one.category), at(one.label), at(one.skill)]);
        Copy {
            mailboxes,
            professions,
            structures,
            by_profession,
            by_structure,
            by_domain,
            names,
            numbers,
            locals,
            services,
            domains,
            structure_words,
            towns,
            profession_words,
            strings,
        }
    }
}

/// What a thread came to; its panic is ours.
fn ended<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What stands in several columns, in one text that no other columns give.
fn joined(line: &Line<'_>, columns: &[Column], whole: &mut String) {
    whole.clear();
    for column in columns {
        whole.push_str(line.get(*column));
        // What parts the columns of the extraction stands in none of them.
        whole.push('|');
    }
}

/// A national number, and the same without the digit before it that tells its kind.
fn with_and_without_kind(number: &str) -> [&str; 2] {
    [number, number.get(1..).unwrap_or_default()]
}

/// The words of what stands in a list, by its place there.
fn index<'s, T, const N: usize>(of: &[T], texts: impl Fn(&T) -> [&'s str; N]) -> Words {
    gathered(WordsBuilder::default(), of, texts)
}

fn gathered<'s, T, const N: usize>(mut words: WordsBuilder, of: &[T], texts: impl Fn(&T) -> [&'s str; N]) -> Words {
    for (at, one) in (0..).zip(of) {
        for text in texts(one) {
            words.add(text, at);
        }
    }
    words.finish()
}

/// By name and first name; what has no name, by its structure's. Who are called the same stay in their order.
fn sorted(mailboxes: Vec<Mailbox>, structures: &[Structure], strings: &Strings) -> Vec<Mailbox> {
    let name = |mailbox: &Mailbox| match mailbox.last_name {
        0 => structures[mailbox.structure as usize].name,
        name => name,
    };
    let mut used: Vec<u32> = mailboxes.iter().flat_map(|mailbox| [name(mailbox), mailbox.first_name]).collect();
    used.sort_unstable();
    used.dedup();
    let mut order: Vec<(String, u32)> = used.into_iter().map(|id| (folded(strings.at(id)), id)).collect();
    order.sort_unstable();
    let (mut rank, mut last, mut at) = (vec![0u32; strings.len()], "", 0);
    for (name, id) in &order {
        at += u32::from(name != last);
        rank[*id as usize] = at;
        last = name;
    }
    let rank = |id: u32| rank[id as usize];
    let keys = mailboxes.iter().map(|mailbox| (rank(name(mailbox)), rank(mailbox.first_name)));
    let mut keyed: Vec<((u32, u32), u32)> = keys.zip(0..).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, at)| mailboxes[at as usize]).collect()
}

/// The lines of a structure's address but the last.
fn street(line: &Line<'_>) -> String {
    const LINES: [&[Column]; 4] = [
        &[Column::L2],
        &[Column::L3],
        &[Column::L4Number, Column::L4Complement, Column::L4Type, Column::L4Name],
        &[Column::L5],
    ];
    let mut street = String::new();
    for columns in LINES {
        let mut separator = ", ";
        for part in columns.iter().map(|column| line.get(*column)).filter(|part| !part.is_empty()) {
            if !street.is_empty() {
                street.push_str(separator);
            }
            street.push_str(part);
            separator = " ";
        }
    }
    street
}

/// The town of `69003 LYON CEDEX 03`.
fn town<'a>(line: &Line<'a>) -> &'a str {
    let last = line.get(Column::L6);
    let postcode = last.len() - last.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    if postcode == 5 { last[postcode..].trim_start() } else { last }
}

/// The national files say `O` and `N`.
fn is_zero_paper(line: &Line<'_>) -> bool {
    let value = line.get(Column::ZeroPaper);
    ["o", "oui", "1", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests;
