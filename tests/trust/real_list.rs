//! The national list itself, of a day in 2025.

use std::time::{Duration, Instant};

use caducee::mss::whitelist::verify_and_parse;

use crate::support::{NOW, real_list, real_policy};

#[test]
fn the_real_list_verifies_and_has_the_known_figures() {
    let Some(xml) = real_list() else { return };
    let start = Instant::now();
    let list = verify_and_parse(&xml, &real_policy(&xml), NOW).unwrap();
    println!("verified and indexed in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5), "a second in a release build, some more in this one");
    assert_eq!(list.problems(), []);
    assert_eq!(list.generated_at(), 1_740_757_327);
    assert_eq!(list.entries().len(), 6494);
    assert_eq!(list.domain_count(), 4944);
    // 391 spellings of fewer names.
    assert!(list.peer_count() < 391, "{}", list.peer_count());
    println!("{} peers", list.peer_count());
}

#[test]
fn every_entry_of_the_real_list_is_found_by_the_index() {
    let Some(xml) = real_list() else { return };
    let list = verify_and_parse(&xml, &real_policy(&xml), NOW).unwrap();
    for entry in list.entries() {
        assert!(list.speaks_for(&entry.dn, &entry.domain));
        assert!(list.domains_of(&entry.dn).any(|domain| *domain == entry.domain));
        assert!(list.entries_of(&entry.domain).any(|other| other == entry));
        assert!(entry.dn.diff(&entry.dn).is_empty());
    }
}
