//! Distinguished names: what is read is written so that it is read again, and comparison is an equivalence.

use caducee::mss::dn::DistinguishedName;

/// One input of the fuzzer: two names in text, one a line, and a certificate in DER.
pub fn check(data: &[u8]) {
    if let Ok(name) = DistinguishedName::from_der(data) {
        same_again(&name);
    }
    let text = String::from_utf8_lossy(data);
    let names: Vec<_> = text.lines().take(3).filter_map(|line| DistinguishedName::parse_text(line).ok()).collect();
    for one in &names {
        same_again(one);
        for other in &names {
            assert_eq!(one.matches(other), other.matches(one));
            assert_eq!(one.matches(other), one.diff(other).is_empty());
            assert_eq!(one.diff(other).len(), other.diff(one).len());
        }
    }
}

fn same_again(name: &DistinguishedName) {
    assert!(name.matches(name) && name.diff(name).is_empty());
    // What a certificate says may be longer than any text that is read.
    if let Ok(again) = DistinguishedName::parse_text(&name.to_string()) {
        assert_eq!(&again, name, "written as {name}");
    }
}
