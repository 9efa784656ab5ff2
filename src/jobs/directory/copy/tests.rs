//! Who is found in a copy, and by what.

use std::io::Cursor;

use super::*;
use crate::jobs::directory::extraction::read;

const HEADER: &str = "Type de BAL|Adresse BAL|Identification nationale PP|Identification Structure|\
    Service de rattachement|Civilité d'exercice|Nom d'exercice|Prénom d'exercice|Libellé de catégorie profession|\
    Libellé Profession|Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|\
    Enseigne commerciale structure BAL|L2COMPLEMENTLOCALISATION structure BAL|L3COMPLEMENTDISTRIBUTION structure BAL|\
    L4NUMEROVOIE structure BAL|L4COMPLEMENTNUMEROVOIE structure BAL|NL4TYPEVOIE structure BAL|\
    L4LIBELLEVOIE structure BAL|L5LIEUDITMENTION structure BAL|L6LIGNEACHEMINEMENT structure BAL|\
    Code postal structure BAL|Pays structure BAL";

const LINES: [&str; 5] = [
    "PER|eloise.lefevre@medecin.mssante.fr|810003456789|1690000012||DR|LEFÈVRE|Éloïse|Civil|Médecin|Cardiologie|O|\
     HÔPITAL SAINT-LUC|Saint Luc Saint Jo|Bât. B||20|bis|QUAI|CLAUDE BERNARD||69007 LYON CEDEX 07|69007|FRANCE",
    "PER|p.martin@infirmier.mssante.fr|810009999991|||MME|MARTIN|Paule|Civil|Infirmier||N||||||||||||",
    "PER|q.martin@infirmier.mssante.fr|810009999992|||MME|Martin|Anne|Civil|Infirmier||N||||||||||||",
    "ORG|urgences@saint-luc.mssante.fr||1690000012|Urgences||||||||HÔPITAL SAINT-LUC|Saint Luc Saint Jo|Bât. B||20|bis|\
     QUAI|CLAUDE BERNARD||69007 LYON CEDEX 07|69007|FRANCE",
    "ORG|secretariat@ch.mssante.fr||1010000024|||||||||CENTRE HOSPITALIER DU CŒUR|||||||||01000 BOURG EN BRESSE|01000|",
];

fn copy() -> Copy {
    let text = format!("{HEADER}\n{}\n", LINES.join("\n"));
    let mut builder = CopyBuilder::default();
    let reading = read(Cursor::new(text), &mut |line| builder.add(line)).unwrap();
    assert_eq!((reading.lines, reading.damaged), (5, 0), "{reading:?}");
    builder.finish()
}

fn found(query: &Query) -> Vec<String> {
    let (total, entries) = copy().find(query, 0, 10);
    assert_eq!(total, entries.len());
    entries.into_iter().map(|entry| entry.address.split('@').next().unwrap().to_owned()).collect()
}

#[test]
fn any_word_finds_by_its_beginning_without_accents() {
    for (text, wanted) in [
        ("lefevre", vec!["eloise.lefevre"]),
        ("ÉLOÏSE lefèv", vec!["eloise.lefevre"]),
        ("810003456789", vec!["eloise.lefevre"]),
        ("10003456789", vec!["eloise.lefevre"]),
        ("eloise.lefevre@medecin.mssante.fr", vec!["eloise.lefevre"]),
        ("medecin cardio", vec!["eloise.lefevre"]),
        ("infirmier", vec!["q.martin", "p.martin"]),
        ("martin anne", vec!["q.martin"]),
        ("hopital saint luc", vec!["urgences", "eloise.lefevre"]),
        ("690000012 urgences", vec!["urgences"]),
        ("lyon", vec!["urgences", "eloise.lefevre"]),
        ("69007", vec!["urgences", "eloise.lefevre"]),
        ("coeur bourg", vec!["secretariat"]),
        ("CŒUR", vec!["secretariat"]),
        ("martin lyon", vec![]),
        ("artin", vec![]),
        ("--", vec![]),
    ] {
        assert_eq!(found(&Query::default().with(None, text)), wanted, "{text}");
    }
}

#[test]
fn a_field_is_looked_in_alone() {
    let with = |field, text| Query::default().with(Some(field), text);
    assert_eq!(found(&with(Field::Name, "saint")), [""; 0]);
    assert_eq!(found(&with(Field::Structure, "saint")), ["urgences", "eloise.lefevre"]);
    assert_eq!(found(&with(Field::Address, "saint")), ["urgences"]);
    assert_eq!(found(&with(Field::Structure, "urgences")), ["urgences"]);
    assert_eq!(found(&with(Field::Number, "1690000012")), [""; 0]);
    let both = with(Field::Town, "lyon").with(Some(Field::Profession), "médecin").with(None, "saint");
    assert_eq!(found(&both), ["eloise.lefevre"]);
    assert!(Query::default().with(None, " - ").is_empty());
    assert_eq!(found(&Query::default()), [""; 0]);
}

#[test]
fn an_entry_says_all_that_the_extraction_does() {
    let (_, entries) = copy().find(&Query::default().with(None, "lefevre"), 0, 1);
    let text = |text: &str| text.to_owned();
    let wanted = Entry {
        address: text("eloise.lefevre@medecin.mssante.fr"),
        kind: text("PER"),
        national_id: text("810003456789"),
        title: text("DR"),
        last_name: text("LEFÈVRE"),
        first_name: text("Éloïse"),
        profession: text("Médecin"),
        skill: text("Cardiologie"),
        structure_id: text("1690000012"),
        structure: text("HÔPITAL SAINT-LUC"),
        sign: text("Saint Luc Saint Jo"),
        service: String::new(),
        description: String::new(),
        street: text("Bât. B, 20 bis QUAI CLAUDE BERNARD"),
        postcode: text("69007"),
        town: text("LYON CEDEX 07"),
        zero_paper: true,
    };
    assert_eq!(entries, [wanted]);
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let (copy, query) = (copy(), Query::default().with(None, "mssante"));
    let all = copy.find(&query, 0, 10).1;
    assert_eq!(all.len(), 5);
    let mut paged = Vec::new();
    for skipped in 0..6 {
        let (total, page) = copy.find(&query, skipped, 1);
        assert_eq!(total, 5);
        paged.extend(page);
    }
    assert_eq!(paged, all);
}

#[test]
fn what_a_copy_finds_is_what_reading_every_line_finds() {
    // Every beginning of every word of every line, looked for in any field.
    let copy = copy();
    let all: Vec<Entry> = copy.of_domains(|_| true);
    for line in LINES {
        for word in folded(line).split(' ') {
            for end in 1..=word.len() {
                let prefix = &word[..end];
                let has = |entry: &&Entry| {
                    let Entry { national_id, structure_id, .. } = entry;
                    let numbers = [national_id.get(1..).unwrap_or(""), structure_id.get(1..).unwrap_or("")].join(" ");
                    let Entry { address, last_name, first_name, profession, skill, structure, sign, .. } = entry;
                    let Entry { service, postcode, town, .. } = entry;
                    let texts = [address, last_name, first_name, profession, skill, structure, sign, service]
                        .map(String::as_str);
                    let more = [postcode, town, national_id, structure_id, &numbers].map(String::as_str);
                    let civil = if skill.is_empty() && profession.is_empty() { "" } else { "Civil" };
                    let text = [texts.join(" "), more.join(" "), civil.to_owned()].join(" ");
                    folded(&text).split(' ').any(|word| word.starts_with(prefix))
                };
                let wanted = all.iter().filter(has).count();
                let (total, _) = copy.find(&Query::default().with(None, prefix), 0, 0);
                assert_eq!(total, wanted, "{prefix}");
            }
        }
    }
}

#[test]
fn domains_are_told_apart() {
    let of = |wanted: &str| copy().of_domains(|domain| domain == wanted).len();
    assert_eq!((of("infirmier.mssante.fr"), of("mssante.fr"), of("ch.mssante.fr")), (2, 0, 1));
}
