//! Search parameters of the directory, as far as they are of use here.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Whether a resource is found by a parameter (`name` or `name:modifier`) with a value; `None`: there is no such parameter.
pub(super) fn finds(resource: &Value, parameter: &str, value: &str) -> Option<bool> {
    let found = match parameter {
        "_id" => resource["id"] == value,
        "identifier" => tokens(&resource["identifier"]).any(|token| token.is(value)),
        // FHIR R4 §3.1.1.4.8: a string parameter finds what begins so, in any case.
        "mailbox-mss" => mailboxes(resource).any(|address| address.to_lowercase().starts_with(&value.to_lowercase())),
        "mailbox-mss:contains" => {
            mailboxes(resource).any(|address| address.to_lowercase().contains(&value.to_lowercase()))
        }
        "mailbox-mss:exact" => mailboxes(resource).any(|address| address == value),
        "name" => names(resource).any(|name| plain(name).starts_with(&plain(value))),
        "name:contains" => names(resource).any(|name| plain(name).contains(&plain(value))),
        "address-city" => towns(resource).any(|town| plain(town).starts_with(&plain(value))),
        _ => return None,
    };
    Some(found)
}

struct Token<'a> {
    system: &'a str,
    value: &'a str,
}

impl Token<'_> {
    /// FHIR R4 §3.1.1.4.10: `system|value`, or the value in any system.
    fn is(&self, wanted: &str) -> bool {
        match wanted.split_once('|') {
            Some((system, value)) => system == self.system && value == self.value,
            None => wanted == self.value,
        }
    }
}

fn tokens(identifiers: &Value) -> impl Iterator<Item = Token<'_>> {
    let all = identifiers.as_array().into_iter().flatten();
    all.filter_map(|one| Some(Token { system: one["system"].as_str()?, value: one["value"].as_str()? }))
}

/// The mail addresses of a resource.
fn mailboxes(resource: &Value) -> impl Iterator<Item = &str> {
    let all = resource["telecom"].as_array().into_iter().flatten();
    all.filter(|contact| contact["system"] == "email").filter_map(|contact| contact["value"].as_str())
}

/// A structure's name, or every part of a professional's.
fn names(resource: &Value) -> impl Iterator<Item = &str> {
    let parts = resource["name"].as_array().into_iter().flatten();
    let parts = parts.flat_map(|name| {
        let given = name["given"].as_array().into_iter().flatten();
        given.chain([&name["family"]])
    });
    parts.chain([&resource["name"]]).filter_map(Value::as_str)
}

fn towns(resource: &Value) -> impl Iterator<Item = &str> {
    let all = resource["address"].as_array().into_iter().flatten();
    all.filter_map(|address| address["city"].as_str())
}

/// FHIR R4 §3.1.1.4.8: neither case nor accents count.
fn plain(text: &str) -> String {
    text.nfd().filter(|&character| !is_combining_mark(character)).flat_map(char::to_lowercase).collect()
}
