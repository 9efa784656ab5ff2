//! FHIR Patch: a `Parameters` resource of operations on one resource (FHIR R4 §3.1.0.11, "FHIRPath Patch"), all or none.
//!
//! What the directory documents is taken (MSSanté §9): `insert`, `replace`, `delete`.

use super::path::{Path, Step};
use serde::Serialize;
use serde_json::Value;

/// One operation, as `/_sandbox/seen` tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Operation {
    /// `insert`, `replace`, `delete`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// FHIRPath.
    pub(super) path: String,
    /// Where to insert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    /// What to insert, or to put in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Value>,
}

/// The operations of a `Parameters` resource.
///
/// # Errors
/// What is wrong with it, as the answer's diagnostics say it.
pub(super) fn operations(parameters: &Value) -> Result<Vec<Operation>, String> {
    if parameters["resourceType"] != "Parameters" {
        return Err("a Parameters resource is expected".into());
    }
    let list = parameters["parameter"].as_array().filter(|list| !list.is_empty());
    list.ok_or("Parameters.parameter is empty")?.iter().map(operation).collect()
}

fn operation(parameter: &Value) -> Result<Operation, String> {
    if parameter["name"] != "operation" {
        return Err("every parameter of a patch is an operation".into());
    }
    let parts = parameter["part"].as_array().ok_or("an operation has parts")?;
    let part = |name: &str| parts.iter().find(|part| part["name"] == name);
    let text = |name: &str, key: &str| part(name).and_then(|part| part[key].as_str()).map(str::to_owned);
    let kind = text("type", "valueCode").ok_or("an operation has a type, as a valueCode")?;
    let path = text("path", "valueString").ok_or("an operation has a path, as a valueString")?;
    let index = part("index").and_then(|part| part["valueInteger"].as_u64());
    let value = part("value").and_then(|part| {
        let mut members = part.as_object()?.iter();
        members.find(|(key, _)| key.starts_with("value")).map(|(_, value)| value.clone())
    });
    Ok(Operation { kind, path, index: index.and_then(|index| usize::try_from(index).ok()), value })
}

/// Does the operations in order; nothing is done where one of them cannot be.
///
/// # Errors
/// Which one, and why.
pub(super) fn apply(operations: &[Operation], resource: &Value) -> Result<Value, String> {
    let mut patched = resource.clone();
    for operation in operations {
        operation.apply(&mut patched).map_err(|why| format!("{} {}: {why}", operation.kind, operation.path))?;
    }
    Ok(patched)
}

impl Operation {
    fn apply(&self, resource: &mut Value) -> Result<(), String> {
        let path = Path::parse(&self.path).ok_or("the path cannot be read")?;
        if resource["resourceType"] != path.resource.as_str() {
            return Err(format!("the path is for a {}", path.resource));
        }
        match self.kind.as_str() {
            "insert" => self.insert(path, resource),
            "replace" => self.replace(&path, resource),
            "delete" => delete(&path, resource),
            other => Err(format!("there is no operation {other}")),
        }
    }

    fn insert(&self, mut path: Path, resource: &mut Value) -> Result<(), String> {
        let Some(Step::Child(list)) = path.steps.pop() else { return Err("a list is expected".into()) };
        let value = self.value.clone().ok_or("a value is expected")?;
        let index = self.index.ok_or("an index is expected")?;
        let places = path.places(resource);
        let [parent] = places.as_slice() else { return Err(format!("it leads to {} places", places.len())) };
        let parent = resource.pointer_mut(parent).and_then(Value::as_object_mut).ok_or("it leads nowhere")?;
        let items = parent.entry(list).or_insert_with(|| Value::Array(Vec::new()));
        let items = items.as_array_mut().ok_or("a list is expected")?;
        if index > items.len() {
            return Err(format!("the list has {} items", items.len()));
        }
        items.insert(index, value);
        Ok(())
    }

    fn replace(&self, path: &Path, resource: &mut Value) -> Result<(), String> {
        let value = self.value.clone().ok_or("a value is expected")?;
        let places = path.places(resource);
        let [place] = places.as_slice() else { return Err(format!("it leads to {} elements", places.len())) };
        *resource.pointer_mut(place).ok_or("it leads nowhere")? = value;
        Ok(())
    }
}

fn delete(path: &Path, resource: &mut Value) -> Result<(), String> {
    let places = path.places(resource);
    let place = match places.as_slice() {
        // FHIR R4: nothing to delete is no error.
        [] => return Ok(()),
        [place] => place,
        several => return Err(format!("it leads to {} elements", several.len())),
    };
    let (parent, last) = place.rsplit_once('/').ok_or("a resource cannot be deleted by a patch")?;
    match resource.pointer_mut(parent) {
        Some(Value::Array(items)) => {
            let index = last.parse().map_err(|_| "it leads nowhere")?;
            if index < items.len() {
                items.remove(index);
            }
        }
        Some(Value::Object(members)) => drop(members.remove(last)),
        _ => return Err("it leads nowhere".into()),
    }
    // FHIR R4 §2.6.2: no empty lists.
    if let Some((owner, list)) = parent.rsplit_once('/')
        && resource.pointer(parent).and_then(Value::as_array).is_some_and(Vec::is_empty)
        && let Some(owner) = resource.pointer_mut(owner).and_then(Value::as_object_mut)
    {
        owner.remove(list);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(operations: &Value, resource: &Value) -> Result<Value, String> {
        let parameters = json!({ "resourceType": "Parameters", "parameter": operations });
        apply(&super::operations(&parameters)?, resource)
    }

    fn operation(kind: &str, path: &str, more: &Value) -> Value {
        let mut parts =
            vec![json!({ "name": "type", "valueCode": kind }), json!({ "name": "path", "valueString": path })];
        parts.extend(more.as_array().cloned().unwrap_or_default());
        json!({ "name": "operation", "part": parts })
    }

    #[test]
    fn operations_are_done_in_order_and_all_or_none() {
        let resource = json!({ "resourceType": "Practitioner", "id": "1" });
        let contact = |value: &str| json!({ "system": "email", "value": value });
        let insert = |value: &str| {
            let more = json!([{ "name": "index", "valueInteger": 0 }, { "name": "value", "valueContactPoint": contact(value) }]);
            operation("insert", "Practitioner.telecom", &more)
        };
        let two = patched(&json!([insert("a@x.example"), insert("b@x.example")]), &resource).unwrap();
        assert_eq!(two["telecom"], json!([contact("b@x.example"), contact("a@x.example")]));

        let value = json!([{ "name": "value", "valueContactPoint": contact("c@x.example") }]);
        let replace = operation("replace", "Practitioner.telecom.where(value = 'a@x.example')", &value);
        let delete = operation("delete", "Practitioner.telecom.where(value = 'b@x.example')", &json!([]));
        let one = patched(&json!([replace, delete]), &two).unwrap();
        assert_eq!(one["telecom"], json!([contact("c@x.example")]));

        let last = operation("delete", "Practitioner.telecom[0]", &json!([]));
        assert_eq!(patched(&json!([last]), &one).unwrap(), resource, "no empty list is left");

        let wrong = operation("replace", "Practitioner.telecom.where(value = 'z@x.example')", &value);
        let refused = patched(&json!([insert("d@x.example"), wrong]), &two).unwrap_err();
        assert!(refused.contains("0 elements"), "{refused}");
    }

    #[test]
    fn what_is_no_patch_is_refused_with_its_reason() {
        let resource = json!({ "resourceType": "Practitioner", "id": "1" });
        for (operation, why) in [
            (operation("move", "Practitioner.telecom", &json!([])), "no operation move"),
            (operation("delete", "Organization.telecom[0]", &json!([])), "for a Organization"),
            (operation("insert", "Practitioner.telecom", &json!([])), "a value is expected"),
            (operation("replace", "Practitioner.telecom.first()", &json!([])), "cannot be read"),
            (json!({ "name": "operation", "part": [] }), "has a type"),
        ] {
            let refused = patched(&json!([operation]), &resource).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
