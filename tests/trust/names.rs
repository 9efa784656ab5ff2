//! Distinguished names: what is the same certificate holder, and what is not.

use caducee::mss::dn::{AttributeDifference, DistinguishedName, DnError};
use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

fn name(text: &str) -> DistinguishedName {
    DistinguishedName::parse_text(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn attributes(text: &str) -> Vec<(String, String)> {
    name(text).attributes().iter().map(|attribute| (attribute.kind.clone(), attribute.value.clone())).collect()
}

const PLAIN: &str = "CN=mss.aura.example,OU=199000001,O=GCS AURA INVENTÉ,ST=Rhône (69),C=FR";

#[test]
fn the_spellings_of_the_real_list_are_the_same_name() {
    for other in [
        "CN=mss.aura.example, OU=199000001, O=GCS AURA INVENTÉ, ST=Rhône (69), C=FR",
        "cn=MSS.Aura.Example,ou=199000001,o=gcs aura inventé,st=RHÔNE (69),c=fr",
        "CN=mss.aura.example,OU=199000001,O=\"GCS AURA INVENTÉ\",ST=Rhône (69),C=FR",
        "CN=mss.aura.example,OU=199000001,O=GCS  AURA\u{a0} INVENTÉ ,ST=Rhône\u{a0}(69),C=FR",
        "CN=mss.aura.example,OU=199000001,O=GCS AURA INVENTE\u{301},ST=Rho\u{302}ne (69),C=FR",
        "C=FR,ST=Rhône (69),O=GCS AURA INVENTÉ,OU=199000001,CN=mss.aura.example",
        "CN=mss.aura.example+OU=199000001,O=GCS AURA INVENTÉ,S=Rhône (69),C=FR",
        "2.5.4.3=mss.aura.example,OID.2.5.4.11=199000001,O=GCS AURA INVENTÉ,ST=Rhône (69),C=FR",
        "CN=mss.aura.example,OU=199000001,O=GCS AURA INVENT\\C3\\89,ST=Rhône \\(69),C=FR",
        "CN=mss.aura.example,OU=199000001,O=GCS AURA INVENTÉ,ST=Rhône (６９),C=FR",
        "\n  CN = mss.aura.example , OU = 199000001 , O = GCS AURA INVENTÉ , ST = Rhône (69) , C = FR\n",
    ] {
        // `\(` is no escape of RFC 4514: it stands for itself, and so is another name.
        let same = !other.contains("\\(");
        assert_eq!(name(PLAIN).matches(&name(other)), same, "{other}");
        assert_eq!(name(PLAIN).diff(&name(other)).is_empty(), same, "{other}");
    }
}

#[test]
fn another_value_another_attribute_or_one_more_is_another_name() {
    for (other, attribute) in [
        ("CN=mss2.aura.example,OU=199000001,O=GCS AURA INVENTÉ,ST=Rhône (69),C=FR", "CN"),
        ("CN=mss.aura.example,OU=199000002,O=GCS AURA INVENTÉ,ST=Rhône (69),C=FR", "OU"),
        ("CN=mss.aura.example,OU=199000001,O=GCS AURA INVENTE,ST=Rhône (69),C=FR", "O"),
        ("CN=mss.aura.example,OU=199000001,O=GCS \"AURA\" INVENTÉ,ST=Rhône (69),C=FR", "O"),
        ("CN=mss.aura.example,OU=199000001,O=GCS AURAINVENTÉ,ST=Rhône (69),C=FR", "O"),
        ("CN=mss.aura.example,OU=199000001,O=GCS AURA INVENTÉ,ST=Rhône,C=FR", "ST"),
        ("CN=mss.aura.example,OU=199000001,O=GCS AURA INVENTÉ,ST=Rhône (69),C=BE", "C"),
        ("CN=mss.aura.example,OU=199000001,OU=2,O=GCS AURA INVENTÉ,ST=Rhône (69),C=FR", "OU"),
        ("CN=mss.aura.example,OU=199000001,OU=199000001,O=GCS AURA INVENTÉ,ST=Rhône (69),C=FR", "OU"),
        ("CN=mss.aura.example,OU=199000001,O=GCS AURA INVENTÉ,C=FR", "ST"),
        ("CN=mss.aura.example,OU=199000001,O=GCS AURA INVENTÉ,L=LYON,ST=Rhône (69),C=FR", "L"),
    ] {
        assert!(!name(PLAIN).matches(&name(other)), "{other}");
        let differences = name(PLAIN).diff(&name(other));
        assert_eq!(differences.len(), 1, "{other}: {differences:?}");
        assert_eq!(differences[0].attribute, attribute, "{other}");
    }
}

#[test]
fn a_difference_shows_both_values_as_written() {
    let differences = name(PLAIN).diff(&name("CN=mss.aura.example,OU=1,OU=199000001,O=\"Gcs  Sara\",C=FR"));
    let expect = |attribute: &str, left: Option<&str>, right: Option<&str>| AttributeDifference {
        attribute: attribute.into(),
        left: left.map(Into::into),
        right: right.map(Into::into),
    };
    assert_eq!(
        differences,
        [
            expect("OU", None, Some("1")),
            expect("O", Some("GCS AURA INVENTÉ"), Some("Gcs  Sara")),
            expect("ST", Some("Rhône (69)"), None),
        ]
    );
}

#[test]
fn repeated_units_may_stand_in_any_order() {
    assert!(name("CN=a,OU=1,OU=2,C=FR").matches(&name("CN=a,OU=2,OU=1,C=FR")));
    assert!(!name("CN=a,OU=1,OU=1,OU=2").matches(&name("CN=a,OU=1,OU=2,OU=2")));
}

#[test]
fn dividers_inside_of_values_belong_to_them() {
    for (text, organisation) in [
        ("CN=a,O=CLINIQUE SAINT-JEAN, LE HAUT,C=FR", "CLINIQUE SAINT-JEAN, LE HAUT"),
        ("CN=a,O=\"CLINIQUE SAINT-JEAN, C=BE\",C=FR", "CLINIQUE SAINT-JEAN, C=BE"),
        ("CN=a,O=CLINIQUE\\, C\\=BE,C=FR", "CLINIQUE, C=BE"),
        ("CN=a,O=UN + DEUX; TROIS = QUATRE,C=FR", "UN + DEUX; TROIS = QUATRE"),
        ("CN=a,O=CENTRE HOSPITALIER \"FRANCK\",C=FR", "CENTRE HOSPITALIER \"FRANCK\""),
        ("CN=a,O=\"FRANCK\" LE GRAND,C=FR", "\"FRANCK\" LE GRAND"),
        ("CN=a,O=\"FRANCK \\\"LE GRAND\\\"\",C=FR", "FRANCK \"LE GRAND\""),
        ("CN=a,O=\"SANS FIN,C=FR", "\"SANS FIN"),
        ("CN=a,O=C:\\SANTE,C=FR", "C:\\SANTE"),
        ("CN=a,O=FIN\\ ,C=FR", "FIN "),
        ("CN=a,O=FIN\\\u{a0},C=FR", "FIN\\"),
    ] {
        assert_eq!(attributes(text)[1], ("O".into(), organisation.into()), "{text}");
        assert_eq!(attributes(text).len(), 3, "{text}");
    }
}

#[test]
fn what_is_no_name_is_refused_with_its_reason() {
    let many = vec!["OU=1"; 33].join(",");
    let long = format!("CN={}", "a".repeat(5000));
    for (text, error) in [
        ("", DnError::Empty),
        ("  ", DnError::Empty),
        ("aura", DnError::NoAttributeType("aura".into())),
        ("X=aura", DnError::NoAttributeType("X=aura".into())),
        ("2.=aura", DnError::NoAttributeType("2.=aura".into())),
        ("=aura", DnError::NoAttributeType("=aura".into())),
        ("CN=,C=FR", DnError::EmptyValue("CN".into())),
        ("CN=a,O=\"\",C=FR", DnError::EmptyValue("O".into())),
        ("CN=a,O=\u{a0},C=FR", DnError::EmptyValue("O".into())),
        ("CN=a\0b", DnError::ControlCharacter("CN".into())),
        (&many, DnError::TooManyAttributes),
        (&long, DnError::TooLong),
    ] {
        assert_eq!(DistinguishedName::parse_text(text), Err(error), "{text}");
    }
}

/// The DER of a self-signed certificate with these attributes, in this order.
fn certificate(attributes: &[(DnType, DnValue)]) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in attributes {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn a_certificate_matches_the_text_of_the_list() {
    let printable = |text: &str| DnValue::PrintableString(text.try_into().unwrap());
    let der = certificate(&[
        (DnType::CountryName, printable("FR")),
        (DnType::StateOrProvinceName, DnValue::Utf8String("Rhône (69)".into())),
        (DnType::OrganizationName, DnValue::Utf8String("\"GCS  AURA INVENTÉ\"".into())),
        (DnType::OrganizationalUnitName, printable("199000001")),
        (DnType::CommonName, DnValue::Utf8String("mss.aura.example".into())),
    ]);
    let subject = DistinguishedName::from_der(&der).unwrap();
    assert!(subject.matches(&name(PLAIN)), "{subject}");
    assert_eq!(subject.common_name(), Some("mss.aura.example"));
}

#[test]
fn older_string_types_of_certificates_are_read() {
    let bmp = DnValue::BmpString("GCS AURA INVENTÉ".try_into().unwrap());
    let latin = DnValue::TeletexString("Rhone (69)".try_into().unwrap());
    let der = certificate(&[
        (DnType::OrganizationName, bmp),
        (DnType::StateOrProvinceName, latin),
        (DnType::CustomDnType(vec![1, 2, 250, 1, 71]), DnValue::Utf8String("x".into())),
    ]);
    let subject = DistinguishedName::from_der(&der).unwrap();
    assert!(subject.matches(&name("O=GCS AURA INVENTÉ,ST=Rhone (69),1.2.250.1.71=X")), "{subject}");
}

#[test]
fn a_value_cannot_pretend_to_be_more_attributes() {
    let der = certificate(&[(DnType::CommonName, DnValue::Utf8String("mss.aura.example,O=GCS AURA,C=FR".into()))]);
    let subject = DistinguishedName::from_der(&der).unwrap();
    assert!(!subject.matches(&name("CN=mss.aura.example,O=GCS AURA,C=FR")));
    assert_eq!(subject.attributes().len(), 1);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let mut der = certificate(&[(DnType::CommonName, DnValue::Utf8String("a".into()))]);
    der.push(0);
    for octets in [&b""[..], b"x", &der] {
        assert!(matches!(DistinguishedName::from_der(octets), Err(DnError::Certificate(_))));
    }
}

/// Values as they stand in certificates: words of letters, digits and marks, with single spaces.
fn value() -> impl Strategy<Value = String> {
    "[A-Za-z0-9éèôÉÇœß,.;+=\"'()/&<>#\\\\-]{1,8}( [A-Za-z0-9éèô,.;+=\"'()/\\\\-]{1,8}){0,3}"
}

fn attribute() -> impl Strategy<Value = (String, String)> {
    (prop::sample::select(vec!["CN", "OU", "O", "L", "ST", "C", "1.2.250.1.71.4"]).prop_map(str::to_owned), value())
}

/// A name in text, each value quoted by the rules of RFC 4514.
fn written(attributes: &[(String, String)]) -> String {
    let quote = |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    attributes.iter().map(|(kind, value)| format!("{kind}={}", quote(value))).collect::<Vec<_>>().join(",")
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_read_or_refused(text in ".{0,200}") {
        if let Ok(name) = DistinguishedName::parse_text(&text) {
            prop_assert!(name.matches(&name));
            prop_assert_eq!(&DistinguishedName::parse_text(&name.to_string()).unwrap(), &name);
        }
    }

    #[test]
    fn no_attributes_are_too_strange_to_be_read_or_refused(text in "((CN|O|OU|1.2.3) ?= ?[ \"a\\\\,+;=é\u{a0}4C]{0,12}[,+;]?){1,6}") {
        if let Ok(name) = DistinguishedName::parse_text(&text) {
            prop_assert_eq!(&DistinguishedName::parse_text(&name.to_string()).unwrap(), &name);
        }
    }

    #[test]
    fn what_is_written_is_read_again(attributes in prop::collection::vec(attribute(), 1..8)) {
        // A value of quotes alone is empty in the end.
        prop_assume!(attributes.iter().all(|(_, value)| value.chars().any(char::is_alphanumeric)));
        let name = DistinguishedName::parse_text(&written(&attributes)).unwrap();
        let read: Vec<_> = name.attributes().iter().map(|a| (a.kind.clone(), a.value.clone())).collect();
        prop_assert_eq!(&read, &attributes);
        prop_assert_eq!(&DistinguishedName::parse_text(&name.to_string()).unwrap(), &name);
    }

    #[test]
    fn case_spaces_quotes_and_order_do_not_count(attributes in prop::collection::vec(attribute(), 1..8), turn in any::<prop::sample::Index>()) {
        prop_assume!(attributes.iter().all(|(_, value)| value.chars().any(char::is_alphanumeric)));
        let name = DistinguishedName::parse_text(&written(&attributes)).unwrap();
        let mut other: Vec<_> = attributes
            .iter()
            .map(|(kind, value)| (kind.clone(), format!(" \"{} \" ", value.to_lowercase().replace(' ', " \u{a0}\u{2003} "))))
            .collect();
        other.rotate_left(turn.index(attributes.len()));
        let other = DistinguishedName::parse_text(&written(&other)).unwrap();
        prop_assert!(name.matches(&other), "{} and {}", name, other);
        prop_assert!(name.diff(&other).is_empty());
    }

    #[test]
    fn a_changed_value_is_found_and_named(attributes in prop::collection::vec(attribute(), 1..8), which in any::<prop::sample::Index>()) {
        prop_assume!(attributes.iter().all(|(_, value)| value.chars().any(char::is_alphanumeric)));
        let which = which.index(attributes.len());
        let mut changed = attributes.clone();
        changed[which].1.push_str(" X");
        let (name, other) = (
            DistinguishedName::parse_text(&written(&attributes)).unwrap(),
            DistinguishedName::parse_text(&written(&changed)).unwrap(),
        );
        prop_assert!(!name.matches(&other));
        let differences = name.diff(&other);
        prop_assert!(!differences.is_empty());
        prop_assert!(differences.iter().all(|difference| difference.attribute == changed[which].0));
        // Seen from the other side, the same attributes differ.
        prop_assert_eq!(other.diff(&name).len(), differences.len());
    }

    #[test]
    fn names_match_exactly_when_nothing_differs(a in prop::collection::vec(attribute(), 1..4), b in prop::collection::vec(attribute(), 1..4)) {
        let (Ok(a), Ok(b)) = (DistinguishedName::parse_text(&written(&a)), DistinguishedName::parse_text(&written(&b))) else {
            return Ok(());
        };
        prop_assert_eq!(a.matches(&b), a.diff(&b).is_empty());
    }
}
