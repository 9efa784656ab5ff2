//! Who is in the sandbox: operators, mailboxes, and the certificates that go with them. All of it is invented: domains
//! under `.example`, structure identifiers that begin with 99 (no department has that number), national identifiers of
//! the test range 8997.

use super::pki::{Leaf, Subject, Usage};

/// What is unusual about a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// Nothing.
    No,
    /// Suspended by the operator.
    Suspended,
    /// Its user may write to and read from the operator's own domains only.
    Restricted,
    /// A quota that one ordinary message exceeds.
    TinyQuota,
    /// Closed for good; its address is never given again.
    Closed,
}

impl Special {
    /// The key in `sandbox.json`; `None` for an ordinary mailbox.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Suspended => Some("suspended"),
            Self::Restricted => Some("restricted"),
            Self::TinyQuota => Some("tiny_quota"),
            Self::Closed => Some("closed"),
        }
    }
}

/// The quota of a [`Special::TinyQuota`] mailbox, in bytes.
pub const TINY_QUOTA: u64 = 4096;

/// A mailbox to be made.
#[derive(Debug, Clone)]
pub struct Resident {
    /// The part before the `@`.
    pub local: &'static str,
    /// `PER`, `ORG`, `APP` or `CAB`.
    pub kind: &'static str,
    /// A test mailbox, by the trust space's rules.
    pub test: bool,
    /// `Title`, given name, family name; for a structure's mailbox the label alone.
    pub holder: Holder,
    /// Opens with a password (the sandbox's common one).
    pub password: bool,
    /// The certificate that opens it.
    pub certificate: Option<&'static str>,
    /// Its state.
    pub special: Special,
}

/// To whom a mailbox belongs.
#[derive(Debug, Clone, Copy)]
pub enum Holder {
    /// A professional.
    Person {
        /// `Dr`, `M`, `Mme` …
        title: &'static str,
        /// Given name.
        first: &'static str,
        /// Family name.
        last: &'static str,
        /// National identifier: `8` + RPPS.
        person: &'static str,
    },
    /// A structure, with the mailbox's functional label.
    Structure {
        /// What the mailbox is for.
        label: &'static str,
    },
}

impl Holder {
    /// The display name of section 4 of the rules: `Title First LAST`, or the functional label.
    pub fn display(&self) -> String {
        match self {
            Self::Person { title, first, last, .. } => format!("{title} {first} {}", last.to_uppercase()),
            Self::Structure { label } => (*label).to_owned(),
        }
    }
}

/// An operator that the sandbox serves.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Its directory in the sandbox, and its certificate's name there.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its domain.
    pub domain: &'static str,
    /// The structure that runs it, as in its certificate.
    pub subject: Subject,
    /// Its mailboxes.
    pub residents: Vec<Resident>,
}

impl Operator {
    /// A resident's address.
    pub fn address(&self, resident: &Resident) -> String {
        format!("{}@{}", resident.local, self.domain)
    }

    /// The first ordinary resident of `kind`.
    pub fn first(&self, kind: &str, test: bool) -> Option<&Resident> {
        self.residents.iter().find(|r| r.kind == kind && r.test == test && r.special == Special::No)
    }
}

/// A listed operator that nobody serves: tests play it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// Its domains.
    pub domains: &'static [&'static str],
    /// Its certificate's name.
    pub certificate: &'static str,
}

/// The password of every sandbox mailbox that has one. It opens nothing but loopback.
pub const PASSWORD: &str = "bac-a-sable-ouvert";

/// The two operators that are served.
pub fn operators() -> [Operator; 2] {
    [aura(), aquitaine()]
}

/// Someone with a card and no mailbox of their own.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// National identifier.
    pub person: &'static str,
    /// Given name.
    pub first: &'static str,
    /// Family name.
    pub last: &'static str,
    /// Stands on the access list of the first operator's ORG and CAB mailboxes, and may send in their name.
    pub secretary: bool,
}

impl Guest {
    /// `First LAST`.
    pub fn display(&self) -> String {
        format!("{} {}", self.first, self.last.to_uppercase())
    }

    /// The addresses of the first operator, `operator`, that the guest opens.
    pub fn opens(&self, operator: &Operator) -> Vec<String> {
        let shared = |resident: &&Resident| matches!(resident.kind, "ORG" | "CAB") && !resident.test;
        let opened = operator.residents.iter().filter(shared).filter(|_| self.secretary);
        opened.map(|resident| operator.address(resident)).collect()
    }
}

/// Those who log in by Pro Santé Connect and hold no mailbox: one works for the first operator's structures.
pub fn guests() -> [Guest; 3] {
    let guest = |person, first, last, secretary| Guest { person, first, last, secretary };
    [
        guest("899700000061", "Léa", "Secrétan", true),
        guest("899700000062", "Basile", "Sans-Boîte", false),
        guest("899700000063", "Ève", "De-Passage", false),
    ]
}

/// The domain of the sandbox's citizens (MSSanté §8); the peer that tests play speaks for it too.
pub const CITIZENS: &str = "patient.mssante.example";

/// The listed operators that are not.
pub fn peers() -> [Peer; 1] {
    [Peer {
        name: "Opérateur C (exemple)",
        domains: &["operateur-c.mssante.example", "test.operateur-c.mssante.example", CITIZENS],
        certificate: "operateur-c",
    }]
}

fn aura() -> Operator {
    Operator {
        id: "a",
        name: "Aura Santé (exemple)",
        domain: "aura.mssante.example",
        subject: AURA,
        residents: vec![
            person("camille.fontanel", "Dr", "Camille", "Fontanel", "899700000001"),
            person("jerome.lefevre-bruyere", "Dr", "Jérôme", "Lefèvre-Bruyère", "899700000002"),
            structure("secretariat.cardiologie", "ORG", "Secrétariat de cardiologie"),
            application("laboratoire-exemple", "Résultats du laboratoire d'exemple", "application-a"),
            structure("cabinet.trois-glycines", "CAB", "Cabinet des Trois Glycines"),
            test(person("test.medecin", "Dr", "Essai", "Médecin", "899700000090")),
            test(structure("test-secretariat", "ORG", "Secrétariat d'essai")),
            special(person("paul.verdier", "Dr", "Paul", "Verdier", "899700000011"), Special::Suspended),
            special(person("agent.accueil", "M", "Émile", "Agent-Accueil", "899700000012"), Special::Restricted),
            special(person("boite.pleine", "Dr", "Odile", "Boîte-Pleine", "899700000013"), Special::TinyQuota),
            special(person("ancien.confrere", "Dr", "Aristide", "Ancien-Confrère", "899700000014"), Special::Closed),
        ],
    }
}

fn aquitaine() -> Operator {
    Operator {
        id: "b",
        name: "Nouvelle-Aquitaine Santé (exemple)",
        domain: "nouvelle-aquitaine.mssante.example",
        subject: AQUITAINE,
        residents: vec![
            person("helene.castagnet", "Dr", "Hélène", "Castagnet", "899700000003"),
            person("francois.noel-dubourg", "Dr", "François", "Noël-Dubourg", "899700000004"),
            structure("urgences.saint-exemple", "ORG", "Urgences de l'hôpital Saint-Exemple"),
            application("imagerie-exemple", "Comptes rendus d'imagerie", "application-b"),
            structure("cabinet.du-chene", "CAB", "Cabinet du Chêne"),
            test(person("test.infirmiere", "Mme", "Essai", "Infirmière", "899700000091")),
            test(structure("test-urgences", "ORG", "Urgences d'essai")),
            special(person("louise.suspendue", "Dr", "Louise", "Suspendue", "899700000021"), Special::Suspended),
            special(person("agent.standard", "Mme", "Zoé", "Agent-Standard", "899700000022"), Special::Restricted),
            special(person("boite.comble", "Dr", "Ulysse", "Boîte-Comble", "899700000023"), Special::TinyQuota),
            special(person("ancienne.consoeur", "Dr", "Irène", "Ancienne-Consœur", "899700000024"), Special::Closed),
        ],
    }
}

fn person(
    local: &'static str,
    title: &'static str,
    first: &'static str,
    last: &'static str,
    person: &'static str,
) -> Resident {
    let holder = Holder::Person { title, first, last, person };
    Resident { local, kind: "PER", test: false, holder, password: true, certificate: None, special: Special::No }
}

fn structure(local: &'static str, kind: &'static str, label: &'static str) -> Resident {
    let holder = Holder::Structure { label };
    Resident { local, kind, test: false, holder, password: true, certificate: None, special: Special::No }
}

fn application(local: &'static str, label: &'static str, certificate: &'static str) -> Resident {
    Resident { certificate: Some(certificate), ..structure(local, "APP", label) }
}

fn test(resident: Resident) -> Resident {
    Resident { test: true, ..resident }
}

fn special(resident: Resident, special: Special) -> Resident {
    Resident { special, ..resident }
}

/// Accents and a number in brackets, like the real list's.
const AURA: Subject = Subject {
    cn: "smtp.aura.mssante.example",
    structure: "1990000011",
    organisation: "GCS TEST AURA SANTÉ",
    department: "Rhône (69)",
};

const AQUITAINE: Subject = Subject {
    cn: "smtp.nouvelle-aquitaine.mssante.example",
    structure: "399000000100021",
    organisation: "GIP TEST \"NOUVELLE-AQUITAINE\" SANTÉ",
    department: "Gironde (33)",
};

const PEER_C: Subject = Subject {
    cn: "smtp.operateur-c.mssante.example",
    structure: "399000000100031",
    organisation: "OPÉRATEUR C TEST",
    department: "Ille-et-Vilaine (35)",
};

const PSC: Subject = Subject {
    cn: "wallet.psc.example",
    structure: "399000000100041",
    organisation: "PRO SANTE CONNECT TEST",
    department: "Paris (75)",
};

const DIRECTORY: Subject = Subject {
    cn: "annuaire.example",
    structure: "399000000100051",
    organisation: "ANNUAIRE SANTE TEST",
    department: "Paris (75)",
};

const LIST_SIGNER: Subject = Subject {
    cn: "alb.mssante.example",
    structure: "399000000100001",
    organisation: "TEST ESPACE DE CONFIANCE",
    department: "Hauts-de-Seine (92)",
};

/// The `CN` that the white list's signer has to have.
pub const LIST_SIGNER_CN: &str = LIST_SIGNER.cn;

/// Every certificate of the sandbox. The bad ones carry the second operator's subject wherever they can, so that what
/// their name says is all that is wrong with them; they share a key, which no rule looks at.
pub fn leaves() -> Vec<Leaf> {
    let bad = |name| Leaf::new(name, AQUITAINE, Usage::Operator).sharing_key("bad");
    let application = |name, structure, cn| {
        let subject = Subject { cn, structure, ..AURA };
        Leaf::new(name, subject, Usage::Client).with_p12()
    };
    let elsewhere = Subject { organisation: "AUTRE STRUCTURE TEST", structure: "399000000100099", ..AQUITAINE };
    let unlisted = Subject { cn: "smtp.inconnu.mssante.example", ..elsewhere.clone() };
    vec![
        Leaf::new("a", AURA, Usage::Operator).hosts(&["imap.aura.mssante.example", "aura.mssante.example"]),
        Leaf::new("b", AQUITAINE, Usage::Operator)
            .hosts(&["imap.nouvelle-aquitaine.mssante.example", "nouvelle-aquitaine.mssante.example"]),
        Leaf::new("psc", PSC, Usage::Server),
        Leaf::new("annuaire", DIRECTORY, Usage::Server),
        Leaf::new("operateur-c", PEER_C, Usage::Operator).hosts(&["operateur-c.mssante.example"]),
        Leaf::new("liste", LIST_SIGNER, Usage::Signer),
        application("application-a", "1990000012", "laboratoire-exemple"),
        application("application-b", "1990000022", "imagerie-exemple"),
        bad("expired").expired(),
        bad("revoked").revoked(),
        bad("not_yet_valid").not_yet_valid(),
        bad("foreign").foreign(),
        bad("self_signed").self_signed(),
        Leaf::new("no_client_auth", AQUITAINE, Usage::Server).sharing_key("bad"),
        Leaf::new("no_extended_key_usage", AQUITAINE, Usage::Unsaid).sharing_key("bad"),
        Leaf::new("not_listed", unlisted, Usage::Operator).sharing_key("bad"),
        Leaf::new("same_cn_other_dn", elsewhere, Usage::Operator).sharing_key("bad"),
    ]
}

/// The names of the certificates that a receiver must refuse; each is both the file's name and the key in
/// `sandbox.json`.
pub const BAD_CERTIFICATES: [&str; 9] = [
    "expired",
    "revoked",
    "not_yet_valid",
    "foreign",
    "self_signed",
    "no_client_auth",
    "no_extended_key_usage",
    "not_listed",
    "same_cn_other_dn",
];
