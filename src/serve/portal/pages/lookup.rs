//! The page of the national directory.

use maud::{Markup, html};

use super::super::lookup::{Found, Search};
use super::super::texts;
use super::{form, wrong};
use crate::jobs::directory::copy::Entry;

/// The form, with what was asked for, and what was found.
pub(in super::super) fn search(search: &Search, token: &str, problem: Option<&str>, found: Option<&Found>) -> Markup {
    let describes = problem.map(|_| "erreur");
    let fields = html! {
        @for (name, label, value) in parts(search) {
            p {
                label for=(name) { (label) }
                input id=(name) name=(name) type="text" maxlength="100" value=(value) autocomplete="off" spellcheck="false"
                    aria-describedby=[describes];
            }
        }
        p { button type="submit" { (texts::LOOKUP_SEARCH) } }
    };
    html! {
        p { (texts::LOOKUP_TEXT) }
        (wrong(problem))
        (form(ACTION, token, &fields))
        @if let Some(found) = found {
            section {
                h2 { (texts::LOOKUP_FOUND) }
                p role="status" { (texts::found(found.total, found.is_cut)) " " (texts::known_from(found.taken_at)) }
                @if !found.entries.is_empty() { (table(&found.entries)) }
                (turning(search, token, found))
            }
        }
    }
}

/// Where the form goes.
const ACTION: &str = "/annuaire";

/// The fields: their names in the form, what they are called, what stands in them.
fn parts(search: &Search) -> [(&'static str, &'static str, &str); 4] {
    [
        ("nom", texts::LOOKUP_NAME, &search.nom),
        ("profession", texts::LOOKUP_PROFESSION, &search.profession),
        ("structure", texts::LOOKUP_STRUCTURE, &search.structure),
        ("ville", texts::LOOKUP_TOWN, &search.ville),
    ]
}

fn table(entries: &[Entry]) -> Markup {
    html! {
        table {
            caption class="unseen" { (texts::LOOKUP_FOUND) }
            thead {
                tr {
                    @for head in [texts::LOOKUP_WHO, texts::LOOKUP_ADDRESS, texts::LOOKUP_PROFESSION,
                        texts::LOOKUP_STRUCTURE, texts::LOOKUP_TOWN] { th scope="col" { (head) } }
                }
            }
            tbody { @for entry in entries { (row(entry)) } }
        }
    }
}

/// A mailbox. What the directory says of it is others' text: it stands here as text, each piece by itself (`bdi`).
fn row(entry: &Entry) -> Markup {
    let name = joined([&entry.title, &entry.last_name, &entry.first_name], " ");
    let what = joined([&entry.service, &entry.description], ", ");
    let structure = joined([if entry.sign.is_empty() { &entry.structure } else { &entry.sign }, &what], ", ");
    html! {
        tr {
            th scope="row" { bdi { @if name.is_empty() { (structure) } @else { (name) } } }
            td class="found" data-head=(texts::LOOKUP_ADDRESS) {
                bdi { (entry.address) }
                @if entry.zero_paper { span class="hint" { (texts::LOOKUP_ZERO_PAPER) } }
            }
            td data-head=(texts::LOOKUP_PROFESSION) { bdi { (joined([&entry.profession, &entry.skill], ", ")) } }
            td data-head=(texts::LOOKUP_STRUCTURE) { bdi { @if !name.is_empty() { (structure) } } }
            td data-head=(texts::LOOKUP_TOWN) { bdi { (joined([&entry.postcode, &entry.town], " ")) } }
        }
    }
}

/// The parts that say something.
fn joined<const N: usize>(parts: [&String; N], between: &str) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(between)
}

/// The pages before and after, as forms: a link would say what is looked for.
fn turning(search: &Search, token: &str, found: &Found) -> Markup {
    let Found { page, last_page, .. } = *found;
    let turned = |to: usize, label: &str| {
        let fields = html! {
            @for (name, _, value) in parts(search) { input type="hidden" name=(name) value=(value); }
            button type="submit" class="second" name="page" value=(to) { (label) }
        };
        form(ACTION, token, &fields)
    };
    html! {
        @if last_page > 1 {
            nav class="turning" aria-label=(texts::LOOKUP_PAGES) {
                @if page > 1 { (turned(page - 1, texts::LOOKUP_BEFORE)) }
                span { (texts::page_of(page, last_page)) }
                @if page < last_page { (turned(page + 1, texts::LOOKUP_AFTER)) }
            }
        }
        @if page == last_page && found.has_more() { p { (texts::LOOKUP_SAY_MORE) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entries: Vec<Entry>, page: usize, last_page: usize) -> Found {
        Found { total: entries.len(), entries, is_cut: false, taken_at: None, page, last_page }
    }

    #[test]
    fn what_the_directory_and_the_form_say_is_text_and_nothing_else() {
        let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&amp;\u{202e}";
        let text = || hostile.to_owned();
        let entry = Entry {
            address: text(),
            title: text(),
            last_name: text(),
            first_name: text(),
            profession: text(),
            skill: text(),
            structure: text(),
            service: text(),
            description: text(),
            postcode: text(),
            town: text(),
            ..Entry::default()
        };
        let asked = Search { nom: text(), profession: text(), structure: text(), ville: text(), ..Search::default() };
        let page = search(&asked, "jeton", Some(hostile), Some(&found(vec![entry], 2, 3))).into_string();
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown all the same: {page}");
    }

    #[test]
    fn pages_are_turned_by_forms_that_say_all_again() {
        let asked = Search { nom: "lefevre".into(), ville: "lyon".into(), ..Search::default() };
        let buttons = |page, last| {
            let text = search(&asked, "jeton", None, Some(&found(Vec::new(), page, last))).into_string();
            assert!(!text.contains("href="), "{text}");
            let has = |to: usize| text.contains(&format!("name=\"page\" value=\"{to}\""));
            (1..=4).filter(|to| has(*to)).collect::<Vec<usize>>()
        };
        assert_eq!(buttons(1, 1), [0; 0]);
        assert_eq!(buttons(1, 3), [2]);
        assert_eq!(buttons(2, 3), [1, 3]);
        assert_eq!(buttons(3, 3), [2]);
    }
}
