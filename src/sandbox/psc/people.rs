//! Whom the look-alike knows: the sandbox's professionals, and some who hold no mailbox.

use crate::sandbox::cast::{self, Holder, Operator};
use serde::Serialize;
use serde_json::{Value, json};

/// Someone with a (pretended) card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::sandbox) struct Person {
    /// National identifier, `SubjectNameID`: `8` + RPPS.
    pub(in crate::sandbox) person: &'static str,
    /// Given name.
    pub(in crate::sandbox) first: &'static str,
    /// Family name.
    pub(in crate::sandbox) last: &'static str,
    /// The structure where they practise.
    #[serde(skip)]
    pub(super) structure: &'static str,
    /// Its name.
    #[serde(skip)]
    pub(super) organisation: &'static str,
    /// The addresses of the sandbox that they open, as far as the cast tells.
    pub(in crate::sandbox) opens: Vec<String>,
}

/// Everybody who can log in: the holders of both operators, then those of [`cast::guests`].
pub(in crate::sandbox) fn everybody(operators: &[Operator]) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    for operator in operators {
        for resident in &operator.residents {
            let Holder::Person { first, last, person, .. } = resident.holder else { continue };
            people.push(Person {
                person,
                first,
                last,
                structure: operator.subject.structure,
                organisation: operator.name,
                opens: vec![operator.address(resident)],
            });
        }
    }
    let home = operators.first();
    for guest in cast::guests() {
        people.push(Person {
            person: guest.person,
            first: guest.first,
            last: guest.last,
            structure: home.map_or("", |operator| operator.subject.structure),
            organisation: home.map_or("", |operator| operator.name),
            opens: home.map(|operator| guest.opens(operator)).unwrap_or_default(),
        });
    }
    people
}

impl Person {
    /// `sub`: opaque, and the same at each login (Keycloak federates: `f:<provider>:<user>`).
    pub(super) fn subject(&self) -> String {
        format!("f:550dc1c8-0000-4000-8000-0000000000c0:{}", self.person)
    }

    /// The claims of `userinfo`, as in MSSanté for implementers, §10.
    pub(super) fn userinfo(&self) -> Value {
        json!({
            "sub": self.subject(),
            "SubjectNameID": self.person,
            "preferred_username": self.person,
            "given_name": self.first,
            "family_name": self.last.to_uppercase(),
            "SubjectRole": ["10^1.2.250.1.213.1.1.5.5"],
            "SubjectOrganization": self.organisation,
            "SubjectOrganizationID": self.structure,
            "otherIds": [{ "identifiant": self.person, "origine": "RPPS", "qualite": 1 }],
            "SubjectRefPro": {
                "codeCivilite": "M",
                "exercices": [{
                    "codeProfession": "10",
                    "codeCategorieProfessionnelle": "C",
                    "codeCiviliteDexercice": "DR",
                    "nomDexercice": self.last.to_uppercase(),
                    "prenomDexercice": self.first,
                    "activities": [{
                        "codeModeExercice": "S",
                        "raisonSocialeSite": self.organisation,
                        "numeroFinessSite": self.structure.strip_prefix('1'),
                        "numeroSiretSite": self.structure.strip_prefix('3'),
                    }],
                }],
            },
        })
    }
}
