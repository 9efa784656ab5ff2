//! Exchange: may A write to B? Every combination, in two tables that can be read.

use std::sync::Arc;

use caducee::mss::exchange::{self, Origin, OwnMailbox, Party};
use caducee::mss::{Address, CitizenRules, Conversation, Domain, Kind, MailboxState, Rule, TrustSpace, WhiteList};

use crate::support::entry;

/// The parties, in the order of the tables' rows and columns.
///
/// | | |
/// |---|---|
/// | `own` `own-test` `own-rest` `own-both` | an open mailbox of ours: ordinary, test, restricted, test and restricted |
/// | `own-susp` `own-clos` | a suspended, a closed one, each of them with every flag |
/// | `oth` `oth-test` | another operator's, in a listed domain |
/// | `cit` `cit-bad` | a citizen's address, and one in their domain that no citizen can have |
/// | `unl` `unl-test` | an address in a domain that is not listed |
/// | `null-own` `null-oth` | a null sender of ours, of another operator |
/// | `unknown` | an address of ours that does not exist |
const PARTIES: [&str; 15] = [
    "own", "own-test", "own-rest", "own-both", "own-susp", "own-clos", "oth", "oth-test", "cit", "cit-bad", "unl",
    "unl-test", "null-own", "null-oth", "unknown",
];

/// Reply code and enhanced code; None where it is accepted.
type Wire = Option<(u16, &'static str)>;

/// The rules by their short names in the tables, with what goes on the wire.
const RULES: [(&str, Rule, Wire); 22] = [
    ("OK-oo", Rule::OwnToOwn, None),
    ("OK-ox", Rule::OwnToOther, None),
    ("OK-xo", Rule::OtherToOwn, None),
    ("OK-nu", Rule::NullSender, None),
    ("r-unk", Rule::RecipientUnknown, Some((550, "5.1.1"))),
    ("r-sus", Rule::RecipientSuspended, Some((550, "5.2.1"))),
    ("r-clo", Rule::RecipientClosed, Some((550, "5.1.1"))),
    ("r-res", Rule::RecipientRestricted, Some((550, "5.7.1"))),
    ("r-unl", Rule::RecipientDomainUnlisted, Some((550, "5.7.1"))),
    ("r-nul", Rule::RecipientNull, Some((550, "5.1.3"))),
    ("s-unk", Rule::SenderUnknown, Some((550, "5.1.0"))),
    ("s-sus", Rule::SenderSuspended, Some((550, "5.7.1"))),
    ("s-clo", Rule::SenderClosed, Some((550, "5.7.1"))),
    ("s-res", Rule::SenderRestricted, Some((550, "5.7.1"))),
    ("s-unl", Rule::SenderDomainUnlisted, Some((550, "5.7.1"))),
    ("relay", Rule::Relaying, Some((550, "5.7.1"))),
    ("t-rea", Rule::TestToReal, Some((550, "5.7.1"))),
    ("rea-t", Rule::RealToTest, Some((550, "5.7.1"))),
    ("later", Rule::ListNotLoaded, Some((451, "4.7.0"))),
    ("c-frm", Rule::CitizenAddressForm, Some((550, "5.1.3"))),
    ("c-not", Rule::CitizenNotStarted, Some((550, "5.7.1"))),
    ("c-clo", Rule::CitizenConversationClosed, Some((550, "5.7.1"))),
];

/// From (rows) to (columns), with a white list. `turn`: as the conversation stands, see [`citizens_turn`].
const WITH_LIST: &str = "
from\\to  own   own-test own-rest own-both own-susp own-clos oth   oth-test cit   cit-bad unl   unl-test null-own null-oth unknown
own      OK-oo OK-oo    OK-oo    OK-oo    r-sus    r-clo    OK-ox rea-t    OK-ox c-frm   r-unl r-unl    r-nul    r-nul    r-unk
own-test OK-oo OK-oo    OK-oo    OK-oo    r-sus    r-clo    t-rea OK-ox    t-rea t-rea   r-unl r-unl    r-nul    r-nul    r-unk
own-rest OK-oo OK-oo    OK-oo    OK-oo    r-sus    r-clo    s-res s-res    s-res s-res   s-res s-res    r-nul    r-nul    r-unk
own-both OK-oo OK-oo    OK-oo    OK-oo    r-sus    r-clo    s-res s-res    s-res s-res   s-res s-res    r-nul    r-nul    r-unk
own-susp s-sus s-sus    s-sus    s-sus    s-sus    s-sus    s-sus s-sus    s-sus s-sus   s-sus s-sus    s-sus    s-sus    s-sus
own-clos s-clo s-clo    s-clo    s-clo    s-clo    s-clo    s-clo s-clo    s-clo s-clo   s-clo s-clo    s-clo    s-clo    s-clo
oth      OK-xo rea-t    r-res    r-res    r-sus    r-clo    relay relay    relay relay   relay relay    r-nul    r-nul    r-unk
oth-test t-rea OK-xo    r-res    r-res    r-sus    r-clo    relay relay    relay relay   relay relay    r-nul    r-nul    r-unk
cit      turn  rea-t    r-res    r-res    r-sus    r-clo    relay relay    relay relay   relay relay    r-nul    r-nul    r-unk
cit-bad  turn  rea-t    r-res    r-res    r-sus    r-clo    relay relay    relay relay   relay relay    r-nul    r-nul    r-unk
unl      s-unl s-unl    s-unl    s-unl    s-unl    s-unl    s-unl s-unl    s-unl s-unl   s-unl s-unl    s-unl    s-unl    s-unl
unl-test s-unl s-unl    s-unl    s-unl    s-unl    s-unl    s-unl s-unl    s-unl s-unl   s-unl s-unl    s-unl    s-unl    s-unl
null-own OK-nu OK-nu    OK-nu    OK-nu    r-sus    r-clo    OK-nu OK-nu    OK-nu OK-nu   r-unl r-unl    r-nul    r-nul    r-unk
null-oth OK-nu OK-nu    r-res    r-res    r-sus    r-clo    relay relay    relay relay   relay relay    r-nul    r-nul    r-unk
unknown  s-unk s-unk    s-unk    s-unk    s-unk    s-unk    s-unk s-unk    s-unk s-unk   s-unk s-unk    s-unk    s-unk    s-unk
";

/// The same before a white list was loaded: what needs it is refused for now.
const WITHOUT_LIST: &str = "
from\\to  own   own-test own-rest own-both own-susp own-clos oth   oth-test cit   cit-bad unl   unl-test null-own null-oth unknown
own      OK-oo OK-oo    OK-oo    OK-oo    r-sus    r-clo    later later    later later   later later    r-nul    r-nul    r-unk
own-test OK-oo OK-oo    OK-oo    OK-oo    r-sus    r-clo    later later    later later   later later    r-nul    r-nul    r-unk
own-rest OK-oo OK-oo    OK-oo    OK-oo    r-sus    r-clo    s-res s-res    s-res s-res   s-res s-res    r-nul    r-nul    r-unk
own-both OK-oo OK-oo    OK-oo    OK-oo    r-sus    r-clo    s-res s-res    s-res s-res   s-res s-res    r-nul    r-nul    r-unk
own-susp s-sus s-sus    s-sus    s-sus    s-sus    s-sus    s-sus s-sus    s-sus s-sus   s-sus s-sus    s-sus    s-sus    s-sus
own-clos s-clo s-clo    s-clo    s-clo    s-clo    s-clo    s-clo s-clo    s-clo s-clo   s-clo s-clo    s-clo    s-clo    s-clo
oth      later later    later    later    later    later    later later    later later   later later    later    later    later
oth-test later later    later    later    later    later    later later    later later   later later    later    later    later
cit      later later    later    later    later    later    later later    later later   later later    later    later    later
cit-bad  later later    later    later    later    later    later later    later later   later later    later    later    later
unl      later later    later    later    later    later    later later    later later   later later    later    later    later
unl-test later later    later    later    later    later    later later    later later   later later    later    later    later
null-own OK-nu OK-nu    OK-nu    OK-nu    r-sus    r-clo    later later    later later   later later    r-nul    r-nul    r-unk
null-oth OK-nu OK-nu    r-res    r-res    r-sus    r-clo    relay relay    relay relay   relay relay    r-nul    r-nul    r-unk
unknown  s-unk s-unk    s-unk    s-unk    s-unk    s-unk    s-unk s-unk    s-unk s-unk   s-unk s-unk    s-unk    s-unk    s-unk
";

/// What `turn` in a table means: by the conversation, and by whether citizens may only answer.
fn citizens_turn(conversation: Conversation, only_answer: bool) -> &'static str {
    match (conversation, only_answer) {
        (Conversation::NotStarted, true) => "c-not",
        (Conversation::NotStarted, false) | (Conversation::Open, _) => "OK-xo",
        (Conversation::Closed, _) => "c-clo",
    }
}

fn space(with_list: bool, only_answer: bool) -> TrustSpace {
    let list = || {
        let domains = ["region.mssante.example", "aura.mssante.example", "patient.mssante.example"];
        let listed = domains.map(|domain| entry(domain, &format!("CN=mx.{domain},C=FR")));
        Arc::new(WhiteList::from_entries(0, listed.into()))
    };
    let citizens = CitizenRules::new([Domain::parse("patient.mssante.example").unwrap()], only_answer);
    TrustSpace { list: with_list.then(list), citizens: Arc::new(citizens), ..TrustSpace::default() }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// All mailboxes of ours in these states and with these flags, of each kind.
fn own(states: &[MailboxState], tests: &[bool], restrictions: &[bool]) -> Vec<Party> {
    let mut all = Vec::new();
    for &kind in &Kind::ALL {
        for &state in states {
            for &test in tests {
                for &restricted in restrictions {
                    let address = address("jeanne.dupont@aura.mssante.example");
                    all.push(Party::Own(OwnMailbox { address, kind, test, restricted, state }));
                }
            }
        }
    }
    all
}

fn others(addresses: &[&str]) -> Vec<Party> {
    addresses.iter().map(|text| Party::Other { address: address(text) }).collect()
}

/// Every party that goes by this name in the tables.
fn parties(name: &str) -> Vec<Party> {
    use MailboxState::*;
    let any = [false, true];
    match name {
        "own" => own(&[Open], &[false], &[false]),
        "own-test" => own(&[Open], &[true], &[false]),
        "own-rest" => own(&[Open], &[false], &[true]),
        "own-both" => own(&[Open], &[true], &[true]),
        "own-susp" => own(&[Suspended], &any, &any),
        "own-clos" => own(&[Closed], &any, &any),
        "oth" => others(&["a@region.mssante.example", "attestation@REGION.mssante.example"]),
        "oth-test" => others(&["test@region.mssante.example", "a-test@region.mssante.example"]),
        "cit" => others(&["184127512345678@patient.mssante.example", "284122A12345678@PATIENT.mssante.example"]),
        "cit-bad" => others(&["18412751234567@patient.mssante.example", "anne.roux@patient.mssante.example"]),
        "unl" => others(&["a@gmail.example", "a@x.region.mssante.example"]),
        "unl-test" => others(&["test@gmail.example", "a@test.region.mssante.example"]),
        "null-own" => vec![Party::Null(Origin::Own)],
        "null-oth" => vec![Party::Null(Origin::Other)],
        "unknown" => vec![Party::Unknown { address: address("nobody@aura.mssante.example") }],
        _ => panic!("{name} is no party"),
    }
}

/// Checks a whole table, with each state of a conversation; gives how many decisions it took.
fn check(with_list: bool, table: &str) -> usize {
    let mut decisions = 0;
    for only_answer in [true, false] {
        for conversation in [Conversation::NotStarted, Conversation::Open, Conversation::Closed] {
            let turn = citizens_turn(conversation, only_answer);
            decisions += check_in(&space(with_list, only_answer), conversation, &table.replace("turn", turn));
        }
    }
    decisions
}

fn check_in(space: &TrustSpace, conversation: Conversation, table: &str) -> usize {
    let mut rows = table.trim().lines().map(|line| line.split_whitespace());
    let columns: Vec<&str> = rows.next().unwrap().skip(1).collect();
    assert_eq!(columns, PARTIES);
    let mut decisions = 0;
    let mut seen = Vec::new();
    for mut row in rows {
        let from_name = row.next().unwrap();
        seen.push(from_name);
        let cells: Vec<&str> = row.collect();
        assert_eq!(cells.len(), PARTIES.len(), "{from_name}");
        for (to_name, cell) in PARTIES.iter().zip(cells) {
            for from in parties(from_name) {
                for to in parties(to_name) {
                    assert_cell(space, &from, &to, conversation, cell);
                    decisions += 1;
                }
            }
        }
    }
    assert_eq!(seen, PARTIES);
    decisions
}

fn assert_cell(space: &TrustSpace, from: &Party, to: &Party, conversation: Conversation, cell: &str) {
    let (_, rule, wire) =
        RULES.iter().find(|(short, ..)| *short == cell).unwrap_or_else(|| panic!("{cell} is no rule"));
    let decision = exchange::decide_in(space, from, to, conversation);
    if conversation == Conversation::NotStarted {
        assert_eq!(exchange::decide(space, from, to), decision, "{from:?} to {to:?}");
    }
    assert_eq!(decision.rule(), *rule, "{from:?} to {to:?}");
    assert_eq!(decision.refusal().map(|refusal| (refusal.smtp, refusal.enhanced)), *wire, "{from:?} to {to:?}");
    if let Some(refusal) = decision.refusal() {
        assert!(refusal.to_string().ends_with(&format!("[rule {}]", rule.name())), "{refusal}");
        assert!(!refusal.reason.is_empty());
    }
}

#[test]
fn every_combination_with_a_list_has_its_rule() {
    let decisions = check(true, WITH_LIST);
    assert!(decisions > 20_000, "{decisions}");
}

#[test]
fn every_combination_without_a_list_has_its_rule() {
    check(false, WITHOUT_LIST);
}

/// The patient's own report is made from the text, and an INS is nobody else's business.
#[test]
fn a_refusal_about_a_citizen_says_why_in_french_and_never_who() {
    let own = &parties("own")[0];
    let [good, bad] = ["cit", "cit-bad"].map(|name| parties(name).remove(0));
    let refused = [
        exchange::decide(&space(true, true), own, &bad),
        exchange::decide_in(&space(true, true), &good, own, Conversation::Closed),
        exchange::decide(&space(true, true), &good, own),
    ];
    for decision in &refused {
        let text = decision.refusal().unwrap().to_string();
        assert!(text.is_ascii() && !text.contains("1841275"), "{text}");
    }
    assert!(refused[1].refusal().unwrap().reason.contains("Le professionnel a clos cet echange"));
    assert!(refused[2].refusal().unwrap().reason.contains("vous pouvez repondre a un message"));
}

/// A new rule must find its way into the tables.
#[test]
fn every_rule_of_exchange_stands_in_a_table() {
    let states = [Conversation::NotStarted, Conversation::Open, Conversation::Closed];
    for (short, rule, _) in RULES {
        let is_turn = states.iter().any(|state| citizens_turn(*state, true) == short);
        assert!(is_turn || WITH_LIST.contains(short) || WITHOUT_LIST.contains(short), "{rule} stands in no table");
    }
    let first = Rule::ALL.iter().position(|rule| *rule == Rule::OwnToOwn).unwrap();
    for rule in &Rule::ALL[first..] {
        assert!(RULES.iter().any(|(_, known, _)| known == rule), "{rule} stands in no table");
    }
}
