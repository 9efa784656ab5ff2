//! One resource of the directory: read, compared with what it should show, patched, and looked at again.

use std::slice;

use serde_json::Value;

use super::client::{DirectoryError, FhirClient, target};
use super::contact::{differences, listed, written};
use super::patch::{Operation, parameters};
use crate::accounts::publication::{Image, Place};
use crate::config::directory::{PatchBy, TypeAs};

/// What one mailbox wishes of a resource: to be shown so, or not at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'d> {
    pub(super) address: &'d str,
    pub(super) image: Option<&'d Image>,
}

/// What came of a wish: what was done (nothing, where it was so already), or why not.
pub(super) type Outcome = Result<Option<&'static str>, DirectoryError>;

/// Fulfils wishes.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub(super) client: FhirClient,
    pub(super) patch_by: PatchBy,
    pub(super) type_as: TypeAs,
}

impl Publisher {
    /// Fulfils the wishes of one resource in one patch. Where that is refused each is tried by itself, so that the one that the
    /// directory minds is found.
    pub(super) async fn fulfil(&self, place: &Place, wishes: &[Wish<'_>]) -> Vec<Outcome> {
        match self.together(place, wishes).await {
            Ok(done) => done.into_iter().map(Ok).collect(),
            Err(DirectoryError::Refused { .. } | DirectoryError::NotShown) if wishes.len() > 1 => {
                let mut outcomes = Vec::with_capacity(wishes.len());
                for wish in wishes {
                    let alone = self.together(place, slice::from_ref(wish)).await;
                    outcomes.push(alone.map(|done| done.into_iter().next().flatten()));
                }
                outcomes
            }
            Err(error) => wishes.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn together(&self, place: &Place, wishes: &[Wish<'_>]) -> Result<Vec<Option<&'static str>>, DirectoryError> {
        let Some(resource) = self.read(place).await? else {
            return nowhere(place, wishes);
        };
        let plan = Plan::of(&resource, wishes, self.type_as);
        if plan.operations.is_empty() {
            return Ok(plan.names);
        }
        let target = match self.patch_by {
            PatchBy::Identifier => target(&place.resource, &[("identifier", &token(place))]),
            PatchBy::Id => format!("{}/{}", place.resource, resource["id"].as_str().unwrap_or_default()),
        };
        let patched = self.client.patch(&target, &parameters(&place.resource, &plan.operations)).await?;
        let now = match patched {
            Some(resource) if resource["resourceType"] == place.resource.as_str() => resource,
            _ => self.read(place).await?.ok_or(DirectoryError::NotShown)?,
        };
        match Plan::of(&now, wishes, self.type_as).operations.is_empty() {
            true => Ok(plan.names),
            false => Err(DirectoryError::NotShown),
        }
    }

    /// The one resource at a place; none where there is none.
    async fn read(&self, place: &Place) -> Result<Option<Value>, DirectoryError> {
        // A second one is enough to see that it is not alone.
        let mut found = self.client.search(&place.resource, &[("identifier", &token(place))], 2).await?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => {
                let words = format!("several {} resources have the identifier {}", place.resource, place.value);
                Err(DirectoryError::Refused { status: 412, words })
            }
        }
    }
}

/// Nothing can be shown by a resource that is not there, and nothing needs to be taken away.
fn nowhere(place: &Place, wishes: &[Wish<'_>]) -> Result<Vec<Option<&'static str>>, DirectoryError> {
    if wishes.iter().all(|wish| wish.image.is_none()) {
        return Ok(vec![None; wishes.len()]);
    }
    let words = format!("no {} has the identifier {}", place.resource, place.value);
    Err(DirectoryError::Refused { status: 404, words })
}

/// `system|value`
fn token(place: &Place) -> String {
    format!("{}|{}", place.system, place.value)
}

/// What has to be done to a resource.
struct Plan {
    operations: Vec<Operation>,
    /// By wish, what is done for it.
    names: Vec<Option<&'static str>>,
}

impl Plan {
    fn of(resource: &Value, wishes: &[Wish<'_>], type_as: TypeAs) -> Self {
        let contacts: &[Value] = resource["telecom"].as_array().map_or(&[], Vec::as_slice);
        let (mut surplus, mut operations, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for wish in wishes {
            let is_its = |(_, contact): &(usize, &Value)| wish.is_of(contact);
            let mut shown = contacts.iter().enumerate().filter(is_its);
            let first = shown.next().map(|(_, contact)| contact);
            let others = surplus.len();
            surplus.extend(shown.map(|(index, contact)| one_of(contacts, index, contact)));
            let operation = wish.operation(first, type_as);
            let name = operation.as_ref().map(|operation| match operation {
                Operation::Insert { .. } => "insert",
                Operation::Replace { .. } => "replace",
                Operation::Delete { .. } | Operation::DeleteOne { .. } => "delete",
            });
            names.push(name.or((surplus.len() > others).then_some("delete")));
            operations.extend(operation);
        }
        // From the end on, and before anything else moves them.
        surplus.reverse();
        surplus.extend(operations);
        Self { operations: surplus, names }
    }
}

/// Takes away the contact with this number: one of those that are written as it is.
fn one_of(contacts: &[Value], index: usize, contact: &Value) -> Operation {
    let before = contacts[..index].iter().filter(|other| other["value"] == contact["value"]).count();
    let address = contact["value"].as_str().unwrap_or_default().to_owned();
    Operation::DeleteOne { address, index: before }
}

impl Wish<'_> {
    /// Whether a contact is this mailbox's: addresses are compared without case.
    fn is_of(&self, contact: &Value) -> bool {
        let address = contact["value"].as_str().unwrap_or_default();
        contact["system"] == "email" && address.to_lowercase() == self.address.to_lowercase()
    }

    fn operation(&self, shown: Option<&Value>, type_as: TypeAs) -> Option<Operation> {
        let address = || shown.and_then(|shown| shown["value"].as_str()).unwrap_or(self.address).to_owned();
        match (self.image, shown) {
            (None, None) => None,
            (None, Some(_)) => Some(Operation::Delete { address: address() }),
            (Some(image), None) => Some(Operation::Insert { contact: written(image, None, type_as) }),
            (Some(image), Some(contact)) => {
                let is_so = listed(contact).is_some_and(|listed| differences(&listed, image).is_empty());
                let replace =
                    || Operation::Replace { address: address(), contact: written(image, Some(contact), type_as) };
                (!is_so).then(replace)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn image(address: &str) -> Image {
        Image { address: address.into(), ..Image::default() }
    }

    fn resource(contacts: &[Value]) -> Value {
        json!({ "resourceType": "Practitioner", "id": "1", "telecom": contacts })
    }

    fn names(resource: &Value, wishes: &[Wish<'_>]) -> (Vec<Option<&'static str>>, usize) {
        let plan = Plan::of(resource, wishes, TypeAs::Code);
        (plan.names, plan.operations.len())
    }

    #[test]
    fn only_what_differs_is_done() {
        let (one, other) = (image("un@x.example"), image("deux@x.example"));
        let shown = written(&one, None, TypeAs::CodeableConcept);
        let there = resource(&[json!({ "system": "phone", "value": "04" }), shown.clone()]);
        let wish = |image: &'static str| Wish { address: image, image: None };
        let stay = Wish { address: "UN@x.example", image: Some(&one) };
        assert_eq!(names(&there, &[stay]), (vec![None], 0));
        let two = [stay, Wish { address: "deux@x.example", image: Some(&other) }];
        assert_eq!(names(&there, &two), (vec![None, Some("insert")], 1));
        assert_eq!(names(&there, &[wish("un@x.example"), wish("trois@x.example")]), (vec![Some("delete"), None], 1));
        let red = Image { red_list: true, ..one.clone() };
        assert_eq!(names(&there, &[Wish { image: Some(&red), ..stay }]), (vec![Some("replace")], 1));
        assert_eq!(names(&json!({ "resourceType": "Practitioner" }), &[stay]), (vec![Some("insert")], 1));
    }

    #[test]
    fn a_contact_that_stands_there_twice_is_one_afterwards() {
        let one = image("un@x.example");
        let shown = written(&one, None, TypeAs::Code);
        let other = written(&image("UN@x.example"), None, TypeAs::Code);
        let there = resource(&[shown.clone(), json!({ "system": "phone" }), shown.clone(), other, shown]);
        let plan = Plan::of(&there, &[Wish { address: "un@x.example", image: Some(&one) }], TypeAs::Code);
        let delete = |address: &str, index| Operation::DeleteOne { address: address.into(), index };
        assert_eq!(plan.operations, [delete("un@x.example", 2), delete("UN@x.example", 0), delete("un@x.example", 1)]);
        let gone = Plan::of(&there, &[Wish { address: "un@x.example", image: None }], TypeAs::Code);
        assert_eq!(gone.operations.last(), Some(&Operation::Delete { address: "un@x.example".into() }));
    }

    #[test]
    fn nothing_needs_to_be_taken_from_a_resource_that_is_not_there() {
        let place = Place { resource: "Practitioner".into(), ..Place::default() };
        let one = image("un@x.example");
        let away = Wish { address: "un@x.example", image: None };
        assert_eq!(nowhere(&place, &[away]).unwrap(), [None]);
        let refused = nowhere(&place, &[away, Wish { image: Some(&one), ..away }]).unwrap_err();
        assert!(matches!(refused, DirectoryError::Refused { status: 404, .. }));
    }
}
