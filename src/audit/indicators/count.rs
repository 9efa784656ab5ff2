//! What a trace counts for. Pure but for the question which mailbox an address is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::{Action, MessageFacts, Trace};
use crate::mss::indicators::{Month, Sheet};
use crate::mss::{Address, CitizenRules, Domain};
use crate::store::StoreError;

use super::known::{Known, Mailbox};
use super::tally::{Tally, mark};

/// Directions.
const SENT: &str = "emis";
const RECEIVED: &str = "recu";
const AUTOMATIC: &str = "automatique";

/// Correspondents.
const INTERNAL: &str = "interne";
const OPERATOR: &str = "operateur";
const CITIZEN: &str = "patient";

/// Logins that were refused beyond those that are traced one by one.
const MANY_REFUSED: &str = "refus-en-nombre";

/// What stands for others' words that are none of the sort that is expected.
const UNREADABLE: &str = "(illisible)";

/// The longest value of a header field that is counted by.
const LONGEST: usize = 64;

/// From so many digits on, wherever they stand, a value may be somebody's number: an ADELI has 9, a telephone 10, an RPPS 11, an
/// INS 13 and more, of which one may be a letter (born in Corsica). Codes (LOINC) have 6 at most, versions fewer.
const PERSONAL_DIGITS: usize = 9;

/// Most codes of one message that are counted.
const MOST_CODES: usize = 16;

/// Counts a trace.
pub(super) fn count(
    trace: &Trace,
    known: &Known,
    citizens: &CitizenRules,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    let mut counting = Counting { trace, month: Month::of(trace.at), known, citizens, tally };
    match &trace.action {
        Action::Accepted { sender, queued, delivered } => counting.accepted(sender, queued, delivered),
        Action::Tried { recipient, result, .. } => counting.add(Sheet::Outcomes, &[result, domain_of(recipient)], &[1]),
        Action::Refused { rule, .. } => counting.add(Sheet::Refusals, &[&trace.origin.door, rule], &[1]),
        Action::ManyRefused { rules } => rules.iter().try_for_each(|(rule, count)| {
            counting.add(Sheet::Refusals, &[&trace.origin.door, rule], &[u64::from(*count)])
        }),
        Action::LoggedIn => counting.logged_in(),
        Action::LoginRefused { reason, asked } => counting.login_refused(reason, asked.as_deref()),
        // More than have a trace each: nobody knows any more which mailboxes were asked for, nor how.
        Action::LoginsRefused { count } => {
            let door = trace.origin.door.as_str();
            counting.add(Sheet::Connections, &["", "", door, "", MANY_REFUSED], &[u64::from(*count)])
        }
        Action::Read { .. } => counting.read(),
        Action::Administered { what, .. } => counting.moved(what),
        _ => Ok(()),
    }
}

struct Counting<'a> {
    trace: &'a Trace,
    month: Month,
    known: &'a Known,
    citizens: &'a CitizenRules,
    tally: &'a mut Tally,
}

impl Counting<'_> {
    fn add(&mut self, sheet: Sheet, values: &[&str], measures: &[u64]) -> Result<(), StoreError> {
        self.tally.add(self.month, sheet, values, measures)
    }

    /// The own mailbox that the trace happened on.
    fn mailbox(&self) -> Result<Option<Mailbox>, StoreError> {
        let address = self.trace.mailbox.as_deref().or(self.trace.actor.login.as_deref());
        address.map(|address| self.known.find(address)).transpose().map(Option::flatten)
    }

    // ---- messages ----

    fn accepted(&mut self, sender: &str, queued: &[String], delivered: &[String]) -> Result<(), StoreError> {
        let door = self.trace.origin.door.as_str();
        if door != "smtp" {
            let direction = if door == "submission" { SENT } else { AUTOMATIC };
            self.sent(direction, sender, queued, delivered)?;
        }
        if delivered.is_empty() { Ok(()) } else { self.received(sender, delivered) }
    }

    fn sent(
        &mut self,
        direction: &str,
        sender: &str,
        queued: &[String],
        delivered: &[String],
    ) -> Result<(), StoreError> {
        let mailbox = match self.known.find(sender)? {
            Some(mailbox) => Some(mailbox),
            None => self.mailbox()?,
        };
        let (domain, kind) = names(mailbox.as_ref());
        let recipients = (queued.len() + delivered.len()) as u64;
        // A message counts once, by whom it reaches farthest.
        let correspondent = match queued {
            [] => INTERNAL,
            queued if queued.iter().any(|recipient| self.is_citizen(recipient)) => CITIZEN,
            _ => OPERATOR,
        };
        let (size, octets) = size_of(self.trace.message.as_ref());
        self.add(Sheet::Exchanges, &[domain, kind, direction, correspondent, size], &[1, recipients, octets])?;
        let mut peers: BTreeMap<&str, u64> = BTreeMap::new();
        queued.iter().chain(delivered).for_each(|recipient| *peers.entry(domain_of(recipient)).or_default() += 1);
        for (peer, recipients) in peers {
            self.add(Sheet::Peers, &[domain, direction, peer], &[1, recipients])?;
        }
        if direction != SENT {
            return Ok(());
        }
        self.headers(direction, [domain])?;
        mailbox.map_or(Ok(()), |mailbox| self.tally.mark(self.month, &mailbox, mark::SENT))
    }

    fn received(&mut self, sender: &str, delivered: &[String]) -> Result<(), StoreError> {
        let (size, octets) = size_of(self.trace.message.as_ref());
        let correspondent = match self.trace.origin.door.as_str() {
            "smtp" if self.is_citizen(sender) => CITIZEN,
            "smtp" => OPERATOR,
            _ => INTERNAL,
        };
        let mut own_domains: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for address in delivered {
            let mailbox = self.known.find(address)?;
            let (domain, kind) = names(mailbox.as_ref());
            self.add(Sheet::Exchanges, &[domain, kind, RECEIVED, correspondent, size], &[1, 1, octets])?;
            *own_domains.entry(domain.into()).or_default() += 1;
            if let Some(mailbox) = &mailbox {
                self.tally.mark(self.month, mailbox, mark::RECEIVED)?;
            }
        }
        for (domain, recipients) in &own_domains {
            self.add(Sheet::Peers, &[domain, RECEIVED, domain_of(sender)], &[1, *recipients])?;
        }
        self.headers(RECEIVED, own_domains.keys().map(AsRef::as_ref))
    }

    /// MSSanté §7.
    fn headers<'d>(&mut self, direction: &str, domains: impl IntoIterator<Item = &'d str>) -> Result<(), StoreError> {
        let facts = self.trace.message.as_ref();
        let field = |name: &str| {
            let mut fields = facts.into_iter().flat_map(|facts| &facts.mss);
            fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let (software, documents) = (field("X-MSS-NIL"), field("X-MSS-CODECDA"));
        let has = |field: Option<&str>| if field.is_some() { "oui" } else { "non" };
        let ins = match field("X-MSS-INS") {
            None => "absent",
            Some(ins) if ins.eq_ignore_ascii_case("O") => "O",
            Some(ins) if ins.eq_ignore_ascii_case("N") => "N",
            Some(_) => UNREADABLE,
        };
        let mes = match field("X-MSS-MES") {
            None => "absent",
            Some(mes) if mes.eq_ignore_ascii_case("FIN") => "FIN",
            Some(_) => UNREADABLE,
        };
        for domain in domains {
            let values = [domain, direction, has(software), has(documents), ins, mes];
            self.add(Sheet::Headers, &values, &[1])?;
        }
        if let Some(software) = software {
            self.add(Sheet::Software, &[direction, readable(software)], &[1])?;
        }
        let codes = documents.into_iter().flat_map(|codes| codes.split(',')).map(str::trim);
        let codes: std::collections::BTreeSet<&str> = codes.filter(|code| !code.is_empty()).map(readable).collect();
        for code in codes.into_iter().take(MOST_CODES) {
            self.add(Sheet::Documents, &[direction, code], &[1])?;
        }
        Ok(())
    }

    fn is_citizen(&self, address: &str) -> bool {
        Address::parse(address).is_ok_and(|address| self.citizens.is_citizen(&address))
    }

    // ---- people ----

    fn logged_in(&mut self) -> Result<(), StoreError> {
        let mailbox = self.mailbox()?;
        let (domain, kind) = names(mailbox.as_ref());
        let means = self.trace.actor.means.as_deref().unwrap_or_default();
        self.add(Sheet::Connections, &[domain, kind, &self.trace.origin.door, means, "admis"], &[1])?;
        mailbox.map_or(Ok(()), |mailbox| self.tally.mark(self.month, &mailbox, mark::CONNECTED))
    }

    fn login_refused(&mut self, reason: &str, asked: Option<&str>) -> Result<(), StoreError> {
        let mailbox = asked.map(|asked| self.known.find(asked)).transpose()?.flatten();
        let (domain, kind) = names(mailbox.as_ref());
        let means = self.trace.actor.means.as_deref().unwrap_or_default();
        self.add(Sheet::Connections, &[domain, kind, &self.trace.origin.door, means, reason], &[1])
    }

    fn read(&mut self) -> Result<(), StoreError> {
        let mailbox = self.mailbox()?;
        mailbox.map_or(Ok(()), |mailbox| self.tally.mark(self.month, &mailbox, mark::READ))
    }

    fn moved(&mut self, what: &str) -> Result<(), StoreError> {
        let Some(movement) = movement(what) else { return Ok(()) };
        let mailbox = self.mailbox()?;
        let (domain, kind) = names(mailbox.as_ref());
        self.add(Sheet::Movements, &[domain, kind, movement], &[1])
    }
}

/// What a change of a mailbox is called in [`Sheet::Movements`]; none: it does not stand there.
fn movement(what: &str) -> Option<&'static str> {
    match what {
        "mailbox-created" => Some(CREATED),
        "mailbox-suspended" => Some("suspension"),
        "mailbox-opened" => Some("ouverture"),
        "mailbox-reopened" => Some("reouverture"),
        "mailbox-closed" => Some(CLOSED),
        _ => None,
    }
}

/// The movements that change how many mailboxes there are.
pub(super) const CREATED: &str = "creation";
pub(super) const CLOSED: &str = "cloture";

/// Domain and kind; empty for what is no mailbox of ours.
fn names(mailbox: Option<&Mailbox>) -> (&str, &'static str) {
    mailbox.map_or(("", ""), |mailbox| (&mailbox.domain, mailbox.kind))
}

/// The domain of an address; the null sender is its own.
fn domain_of(address: &str) -> &str {
    match address.rsplit_once('@') {
        Some((_, domain)) if Domain::parse(domain).is_ok() => domain,
        None if address.is_empty() => "<>",
        _ => UNREADABLE,
    }
}

/// Others' words, if they can be a code or a product's reference, and not a person's number.
pub(super) fn readable(text: &str) -> &str {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/' | '+' | ' ' | '(' | ')');
    // Numbers are written in groups, too, with letters before, behind and in them.
    let is_number = text.bytes().filter(u8::is_ascii_digit).count() >= PERSONAL_DIGITS;
    // What begins otherwise a table might calculate with.
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_code = begins_well && text.len() <= LONGEST && text.chars().all(is_plain) && !is_number;
    if is_code { text } else { UNREADABLE }
}

/// The class of a message's size, and its octets.
fn size_of(message: Option<&MessageFacts>) -> (&'static str, u64) {
    const KIB: u64 = 1024;
    let Some(octets) = message.and_then(|message| message.size) else { return ("inconnue", 0) };
    let class = match octets / KIB {
        0..10 => "moins de 10 Kio",
        10..100 => "10 a 100 Kio",
        100..1024 => "100 Kio a 1 Mio",
        1024..5120 => "1 a 5 Mio",
        5120..10240 => "5 a 10 Mio",
        _ => "10 Mio et plus",
    };
    (class, octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_may_be_somebodys_number_or_a_formula_is_not_counted_by() {
        for good in ["LOGICIEL-1.2/3", "34133-9", "DRIM-M", "11488-4", "Weda (4.0)", "LGC 2026.11.26"] {
            assert_eq!(readable(good), good);
        }
        for bad in [
            "",
            "184127512345678",
            "1 84 12 75 123 456 78",
            "RPPS 10001234567",
            "=HYPERLINK(1)",
            "+33",
            "é",
            "a\u{1f}b",
            "a\nb",
            "10-00-12-34-56-7",
            "184052A12345678",
            "1 84 05 2B 123 456 78",
            "184052a123456",
            "INS184052A12345678",
            "06 12 34 56 78",
            "ADELI-759912345",
            "7/5/9/9/1/2/3/4/5",
        ] {
            assert_eq!(readable(bad), UNREADABLE, "{bad}");
        }
        assert_eq!(readable(&"a".repeat(65)), UNREADABLE);
        assert_eq!(domain_of("x@aura.mssante.fr"), "aura.mssante.fr");
        assert_eq!((domain_of(""), domain_of("x")), ("<>", UNREADABLE));
    }

    #[test]
    fn sizes_fall_into_their_classes() {
        let class = |octets| size_of(Some(&MessageFacts { size: Some(octets), ..MessageFacts::default() })).0;
        let bounds = [0, 10_239, 10_240, 102_400, 1 << 20, 5 << 20, (10 << 20) - 1, 10 << 20, u64::MAX];
        assert_eq!(
            bounds.map(class),
            [
                "moins de 10 Kio",
                "moins de 10 Kio",
                "10 a 100 Kio",
                "100 Kio a 1 Mio",
                "1 a 5 Mio",
                "5 a 10 Mio",
                "5 a 10 Mio",
                "10 Mio et plus",
                "10 Mio et plus"
            ]
        );
        assert_eq!(size_of(None), ("inconnue", 0));
    }
}
