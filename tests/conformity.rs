//! `docs/conformity.md`, held against the tree: every file and test that it names exists, every rule has both; and the
//! standards that the source cites, listed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    fs::read_to_string(root().join("docs/conformity.md")).expect("docs/conformity.md")
}

/// The words in backquotes of a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether a quoted word is a place in the tree.
fn is_place(word: &str) -> bool {
    ["src/", "tests/", "docs/", "fuzz/", "benches/", "conf/", "systemd/"].iter().any(|folder| word.starts_with(folder))
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

#[test]
fn every_file_and_test_that_the_document_names_exists() {
    let mut missing = Vec::new();
    for (number, line) in document().lines().enumerate() {
        for place in quoted(line).filter(|word| is_place(word)) {
            let (file, function) = place.split_once("::").map_or((place, None), |(file, test)| (file, Some(test)));
            let path = root().join(file);
            let text = if path.is_dir() { Some(String::new()) } else { fs::read_to_string(&path).ok() };
            let found = match (text, function) {
                (None, _) => false,
                (Some(_), None) => true,
                // A test stands by itself, is made by a macro that takes its name first, or is a scenario of a script.
                (Some(text), Some(function)) => {
                    let forms = [format!("fn {function}("), format!("!({function},"), format!("\ndef {function}():")];
                    forms.iter().any(|form| text.contains(form))
                }
            };
            if !found {
                missing.push(format!("docs/conformity.md:{}: {place}", number + 1));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn every_rule_says_what_follows_it_and_what_shows_it_or_not_yet() {
    let mut wanting = Vec::new();
    for (number, line) in document().lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let is_rule = line.starts_with("| ") && cells.len() >= 4 && cells[0] != "rule" && !line.contains("---");
        if !is_rule {
            continue;
        }
        let (code, shown) = (cells[cells.len() - 2], cells[cells.len() - 1]);
        let is_owed = code.starts_with("not yet");
        let has = |cell: &str| quoted(cell).any(is_place);
        let is_shown = has(code) && has(shown);
        if !is_owed && !is_shown {
            wanting.push(format!("docs/conformity.md:{}: {}", number + 1, cells[0]));
        }
    }
    assert!(wanting.is_empty(), "rules without code or test, and not \"not yet\":\n{}", wanting.join("\n"));
}

/// The citations of a text: `RFC 5321 §4.5.2` and `MSSanté §3`, by standard.
fn citations(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (standard, digits) in [("RFC ", true), ("MSSanté", false)] {
        for (at, _) in text.match_indices(standard) {
            let rest = &text[at + standard.len()..];
            let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if digits && number.is_empty() {
                continue;
            }
            let name = format!("{standard}{number}");
            let rest = &rest[number.len()..];
            let section = rest.strip_prefix(" §").unwrap_or_default();
            let section: String = section.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            let sections = found.entry(name).or_default();
            if !section.is_empty() {
                sections.insert(section.trim_end_matches('.').to_owned());
            }
        }
    }
    found
}

#[test]
fn the_source_cites_the_standards_that_it_follows() {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files).expect("src");
    let all: String = files.iter().map(|file| fs::read_to_string(file).expect("a source file")).collect();
    let cited = citations(&all);
    for (standard, sections) in &cited {
        let list: Vec<&str> = sections.iter().map(String::as_str).collect();
        println!("{standard}: {}", list.join(" "));
    }
    // What the first mail cannot be received or read without.
    for standard in ["RFC 5321", "RFC 5322", "RFC 3207", "RFC 3030", "RFC 3501", "RFC 5280", "MSSanté"] {
        assert!(cited.get(standard).is_some_and(|sections| !sections.is_empty()), "{standard} is not cited by section");
    }
}

#[test]
fn citations_are_read() {
    let cited = citations("// RFC 5321 §4.5.2: transparency; RFC 3501 and MSSanté §3. RFC  9 RFC 5321 §2.");
    assert_eq!(cited["RFC 5321"].iter().collect::<Vec<_>>(), ["2", "4.5.2"]);
    assert!(cited["RFC 3501"].is_empty());
    assert_eq!(cited["MSSanté"].iter().collect::<Vec<_>>(), ["3"]);
}
