//! The copy of the national directory at its size: `cargo bench --bench directory [-- MAILBOXES]`.
//!
//! Prints a small table: the extraction read, and held in memory, with the memory that it takes; searches of several kinds, each the
//! slowest of twenty. The people, structures and streets are made up.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::time::{Duration, Instant};

use caducee::jobs::directory::copy::{Copy, CopyBuilder, Field, Query};
use caducee::jobs::directory::extraction;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Mailboxes of the national directory (MSSanté §9).
const MAILBOXES: u64 = 535_000;

/// Searches of a kind.
const TIMES: usize = 20;

const HEADER: &str = "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|\
    Type identifiant structure|Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|\
    Prénom d'exercice|Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|\
    Code savoir-faire|Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|\
    Enseigne commerciale structure BAL|L2COMPLEMENTLOCALISATION structure BAL|L3COMPLEMENTDISTRIBUTION structure BAL|\
    L4NUMEROVOIE structure BAL|L4COMPLEMENTNUMEROVOIE structure BAL|NL4TYPEVOIE structure BAL|\
    L4LIBELLEVOIE structure BAL|L5LIEUDITMENTION structure BAL|L6LIGNEACHEMINEMENT structure BAL|\
    Code postal structure BAL|Département structure BAL|Pays structure BAL\n";

const FIRST: [&str; 16] = [
    "Jean",
    "Marie",
    "Éloïse",
    "Léa",
    "Anne",
    "Zoé",
    "Paul",
    "Hélène",
    "François",
    "Chloé",
    "Noël",
    "Inès",
    "Rémi",
    "Lætitia",
    "Théo",
    "Agnès",
];
const ENDS: [&str; 16] = [
    "martin",
    "bernard",
    "lefèvre",
    "petit",
    "durand",
    "moreau",
    "girard",
    "rousseau",
    "lecœur",
    "fournier",
    "mercier",
    "dupont",
    "lambert",
    "bonnet",
    "françois",
    "legrand",
];
const BEGINS: [&str; 16] = [
    "", "de ", "la ", "du", "mont", "val", "bel", "saint-", "le ", "gran", "clair", "font", "ville", "ro", "mar", "ber",
];
const PROFESSIONS: [&str; 8] = [
    "Médecin",
    "Infirmier",
    "Pharmacien",
    "Sage-femme",
    "Chirurgien-Dentiste",
    "Masseur-Kinésithérapeute",
    "Pédicure-Podologue",
    "Orthophoniste",
];
const SKILLS: [&str; 6] = ["Cardiologie", "Médecine générale", "", "Pédiatrie", "Gériatrie", "Radio-diagnostic"];
const TOWNS: [&str; 12] = [
    "LYON",
    "SAINT ETIENNE",
    "GRENOBLE",
    "VALENCE",
    "BOURG EN BRESSE",
    "ANNECY",
    "CHAMBERY",
    "CLERMONT FERRAND",
    "ROANNE",
    "MOULINS",
    "AURILLAC",
    "LE PUY EN VELAY",
];

fn main() {
    let mailboxes = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(MAILBOXES);
    let packed = archive(mailboxes);
    println!("{mailboxes} mailboxes, {} MB as a ZIP", packed.len() / 1_000_000);
    let begin = Instant::now();
    let mut characters = 0;
    let each = &mut |line: &extraction::Line<'_>| characters += line.get(extraction::Column::Address).len();
    let reading = extraction::read(Cursor::new(&packed), each).unwrap();
    row("read", begin.elapsed(), &format!("{} lines, {} damaged", reading.lines, reading.damaged));
    let begin = Instant::now();
    let mut builder = CopyBuilder::default();
    extraction::read(Cursor::new(&packed), &mut |line| builder.add(line)).unwrap();
    let copy = builder.finish();
    let took = begin.elapsed();
    drop(packed);
    row(
        "read and held",
        took,
        &format!("{} MB held, {} MB at most meanwhile", copy.memory() / 1_000_000, most_memory()),
    );
    let any = |text: &str| Query::default().with(None, text);
    let of = |field, text: &str| Query::default().with(Some(field), text);
    for (name, query) in [
        ("a name", any("lefevre eloise")),
        ("a rare number", any("10000123456")),
        ("an address", of(Field::Address, "marie.martin1")),
        ("one letter", any("m")),
        ("three letters", any("m l s")),
        ("everybody", any("mssante")),
        ("a profession in a town", of(Field::Profession, "médecin").with(Some(Field::Town), "lyon")),
        ("many words", any("martin medecin pediatrie hopital lyon ch 1 mssante")),
        ("nobody", any("zzzz")),
    ] {
        let (took, total) = slowest(&copy, &query);
        row(name, took, &format!("{total} found, 50 shown"));
    }
}

fn row(name: &str, took: Duration, what: &str) {
    println!("{name:24} {:>9.2} ms   {what}", took.as_secs_f64() * 1_000.0);
}

fn slowest(copy: &Copy, query: &Query) -> (Duration, usize) {
    let mut all = (0..TIMES).map(|_| {
        let begin = Instant::now();
        let (total, _) = copy.find(query, 0, 50);
        (begin.elapsed(), total)
    });
    let first = all.next().unwrap_or_default();
    all.fold(first, |slowest, one| slowest.max(one))
}

/// The most memory that this process has had, in MB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() / 1_000
}

fn archive(mailboxes: u64) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("Extraction_Correspondance_MSSante_202611250400.txt", options).unwrap();
    zip.write_all(HEADER.as_bytes()).unwrap();
    let mut line = String::new();
    for number in 0..mailboxes {
        line.clear();
        write_line(&mut line, number).unwrap();
        zip.write_all(line.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Some value of a list, by a number that is mixed (SplitMix64).
fn pick<'a>(list: &[&'a str], number: u64) -> &'a str {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    list[usize::try_from((mixed >> 32) % list.len() as u64).unwrap()]
}

/// Nine of ten are professionals; a structure has five mailboxes.
fn write_line(line: &mut String, number: u64) -> std::fmt::Result {
    let structure = number / 5;
    let (town, code) = (pick(&TOWNS, structure), 1_000 + structure % 95_000);
    let name = format!("{}{}{}", pick(&BEGINS, number), pick(&ENDS, number + 1), pick(&ENDS, number / 700));
    let (first, local) = (pick(&FIRST, number + 2), format!("{}{number}", pick(&ENDS, number + 1)));
    let domain = format!("{}{}.mssante.fr", pick(&ENDS, structure).replace(['è', 'œ', 'ç'], "e"), structure % 4_000);
    if number.is_multiple_of(10) {
        write!(
            line,
            "ORG|service.{local}@{domain}||||1|1{structure:08}|Service {}||||||||||N|",
            pick(&SKILLS, number)
        )?;
    } else {
        let rpps = 10_000_000_000 + number;
        write!(
            line,
            "PER|{}.{local}@{domain}|8|{rpps}|8{rpps}|1|1{structure:08}||DR|{}|{first}|C|Civil|10|",
            first.to_lowercase(),
            name.to_uppercase()
        )?;
        write!(line, "{}|SM01|{}|O|", pick(&PROFESSIONS, number + 3), pick(&SKILLS, number + 4))?;
    }
    write!(
        line,
        "HÔPITAL {} {structure}|CH {town}|||{}||RUE|{}||",
        pick(&ENDS, structure + 5),
        structure % 200,
        pick(&ENDS, structure + 6)
    )?;
    writeln!(line, "{code:05} {town}|{code:05}|{:02}|FRANCE", code / 1_000)
}
