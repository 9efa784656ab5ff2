//! `docs/refusals.md` and the relay know the same rules.

use std::fs;
use std::path::Path;

const SOURCES: [&str; 10] = [
    "src/mail/relay/attempt.rs",
    "src/mail/relay/pool.rs",
    "src/mail/relay/route.rs",
    "src/mail/relay/session.rs",
    "src/mail/relay/transaction.rs",
    "src/mail/relay/verdict.rs",
    "src/serve/outbound/connect.rs",
    "src/serve/outbound/dns.rs",
    "src/serve/outbound/handshake.rs",
    "src/serve/outbound/routes.rs",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `4.4.1`
fn is_status(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && matches!(parts[0], "4" | "5") && parts[1..].iter().all(|part| part.parse::<u16>().is_ok())
}

/// `"rule", "4.4.1"` in a source, however the lines are broken; tests are left out.
fn rules_in(source: &str) -> Vec<(String, String)> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let words: Vec<&str> = source.split('"').collect();
    let mut found = Vec::new();
    for three in words.windows(3) {
        if three[1].trim() == "," && is_status(three[2]) {
            found.push((three[0].to_owned(), three[2].to_owned()));
        }
    }
    found
}

#[test]
fn every_rule_of_the_relay_is_documented_with_its_status() {
    let page = read("docs/refusals.md");
    let mut rules: Vec<(String, String)> = SOURCES.iter().flat_map(|path| rules_in(&read(path))).collect();
    rules.extend(["5.7.1", "4.7.1"].map(|status| ("dn-not-listed".to_owned(), status.to_owned())));
    let handshake = read("src/serve/outbound/handshake.rs");
    let certificates = handshake.split('"').filter(|word| word.starts_with("certificate-"));
    rules.extend(certificates.map(|rule| (rule.to_owned(), "4.7.5".to_owned())));
    assert!(rules.len() > 35, "{}: {rules:?}", rules.len());
    for (rule, status) in &rules {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{rule}` |")));
        let row = row.unwrap_or_else(|| panic!("{rule} is not in docs/refusals.md"));
        assert!(row.contains(status), "{rule} with {status}: {row}");
    }
    let (_, section) = page.split_once("# What mail to other operators").expect("the section");
    // What the queue says of its own has a section behind it, and its test with the queue.
    let section = section.split("\n## What the queue says").next().unwrap_or(section);
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let rule = row.split('`').nth(1).expect("a name");
        assert!(rules.iter().any(|(known, _)| known == rule), "{rule} is documented and nowhere in the code");
    }
}
