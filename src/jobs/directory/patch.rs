//! FHIR Patch: what is to be done to a resource, as a `Parameters` resource (FHIR R4 §3.1.0.11, MSSanté §9).

use serde_json::{Value, json};

/// An operation on a resource's `telecom`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Puts a contact before all others.
    Insert {
        /// The contact.
        contact: Value,
    },
    /// Puts a contact in the place of the one with this address.
    Replace {
        /// The address.
        address: String,
        /// The contact.
        contact: Value,
    },
    /// Takes the contact with this address away.
    Delete {
        /// The address.
        address: String,
    },
    /// Takes one of several contacts with this address away. By its number among them, not in the list: that is another one's
    /// as soon as somebody else writes to it.
    DeleteOne {
        /// The address.
        address: String,
        /// Its number among those with this address.
        index: usize,
    },
}

/// The patch that does these operations to a resource of this type, in their order.
pub fn parameters(resource: &str, operations: &[Operation]) -> Value {
    let operations: Vec<Value> = operations.iter().map(|operation| operation.parameter(resource)).collect();
    json!({ "resourceType": "Parameters", "parameter": operations })
}

impl Operation {
    fn parameter(&self, resource: &str) -> Value {
        let list = format!("{resource}.telecom");
        let one = |address: &str| format!("{list}.where(value = '{}')", escaped(address));
        let contact = |contact: &Value| json!({ "name": "value", "valueContactPoint": contact });
        let parts = match self {
            Self::Insert { contact: value } => {
                vec![kind("insert"), path(&list), json!({ "name": "index", "valueInteger": 0 }), contact(value)]
            }
            Self::Replace { address, contact: value } => vec![kind("replace"), path(&one(address)), contact(value)],
            Self::Delete { address } => vec![kind("delete"), path(&one(address))],
            Self::DeleteOne { address, index } => {
                vec![kind("delete"), path(&format!("{}[{index}]", one(address)))]
            }
        };
        json!({ "name": "operation", "part": parts })
    }
}

fn kind(kind: &str) -> Value {
    json!({ "name": "type", "valueCode": kind })
}

fn path(path: &str) -> Value {
    json!({ "name": "path", "valueString": path })
}

/// FHIRPath §2.1.1.2: quotes and backslashes of a string are escaped. Addresses have the one (`d'arc`), and not the other.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('\'', r"\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the directory's draft, as MSSanté §9 restates them.
    #[test]
    fn patches_are_those_of_the_published_examples() {
        let address = "prenom.nom@domain.mssante.fr";
        let contact = json!({ "system": "email", "value": address });
        let operations = [
            Operation::Insert { contact: contact.clone() },
            Operation::Replace { address: address.into(), contact: contact.clone() },
            Operation::Delete { address: address.into() },
        ];
        let expected = json!({
            "resourceType": "Parameters",
            "parameter": [
                { "name": "operation", "part": [
                    { "name": "type", "valueCode": "insert" },
                    { "name": "path", "valueString": "Practitioner.telecom" },
                    { "name": "index", "valueInteger": 0 },
                    { "name": "value", "valueContactPoint": contact },
                ]},
                { "name": "operation", "part": [
                    { "name": "type", "valueCode": "replace" },
                    { "name": "path", "valueString": "Practitioner.telecom.where(value = 'prenom.nom@domain.mssante.fr')" },
                    { "name": "value", "valueContactPoint": contact },
                ]},
                { "name": "operation", "part": [
                    { "name": "type", "valueCode": "delete" },
                    { "name": "path", "valueString": "Practitioner.telecom.where(value = 'prenom.nom@domain.mssante.fr')" },
                ]},
            ],
        });
        assert_eq!(parameters("Practitioner", &operations), expected);
    }

    #[test]
    fn a_quote_in_an_address_stays_in_its_string() {
        let patch = parameters("Organization", &[Operation::Delete { address: "l'accueil@x.example".into() }]);
        let path = &patch["parameter"][0]["part"][1]["valueString"];
        assert_eq!(path, r"Organization.telecom.where(value = 'l\'accueil@x.example')");
        let third = Operation::DeleteOne { address: "l'accueil@x.example".into(), index: 2 };
        let path = &parameters("Organization", &[third])["parameter"][0]["part"][1]["valueString"];
        assert_eq!(path, r"Organization.telecom.where(value = 'l\'accueil@x.example')[2]");
    }
}
