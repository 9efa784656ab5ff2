//! What the reader makes of good, odd and hostile extractions.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// As MSSanté §9 has it.
const HEADER: &str = "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|\
    Type identifiant structure|Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|\
    Prénom d'exercice|Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|\
    Code savoir-faire|Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|\
    Enseigne commerciale structure BAL|L2COMPLEMENTLOCALISATION structure BAL|L3COMPLEMENTDISTRIBUTION structure BAL|\
    L4NUMEROVOIE structure BAL|L4COMPLEMENTNUMEROVOIE structure BAL|NL4TYPEVOIE structure BAL|\
    L4LIBELLEVOIE structure BAL|L5LIEUDITMENTION structure BAL|L6LIGNEACHEMINEMENT structure BAL|\
    Code postal structure BAL|Département structure BAL|Pays structure BAL";

/// A line with a kind and an address, and the columns' numbers elsewhere.
fn line(kind: &str, address: &str) -> String {
    let rest: Vec<String> = (3..=31).map(|number| format!("c{number}")).collect();
    format!("{kind}|{address}|{}", rest.join("|"))
}

fn text(lines: &[String]) -> String {
    [&[HEADER.to_owned()], lines].concat().join("\n") + "\n"
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn addresses(content: &[u8]) -> Result<(Vec<String>, Reading), ExtractionError> {
    let mut found = Vec::new();
    let reading = read(Cursor::new(content), &mut |line| found.push(line.get(Column::Address).to_owned()))?;
    Ok((found, reading))
}

fn named(content: &[u8]) -> &'static str {
    addresses(content).err().map_or("ok", |error| error.name())
}

#[test]
fn an_archive_and_its_text_are_read_alike() {
    let text = text(&[line("PER", "a@x.example"), line("ORG", "b@x.example")]);
    let packed = archive(&[("Extraction_Correspondance_MSSante_202611252300.txt", text.as_bytes())]);
    let wanted = (vec!["a@x.example".to_owned(), "b@x.example".to_owned()], Reading { lines: 2, ..Reading::default() });
    assert_eq!(addresses(text.as_bytes()).unwrap(), wanted);
    assert_eq!(addresses(&packed).unwrap(), wanted);
}

#[test]
fn columns_are_found_by_their_names_in_any_order_with_more_of_them() {
    let mut names: Vec<&str> = HEADER.split('|').collect();
    names.reverse();
    names.push("Une de plus");
    let mut fields: Vec<String> = line("PER", "a@x.example").split('|').map(str::to_owned).collect();
    fields.reverse();
    fields.push("plus".into());
    // A byte order mark, separators and carriage returns at the lines' ends, no newline after the last.
    let text = format!("\u{feff}{}|\r\n{}|\r\n\r\n{}", names.join("|"), fields.join("|"), fields.join("|"));
    let mut seen = Vec::new();
    let reading = read(Cursor::new(text), &mut |line| {
        seen.push(
            [Column::Address, Column::Kind, Column::LastName, Column::Postcode].map(|of| line.get(of).to_owned()),
        );
    });
    assert_eq!(reading.unwrap(), Reading { lines: 2, ..Reading::default() });
    let wanted = ["a@x.example", "PER", "c10", "c29"].map(str::to_owned);
    assert_eq!(seen, [wanted.clone(), wanted]);
}

#[test]
fn every_column_that_is_read_is_asked_for_by_name() {
    for (column, name) in COLUMNS {
        let without: Vec<&str> = HEADER.split('|').filter(|known| folded(known) != name).collect();
        assert_eq!(without.len(), 30, "{name}");
        let Err(ExtractionError::Header(missing)) = addresses(without.join("|").as_bytes()) else {
            panic!("{name} is not missed")
        };
        assert_eq!(missing, [name], "{column:?}");
    }
    for (at, (column, _)) in COLUMNS.iter().enumerate() {
        assert_eq!(*column as usize, at);
    }
    assert_eq!(named(b""), "bad-header");
    assert_eq!(named(b"<!doctype html><title>Maintenance</title>"), "bad-header");
}

#[test]
fn lines_that_make_no_sense_are_counted_and_named_without_their_words() {
    let mut content = text(&[line("PER", "a@x.example")]).into_bytes();
    let long = format!("PER|long@x.example|{}", "x".repeat(LONGEST_LINE));
    for damaged in [
        b"PER|deux@x.example".as_slice(),
        line("XXX", "b@x.example").as_bytes(),
        line("PER", "sans adresse").as_bytes(),
        line("PER", "@x.example").as_bytes(),
        &[line("PER", "c@x.example").as_bytes(), b"\xff"].concat(),
        long.as_bytes(),
    ] {
        content.extend_from_slice(damaged);
        content.push(b'\n');
    }
    content.extend_from_slice(line("ORG", "z@x.example").as_bytes());
    let (found, reading) = addresses(&content).unwrap();
    assert_eq!(found, ["a@x.example", "z@x.example"]);
    assert_eq!((reading.lines, reading.damaged), (8, 6));
    let named: Vec<String> = reading.first_damaged.iter().map(ToString::to_string).collect();
    let wanted = [
        "line 3: 2 columns",
        "line 4: no kind of mailbox",
        "line 5: no address",
        "line 6: no address",
        "line 7: no text",
        "line 8: longer than 16384 bytes",
    ];
    assert_eq!(named, wanted);
}

#[test]
fn a_file_with_many_damaged_lines_is_refused_as_a_whole() {
    let good = |count: usize| (0..count).map(|number| line("PER", &format!("{number}@x.example")));
    let bad = |count: usize| (0..count).map(|_| "PER|x".to_owned());
    for (goods, bads, outcome) in
        [(1, 10, "ok"), (1, 11, "damaged"), (0, 1, "damaged"), (2_000, 20, "ok"), (1_900, 30, "damaged"), (0, 0, "ok")]
    {
        let lines: Vec<String> = good(goods).chain(bad(bads)).collect();
        assert_eq!(named(text(&lines).as_bytes()), outcome, "{goods} good, {bads} bad");
    }
    let Err(error) = addresses(text(&bad(40).collect::<Vec<_>>()).as_bytes()) else { panic!("it is taken") };
    let said = error.to_string();
    assert!(said.starts_with("40 of 40 lines") && said.contains("line 2: 2 columns"), "{said}");
    assert_eq!(said.matches("columns").count(), NAMED);
}

#[test]
fn archives_with_other_things_in_them_or_none_are_refused() {
    let text = text(&[line("PER", "a@x.example")]);
    let name = "dossier/Extraction_Correspondance_MSSante_1.txt";
    let good: (&str, &[u8]) = (name, text.as_bytes());
    assert_eq!(named(&archive(&[good, ("lisez-moi.txt", b"rien")])), "ok");
    assert_eq!(named(&archive(&[])), "bad-archive");
    assert_eq!(named(&archive(&[("autre.txt", text.as_bytes())])), "bad-archive");
    assert_eq!(named(&archive(&[good, ("Extraction_Correspondance_MSSante_2.txt", b"")])), "bad-archive");
    let names: Vec<String> = (0..=MOST_ENTRIES).map(|number| format!("{number}.txt")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    assert_eq!(named(&archive(&many)), "bad-archive");
}

#[test]
fn every_archive_that_was_cut_or_altered_is_refused_or_reads_the_same() {
    let text = text(&(0..40).map(|number| line("PER", &format!("{number}@x.example"))).collect::<Vec<_>>());
    let packed = archive(&[("Extraction_Correspondance_MSSante_1.txt", text.as_bytes())]);
    let whole = addresses(&packed).unwrap();
    for end in 0..packed.len() {
        assert!(addresses(&packed[..end]).is_err(), "cut at {end}");
    }
    for at in 0..packed.len() {
        let mut altered = packed.clone();
        altered[at] ^= 1 << (at % 8);
        if let Ok(read) = addresses(&altered) {
            assert_eq!(read, whole, "altered at {at}");
        }
    }
}

#[test]
fn what_unpacks_to_too_much_is_given_up() {
    let endless = std::io::repeat(b'x').take(100_000);
    let mut lines = Lines::new(endless, 50_000);
    let error = loop {
        match lines.next() {
            Ok(Some((_, line))) => assert_eq!(line, Err(Flaw::TooLong)),
            Ok(None) => panic!("it is read to its end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.name(), "bomb");
    let mut enough = Lines::new(std::io::Cursor::new(b"a\nb\n"), 4);
    assert!(matches!(enough.next(), Ok(Some((1, Ok("a"))))) && matches!(enough.next(), Ok(Some((2, Ok("b"))))));
    assert!(matches!(enough.next(), Ok(None)));
}
