//! As much of FHIRPath as patches of the directory use: names, indices, `where(name = 'text')`, `extension('url')`.
//!
//! A path begins with the resource's type. `value` means whichever `value[x]` is there.

use serde_json::Value;
use std::str::Chars;

/// A path, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The type that it begins with.
    pub(super) resource: String,
    /// Its steps.
    pub(super) steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `.telecom`
    Child(String),
    /// `[0]`
    Index(usize),
    /// `.where(value = 'x' and system = 'email')`
    Where(Vec<(String, String)>),
    /// `.extension('url')`
    Extension(String),
}

impl Path {
    /// Reads a path; `None` where it is none, or not of this subset.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().chars();
        let resource = name(&mut rest)?;
        let mut steps = Vec::new();
        loop {
            rest = skip(rest);
            let mut ahead = rest.clone();
            match ahead.next() {
                None => return Some(Self { resource, steps }),
                Some('[') => steps.push(Step::Index(index(&mut ahead)?)),
                Some('.') => steps.push(step(&mut ahead)?),
                Some(_) => return None,
            }
            rest = ahead;
        }
    }

    /// The JSON pointers (RFC 6901) of what it leads to in a resource.
    pub(super) fn places(&self, resource: &Value) -> Vec<String> {
        let mut places = vec![String::new()];
        for step in &self.steps {
            places = step.from(places, resource);
        }
        places
    }
}

impl Step {
    fn from(&self, mut places: Vec<String>, resource: &Value) -> Vec<String> {
        let members = |place: &String, name: &str| {
            resource.pointer(place).map(|here| children(place, here, name)).unwrap_or_default()
        };
        match self {
            Self::Child(name) => places.iter().flat_map(|place| members(place, name)).collect(),
            Self::Extension(url) => {
                let wanted = [("url".to_owned(), url.clone())];
                let all = places.iter().flat_map(|place| members(place, "extension"));
                all.filter(|at| holds(resource.pointer(at), &wanted)).collect()
            }
            Self::Where(wanted) => {
                places.retain(|place| holds(resource.pointer(place), wanted));
                places
            }
            // FHIRPath: of all that the path has led to so far.
            Self::Index(n) => places.into_iter().skip(*n).take(1).collect(),
        }
    }
}

/// The members of that name, lists opened.
fn children(place: &str, here: &Value, name: &str) -> Vec<String> {
    let is_choice = |key: &str| {
        name == "value" && key.strip_prefix("value").is_some_and(|rest| rest.starts_with(char::is_uppercase))
    };
    let Some(members) = here.as_object() else { return Vec::new() };
    let Some((key, value)) = members.iter().find(|(key, _)| *key == name || is_choice(key)) else {
        return Vec::new();
    };
    match value {
        Value::Array(items) => (0..items.len()).map(|n| format!("{place}/{key}/{n}")).collect(),
        _ => vec![format!("{place}/{key}")],
    }
}

fn holds(value: Option<&Value>, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(name, text)| value.and_then(|value| value[name].as_str()) == Some(text))
}

fn step(rest: &mut Chars<'_>) -> Option<Step> {
    let name = name(rest)?;
    if !rest.as_str().starts_with('(') {
        return Some(Step::Child(name));
    }
    rest.next();
    let step = match name.as_str() {
        "where" => Step::Where(conditions(rest)?),
        "extension" => Step::Extension(literal(rest)?),
        _ => return None,
    };
    *rest = skip(rest.clone());
    (rest.next() == Some(')')).then_some(step)
}

fn conditions(rest: &mut Chars<'_>) -> Option<Vec<(String, String)>> {
    let mut conditions = Vec::new();
    loop {
        *rest = skip(rest.clone());
        let field = name(rest)?;
        *rest = skip(rest.clone());
        if rest.next() != Some('=') {
            return None;
        }
        conditions.push((field, literal(rest)?));
        *rest = skip(rest.clone());
        match rest.as_str().strip_prefix("and ") {
            Some(more) => *rest = more.chars(),
            None => return Some(conditions),
        }
    }
}

/// A string in single quotes; a backslash takes the next character as it is.
fn literal(rest: &mut Chars<'_>) -> Option<String> {
    *rest = skip(rest.clone());
    if rest.next() != Some('\'') {
        return None;
    }
    let mut text = String::new();
    loop {
        match rest.next()? {
            '\'' => return Some(text),
            '\\' => text.push(rest.next()?),
            other => text.push(other),
        }
    }
}

fn index(rest: &mut Chars<'_>) -> Option<usize> {
    let (digits, after) = rest.as_str().split_once(']')?;
    *rest = after.chars();
    digits.trim().parse().ok()
}

fn name(rest: &mut Chars<'_>) -> Option<String> {
    let text = rest.as_str();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    *rest = after.chars();
    name.starts_with(|c: char| c.is_ascii_alphabetic()).then(|| name.to_owned())
}

fn skip(rest: Chars<'_>) -> Chars<'_> {
    rest.as_str().trim_start().chars()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(path: &str) -> Vec<String> {
        let resource = json!({
            "resourceType": "Practitioner",
            "active": true,
            "telecom": [
                { "system": "email", "value": "a@x.example" },
                { "system": "email", "value": "l'un@x.example", "extension": [
                    { "url": "https://m.example/meta", "extension": [
                        { "url": "type", "valueCode": "PER" },
                        { "url": "listeRouge", "valueBoolean": false },
                    ]},
                ]},
            ],
        });
        Path::parse(path).unwrap_or_else(|| panic!("{path}")).places(&resource)
    }

    #[test]
    fn paths_lead_where_the_directorys_examples_mean() {
        assert_eq!(places("Practitioner"), [""]);
        assert_eq!(places("Practitioner.active"), ["/active"]);
        assert_eq!(places("Practitioner.telecom"), ["/telecom/0", "/telecom/1"]);
        assert_eq!(places("Practitioner.telecom[1]"), ["/telecom/1"]);
        assert_eq!(places("Practitioner.telecom.where(value = 'a@x.example')"), ["/telecom/0"]);
        assert_eq!(places("Practitioner.telecom.where(system = 'email')[1]"), ["/telecom/1"]);
        assert!(places("Practitioner.telecom.where(value = 'a@x.example')[1]").is_empty());
        assert_eq!(places(r"Practitioner.telecom.where(value='l\'un@x.example' and system = 'email')"), ["/telecom/1"]);
        assert_eq!(
            places(
                r"Practitioner.telecom.where(value = 'l\'un@x.example').extension('https://m.example/meta').extension('listeRouge').value"
            ),
            ["/telecom/1/extension/0/extension/1/valueBoolean"]
        );
        assert!(places("Practitioner.telecom.where(value = 'b@x.example')").is_empty());
        assert!(places("Practitioner.telecom[2]").is_empty());
    }

    #[test]
    fn what_is_no_path_of_the_subset_is_none() {
        for text in [
            "",
            ".telecom",
            "Practitioner.",
            "Practitioner.telecom.first()",
            "Practitioner.telecom.where(value = 'x'",
            "Practitioner.telecom.where(value = x)",
            "Practitioner.telecom.where(value 'x')",
            "Practitioner.telecom[x]",
            "Practitioner.telecom.where(value = 'x') | Practitioner.name",
        ] {
            assert_eq!(Path::parse(text), None, "{text}");
        }
    }
}
