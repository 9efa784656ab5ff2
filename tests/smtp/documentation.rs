//! `docs/refusals.md` and the code know the same rules.

use std::fs;
use std::path::Path;

use caducee::mss::decision::Rule;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `"rule", 550, (5, 7, 1)` in a source file, as (`rule`, `550 5.7.1`), however the lines are broken.
fn refusals_in(source: &str) -> Vec<(String, String)> {
    let source: String = source.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let source = source.split("#[cfg(test)]").next().unwrap_or_default().replace("( \"", "(\"");
    let mut found = Vec::new();
    for (at, _) in source.match_indices("\", ") {
        let rule = source[..at].rsplit('"').next().unwrap_or_default();
        let Some((code, rest)) = source[at + 3..].split_once(", (") else { continue };
        let Some((enhanced, _)) = rest.split_once(')') else { continue };
        if code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()) {
            found.push((rule.to_owned(), format!("{code} {}", enhanced.replace(", ", "."))));
        }
    }
    found
}

#[test]
fn every_refusal_is_documented_with_its_codes() {
    let page = read("docs/refusals.md");
    let mut refusals = refusals_in(&read("src/wire/smtp/receiver/refusal.rs"));
    refusals.extend(refusals_in(&read("src/serve/smtp/refusal.rs")));
    refusals.extend(refusals_in(&read("src/serve/submission/refusal.rs")));
    assert!(refusals.len() > 55, "{refusals:?}");
    for (rule, codes) in refusals {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{rule}` |")));
        let row = row.unwrap_or_else(|| panic!("{rule} is not in docs/refusals.md"));
        assert!(row.contains(&codes), "{rule} with {codes}: {row}");
    }
}

#[test]
fn every_rule_of_the_trust_space_that_refuses_is_documented() {
    let page = read("docs/refusals.md");
    let accepts = [
        Rule::SenderDomainListed,
        Rule::NullSenderOfListedPeer,
        Rule::HeaderDomainsListed,
        Rule::OwnToOwn,
        Rule::OwnToOther,
        Rule::OtherToOwn,
        Rule::NullSender,
    ];
    for rule in Rule::ALL.into_iter().filter(|rule| !accepts.contains(rule)) {
        assert!(page.contains(&format!("| `{rule}` |")), "{rule} is not in docs/refusals.md");
    }
}
