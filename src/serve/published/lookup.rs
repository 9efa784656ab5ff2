//! Whether the DNS says what `[published]` asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Data, Record};
use crate::serve::outbound::dns::{LookupError, SystemResolver};

/// What the DNS says about one name and kind of record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// All records that should be there are, and no other.
    Right {
        /// The name.
        name: String,
        /// The records, as text.
        found: Vec<String>,
    },
    /// Some are missing, or there are others: a client may be led elsewhere.
    Wrong {
        /// The name.
        name: String,
        /// What should be there and is not.
        missing: Vec<String>,
        /// What is there and should not be.
        surplus: Vec<String>,
    },
    /// The DNS did not answer: nothing is known.
    Unanswered {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
    /// A host that records lead to has no address.
    NoAddress {
        /// The host.
        host: String,
        /// What the DNS says.
        why: String,
    },
}

impl Finding {
    /// Whether there is nothing to mend.
    pub fn is_right(&self) -> bool {
        matches!(self, Finding::Right { .. })
    }
}

/// Asks for everything in `wanted`, and for an address of each host that it leads to.
pub async fn check(resolver: &SystemResolver, wanted: &[Record]) -> Vec<Finding> {
    let mut by_name: BTreeMap<&str, BTreeSet<&Data>> = BTreeMap::new();
    for record in wanted {
        by_name.entry(&record.name).or_default().insert(&record.data);
    }
    let mut findings = Vec::new();
    for (name, data) in &by_name {
        let found = match data.first() {
            Some(Data::Mx { .. }) => mx(resolver, name).await,
            Some(Data::Srv { .. }) => srv(resolver, name).await,
            Some(Data::Cname(host)) => same_host(resolver, name, host).await,
            Some(Data::Address(_)) | None => continue,
        };
        findings.push(judge(name, data, found));
    }
    let hosts: BTreeSet<&str> = wanted.iter().filter_map(|record| host_of(&record.data)).collect();
    for host in hosts {
        match resolver.addresses_of(host).await {
            Ok(found) if !found.is_empty() => {}
            Ok(_) => findings.push(no_address(host, &LookupError::NoRecord)),
            Err(problem) => findings.push(no_address(host, &problem)),
        }
    }
    findings
}

fn no_address(host: &str, problem: &LookupError) -> Finding {
    Finding::NoAddress { host: host.to_owned(), why: problem.to_string() }
}

fn host_of(data: &Data) -> Option<&str> {
    match data {
        Data::Mx { host, .. } | Data::Srv { target: host, .. } | Data::Cname(host) => Some(host),
        Data::Address(_) => None,
    }
}

/// Compares what should be there with what was found; names without case.
fn judge(name: &str, wanted: &BTreeSet<&Data>, found: Result<Vec<Data>, LookupError>) -> Finding {
    let name = name.to_owned();
    let text = |data: &Data| data.to_string().to_ascii_lowercase();
    let found = match found {
        Ok(found) => found,
        Err(LookupError::NoSuchName | LookupError::NoRecord) => Vec::new(),
        Err(LookupError::NoAnswer(why) | LookupError::Failed(why)) => return Finding::Unanswered { name, why },
    };
    let wanted_texts: BTreeSet<String> = wanted.iter().map(|data| text(data)).collect();
    let found_texts: BTreeSet<String> = found.iter().map(text).collect();
    let only_in = |these: Vec<&Data>, others: &BTreeSet<String>| -> Vec<String> {
        these.into_iter().filter(|data| !others.contains(&text(data))).map(Data::to_string).collect()
    };
    let missing = only_in(wanted.iter().copied().collect(), &found_texts);
    let surplus = only_in(found.iter().collect(), &wanted_texts);
    if missing.is_empty() && surplus.is_empty() {
        return Finding::Right { name, found: found.iter().map(Data::to_string).collect() };
    }
    Finding::Wrong { name, missing, surplus }
}

async fn mx(resolver: &SystemResolver, name: &str) -> Result<Vec<Data>, LookupError> {
    let found = resolver.exchangers_of(name).await?;
    Ok(found.into_iter().map(|mx| Data::Mx { preference: mx.preference, host: mx.name }).collect())
}

async fn srv(resolver: &SystemResolver, name: &str) -> Result<Vec<Data>, LookupError> {
    let found = resolver.services_of(name).await?;
    let data = |(priority, weight, port, target)| Data::Srv { priority, weight, port, target };
    Ok(found.into_iter().map(data).collect())
}

/// An alias may be written as CNAME or as addresses: what counts is that it leads to the same machine.
async fn same_host(resolver: &SystemResolver, name: &str, host: &str) -> Result<Vec<Data>, LookupError> {
    let here = resolver.addresses_of(name).await?;
    let there = match resolver.addresses_of(host).await {
        Ok(found) => found,
        // Nothing leads to a host that is nowhere; that it is nowhere is a finding of its own.
        Err(LookupError::NoSuchName | LookupError::NoRecord) => Vec::new(),
        Err(unknown) => return Err(unknown),
    };
    Ok(leads(host, &here, &there))
}

/// What a name with these addresses comes to, beside the host's.
fn leads(host: &str, here: &[IpAddr], there: &[IpAddr]) -> Vec<Data> {
    if !here.is_empty() && here.iter().all(|address| there.contains(address)) {
        return vec![Data::Cname(host.to_owned())];
    }
    here.iter().copied().map(Data::Address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mx(preference: u16, host: &str) -> Data {
        Data::Mx { preference, host: host.into() }
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_is_told_and_case_does_not_count() {
        let (wanted, second) = (mx(10, "mx.op.example"), mx(20, "mx2.op.example"));
        let both = BTreeSet::from([&wanted, &second]);
        let found = judge("a.example", &both, Ok(vec![mx(20, "MX2.Op.Example"), mx(10, "old.example")]));
        let Finding::Wrong { missing, surplus, .. } = found else { panic!("{found:?}") };
        assert_eq!((missing, surplus), (vec![wanted.to_string()], vec!["MX 10 old.example.".to_owned()]));
        assert!(judge("a.example", &both, Ok(vec![second.clone(), wanted.clone()])).is_right());
    }

    #[test]
    fn no_answer_is_not_the_same_as_no_record() {
        let wanted = mx(10, "mx.op.example");
        let one = BTreeSet::from([&wanted]);
        let failed = judge("a.example", &one, Err(LookupError::Failed("SERVFAIL".into())));
        assert_eq!(failed, Finding::Unanswered { name: "a.example".into(), why: "SERVFAIL".into() });
        assert!(matches!(judge("a.example", &one, Err(LookupError::NoSuchName)), Finding::Wrong { .. }));
    }

    #[test]
    fn an_alias_is_right_where_it_leads_and_its_addresses_are_told_where_it_does_not() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (own, other) = (address("192.0.2.1"), address("2001:db8::1"));
        let alias = Data::Cname("portail.op.example".into());
        let wanted = BTreeSet::from([&alias]);
        let found = |here: &[IpAddr], there: &[IpAddr]| {
            judge("autoconfig.a.example", &wanted, Ok(leads("portail.op.example", here, there)))
        };
        assert!(found(&[own], &[other, own]).is_right());
        let Finding::Wrong { missing, surplus, .. } = found(&[own, other], &[own]) else {
            panic!("it leads elsewhere")
        };
        assert_eq!(missing, ["CNAME portail.op.example."]);
        assert_eq!(surplus, ["A 192.0.2.1", "AAAA 2001:db8::1"]);
        let Finding::Wrong { surplus, .. } = found(&[], &[own]) else { panic!("it leads nowhere") };
        assert_eq!(surplus, [""; 0]);
    }
}
