//! The monthly indicators that an operator owes (MSSanté §11): which sheets there are, what their columns are, and how an
//! operator has them named. The texts that fix file names and columns were not found; these are our own default.
//!
//! A *sheet* is one CSV file a month. Its rows are told apart by *dimensions* and say some *measures*, all of them sums. No
//! dimension is a person, nor anything that leads to one.

mod layout;
mod month;

pub use layout::{Layout, LayoutError, SheetLayout, csv};
pub use month::Month;

/// One file a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sheet {
    /// The mailboxes at the month's end.
    Mailboxes,
    /// What came to mailboxes: created, suspended, closed.
    Movements,
    /// How many mailboxes were used.
    Activity,
    /// Messages by own domain, kind of mailbox, direction, correspondent and size.
    Exchanges,
    /// Messages by the correspondent's domain.
    Peers,
    /// What became of recipients at other operators.
    Outcomes,
    /// Which messages have the `X-MSS-*` header fields.
    Headers,
    /// Messages by the software that made them (`X-MSS-NIL`).
    Software,
    /// Messages by the codes of their documents (`X-MSS-CODECDA`).
    Documents,
    /// Logins.
    Connections,
    /// Refusals by rule.
    Refusals,
}

/// A column of a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What the configuration calls it.
    pub name: &'static str,
    /// Its heading, where the configuration says no other.
    pub heading: &'static str,
}

/// What a sheet looks like.
struct Plan {
    name: &'static str,
    file: &'static str,
    dimensions: &'static [Column],
    measures: &'static [Column],
}

const fn column(name: &'static str, heading: &'static str) -> Column {
    Column { name, heading }
}

const DOMAIN: Column = column("domain", "domaine");
const KIND: Column = column("kind", "type_bal");
const DIRECTION: Column = column("direction", "sens");
const DOOR: Column = column("door", "porte");
const MESSAGES: Column = column("messages", "messages");

/// In the order of [`Sheet::ALL`].
const PLANS: [Plan; 11] = [
    Plan {
        name: "mailboxes",
        file: "BAL_{month}.csv",
        dimensions: &[DOMAIN, KIND, column("state", "etat"), column("test", "bal_de_test")],
        measures: &[
            column("mailboxes", "bal"),
            column("red-list", "liste_rouge"),
            column("zero-paper", "zero_papier"),
            column("restricted", "restreintes"),
        ],
    },
    Plan {
        name: "movements",
        file: "Mouvements_{month}.csv",
        dimensions: &[DOMAIN, KIND, column("movement", "mouvement")],
        measures: &[column("mailboxes", "bal")],
    },
    Plan {
        name: "activity",
        file: "Activite_{month}.csv",
        dimensions: &[DOMAIN, KIND],
        measures: &[
            column("active", "bal_actives"),
            column("connected", "bal_connectees"),
            column("sending", "bal_emettrices"),
            column("receiving", "bal_receptrices"),
            column("reading", "bal_lectrices"),
        ],
    },
    Plan {
        name: "exchanges",
        file: "Echanges_{month}.csv",
        dimensions: &[DOMAIN, KIND, DIRECTION, column("correspondent", "correspondant"), column("size", "taille")],
        measures: &[MESSAGES, column("recipients", "destinataires"), column("octets", "octets")],
    },
    Plan {
        name: "peers",
        file: "Correspondants_{month}.csv",
        dimensions: &[DOMAIN, DIRECTION, column("peer", "domaine_correspondant")],
        measures: &[MESSAGES, column("recipients", "destinataires")],
    },
    Plan {
        name: "outcomes",
        file: "Remises_{month}.csv",
        dimensions: &[column("result", "resultat"), column("peer", "domaine_correspondant")],
        measures: &[column("tries", "essais")],
    },
    Plan {
        name: "headers",
        file: "Entetes_{month}.csv",
        dimensions: &[
            DOMAIN,
            DIRECTION,
            column("nil", "x_mss_nil"),
            column("codecda", "x_mss_codecda"),
            column("ins", "x_mss_ins"),
            column("mes", "x_mss_mes"),
        ],
        measures: &[MESSAGES],
    },
    Plan {
        name: "software",
        file: "Logiciels_{month}.csv",
        dimensions: &[DIRECTION, column("software", "nil")],
        measures: &[MESSAGES],
    },
    Plan {
        name: "documents",
        file: "Documents_{month}.csv",
        dimensions: &[DIRECTION, column("code", "code_cda")],
        measures: &[MESSAGES],
    },
    Plan {
        name: "connections",
        file: "Connexions_{month}.csv",
        dimensions: &[DOMAIN, KIND, DOOR, column("means", "moyen"), column("result", "resultat")],
        measures: &[column("connections", "connexions")],
    },
    Plan {
        name: "refusals",
        file: "Refus_{month}.csv",
        dimensions: &[DOOR, column("rule", "regle")],
        measures: &[column("refusals", "refus")],
    },
];

impl Sheet {
    /// Every sheet.
    pub const ALL: [Sheet; 11] = [
        Sheet::Mailboxes,
        Sheet::Movements,
        Sheet::Activity,
        Sheet::Exchanges,
        Sheet::Peers,
        Sheet::Outcomes,
        Sheet::Headers,
        Sheet::Software,
        Sheet::Documents,
        Sheet::Connections,
        Sheet::Refusals,
    ];

    fn plan(self) -> &'static Plan {
        &PLANS[self as usize]
    }

    /// Its number on disk. Never given to another one.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// What the configuration and the API call it.
    pub fn name(self) -> &'static str {
        self.plan().name
    }

    /// The sheet with a name.
    pub fn named(name: &str) -> Option<Sheet> {
        Sheet::ALL.into_iter().find(|sheet| sheet.name() == name)
    }

    /// Its file's name, where the configuration says no other; `{month}` stands for `2026-11`.
    pub fn file(self) -> &'static str {
        self.plan().file
    }

    /// What tells its rows apart.
    pub fn dimensions(self) -> &'static [Column] {
        self.plan().dimensions
    }

    /// Whether its last dimension is other people's words, of which there may be any number.
    pub fn is_open(self) -> bool {
        matches!(self, Sheet::Peers | Sheet::Outcomes | Sheet::Software | Sheet::Documents)
    }

    /// What its rows say.
    pub fn measures(self) -> &'static [Column] {
        self.plan().measures
    }
}

/// One row of a sheet: a value for each dimension, a sum for each measure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// In the order of [`Sheet::dimensions`].
    pub dimensions: Vec<String>,
    /// In the order of [`Sheet::measures`].
    pub measures: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sheet_has_a_plan_a_name_and_columns_of_its_own() {
        for (at, sheet) in Sheet::ALL.into_iter().enumerate() {
            assert_eq!((sheet as usize, usize::from(sheet.number())), (at, at + 1));
            assert_eq!(sheet.name(), format!("{sheet:?}").to_lowercase(), "its plan is its own");
            assert_eq!(Sheet::named(sheet.name()), Some(sheet));
            let columns = sheet.dimensions().iter().chain(sheet.measures());
            let names: std::collections::BTreeSet<_> = columns.clone().map(|column| column.name).collect();
            assert_eq!(names.len(), columns.count(), "{}: two columns of one name", sheet.name());
            assert!(!names.contains("month"), "that one is every sheet's");
            assert!(sheet.file().contains("{month}"));
        }
    }
}
