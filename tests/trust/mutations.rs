//! A signed list, changed in every way that has been used against XML signatures, is refused in each.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bergshamra::c14n::{C14nMode, canonicalize};
use caducee::mss::whitelist::{SignerPolicy, verify_and_parse};

use crate::support::{AGENCY, NOW, embedded_certificate, real_list, real_policy, small_list, small_policy};

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

type Mutation = (&'static str, fn(&str) -> String);

/// Replaces the first occurrence; the mutation would test nothing if there were none.
fn first(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the list does not hold {from}");
    text.replacen(from, to, 1)
}

/// From the start tag to the end tag, both included. `name>` is met only without attributes.
fn element<'t>(text: &'t str, name: &str) -> &'t str {
    let from = text.find(&format!("<{name}")).unwrap();
    let end = format!("</{}>", name.trim_end_matches(['>', ' ']));
    let to = from + text[from..].find(&end).unwrap() + end.len();
    &text[from..to]
}

fn inner<'t>(text: &'t str, name: &str) -> &'t str {
    let whole = element(text, name);
    let start = whole.find('>').unwrap() + 1;
    &whole[start..whole.len() - name.len() - 3]
}

/// Another character in the middle of an element's Base64.
fn disturb(text: &str, name: &str) -> String {
    let old = inner(text, name);
    let at = old.char_indices().nth(17).unwrap().0;
    let other = if &old[at..at + 1] == "A" { "B" } else { "A" };
    text.replacen(old, &format!("{}{other}{}", &old[..at], &old[at + 1..]), 1)
}

fn evil_list(text: &str) -> String {
    let entry = element(text, "Domaine>").replace(inner(text, "Nom"), "evil.mssante.example");
    format!("<ListeDomaines>{entry}</ListeDomaines>")
}

fn evil_document(text: &str, signature: &str) -> String {
    format!(
        "<ListeBlancheMSSante xmlns=\"https://listeblanche.mssante.fr/schema\">{}{}{signature}</ListeBlancheMSSante>",
        element(text, "DateDeGeneration"),
        evil_list(text)
    )
}

/// The root element without the XML declaration.
fn root(text: &str) -> &str {
    &text[text.find("<ListeBlancheMSSante").unwrap()..]
}

fn without_signature(text: &str) -> String {
    text.replacen(element(text, "Signature "), "", 1)
}

const CONTENT: &[Mutation] = &[
    ("a byte in a name", |t| first(t, "<Nom>", "<Nom>x")),
    ("another DN", |t| first(t, ",C=FR<", ",C=FX<")),
    ("a space in a DN", |t| first(t, ",O=", ", O=")),
    ("an accent in two characters", |t| first(t, "é", "e\u{301}")),
    ("white space in a name", |t| first(t, "<Nom>", "<Nom> ")),
    ("white space between elements", |t| first(t, "<Nom>", "\n<Nom>")),
    ("an entry less", |t| first(t, element(t, "Domaine>"), "")),
    ("an entry twice", |t| first(t, element(t, "Domaine>"), &element(t, "Domaine>").repeat(2))),
    ("an entry more", |t| {
        first(t, "</ListeDomaines>", &format!("{}</ListeDomaines>", inner(&evil_list(t), "ListeDomaines")))
    }),
    ("another date", |t| first(t, "<DateDeGeneration>2025", "<DateDeGeneration>2026")),
    ("an attribute", |t| first(t, "<Domaine>", "<Domaine x=\"y\">")),
    ("xml:base on the root", |t| first(t, "<ListeBlancheMSSante ", "<ListeBlancheMSSante xml:base=\"x\" ")),
    ("a second ListeDomaines behind", |t| first(t, "</ListeDomaines>", &format!("</ListeDomaines>{}", evil_list(t)))),
    ("a second ListeDomaines before", |t| first(t, "<ListeDomaines>", &format!("{}<ListeDomaines>", evil_list(t)))),
    ("a name in another namespace", |t| first(t, "<Nom>", "<Nom xmlns=\"urn:x\">")),
    ("a name with a prefix", |t| {
        let nom = element(t, "Nom").to_owned();
        let other = nom
            .replace("<Nom", "<x:Nom xmlns:x=\"https://listeblanche.mssante.fr/schema\"")
            .replace("</Nom", "</x:Nom");
        first(t, &nom, &other)
    }),
    ("the list in another namespace", |t| first(t, "mssante.fr/schema", "mssante.fr/schema2")),
    ("the digest made right for a changed name", |t| {
        let changed = first(t, "<Nom>", "<Nom>x");
        let canonical = canonicalize::<&str>(&without_signature(&changed), C14nMode::Exclusive, None, &[]).unwrap();
        let value = STANDARD.encode(digest::digest(&digest::SHA256, &canonical));
        first(&changed, inner(t, "DigestValue"), &value)
    }),
];

const FORM: &[Mutation] = &[
    ("no signature", |t| without_signature(t)),
    ("another signature value", |t| disturb(t, "SignatureValue")),
    ("an empty signature value", |t| first(t, inner(t, "SignatureValue"), "")),
    ("another digest", |t| disturb(t, "DigestValue")),
    ("a shorter digest", |t| first(t, inner(t, "DigestValue"), "AAAA")),
    ("the signature twice", |t| first(t, "</Signature>", &format!("</Signature>{}", element(t, "Signature ")))),
    ("an empty second signature", |t| {
        first(t, "<ListeDomaines>", &format!("<Signature xmlns=\"{DSIG}\"/><ListeDomaines>"))
    }),
    ("the signature in another namespace", |t| first(t, DSIG, "http://www.w3.org/2000/09/xmldsig")),
    ("the enveloped transform removed", |t| {
        first(t, &format!("<Transform Algorithm=\"{DSIG}enveloped-signature\"/>"), "")
    }),
    ("the c14n transform removed", |t| first(t, &format!("<Transform Algorithm=\"{EXC_C14N}\"/>"), "")),
    ("all transforms removed", |t| first(t, element(t, "Transforms"), "")),
    ("the transforms in another order", |t| {
        let both = inner(t, "Transforms").to_owned();
        let (one, other) = both.split_at(both.find("/>").unwrap() + 2);
        first(t, &both, &format!("{other}{one}"))
    }),
    ("an XPath transform added", |t| {
        let xpath =
            "<Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><XPath>true()</XPath></Transform>";
        first(t, "<Transforms>", &format!("<Transforms>{xpath}"))
    }),
    ("an XSLT transform added", |t| {
        first(t, "</Transforms>", "<Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/></Transforms>")
    }),
    ("a c14n transform twice", |t| {
        let c14n = format!("<Transform Algorithm=\"{EXC_C14N}\"/>");
        first(t, &c14n, &c14n.repeat(2))
    }),
    ("inclusive c14n as transform", |t| {
        first(
            t,
            &format!("<Transform Algorithm=\"{EXC_C14N}\"/>"),
            "<Transform Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"/>",
        )
    }),
    ("c14n with comments as transform", |t| {
        first(
            t,
            &format!("<Transform Algorithm=\"{EXC_C14N}\"/>"),
            &format!("<Transform Algorithm=\"{EXC_C14N}WithComments\"/>"),
        )
    }),
    ("a prefix list", |t| {
        let list = format!(
            "<Transform Algorithm=\"{EXC_C14N}\"><InclusiveNamespaces xmlns=\"{EXC_C14N}\" PrefixList=\"x\"/></Transform>"
        );
        first(t, &format!("<Transform Algorithm=\"{EXC_C14N}\"/>"), &list)
    }),
    ("another canonicalisation of SignedInfo", |t| {
        first(
            t,
            &format!("<CanonicalizationMethod Algorithm=\"{EXC_C14N}\"/>"),
            "<CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"/>",
        )
    }),
    ("RSA-SHA1", |t| first(t, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", &format!("{DSIG}rsa-sha1"))),
    ("RSA-SHA512", |t| first(t, "xmldsig-more#rsa-sha256", "xmldsig-more#rsa-sha512")),
    ("HMAC with the public key", |t| first(t, "xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256")),
    ("an output length", |t| {
        let method = "<SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"";
        first(t, &format!("{method}/>"), &format!("{method}><HMACOutputLength>8</HMACOutputLength></SignatureMethod>"))
    }),
    ("SHA-1 as digest", |t| first(t, "http://www.w3.org/2001/04/xmlenc#sha256", &format!("{DSIG}sha1"))),
    ("a second reference", |t| first(t, element(t, "Reference"), &element(t, "Reference").repeat(2))),
    ("no reference", |t| first(t, element(t, "Reference"), "")),
    ("a reference by id to the root", |t| {
        let named = first(t, "<ListeBlancheMSSante ", "<ListeBlancheMSSante Id=\"id\" ");
        first(&named, "<Reference URI=\"\">", "<Reference URI=\"#id\">")
    }),
    ("a reference by XPointer", |t| first(t, "<Reference URI=\"\">", "<Reference URI=\"#xpointer(/)\">")),
    ("a reference to a file", |t| first(t, "<Reference URI=\"\">", "<Reference URI=\"Cargo.toml\">")),
    ("a reference to an attachment", |t| first(t, "<Reference URI=\"\">", "<Reference URI=\"cid:list\">")),
    ("a reference to an address", |t| first(t, "<Reference URI=\"\">", "<Reference URI=\"http://127.0.0.1:9/\">")),
    ("a reference without URI", |t| first(t, "<Reference URI=\"\">", "<Reference>")),
    ("a reference with a type", |t| {
        first(t, "<Reference URI=\"\">", &format!("<Reference Type=\"{DSIG}Object\" URI=\"\">"))
    }),
    ("an Object in the signature", |t| first(t, "</KeyInfo>", "</KeyInfo><Object/>")),
    ("an id on SignedInfo", |t| first(t, "<SignedInfo>", "<SignedInfo Id=\"x\">")),
    ("white space in SignedInfo", |t| first(t, "<SignedInfo>", "<SignedInfo> ")),
    ("text in SignedInfo", |t| first(t, "<SignedInfo>", "<SignedInfo>x")),
];

const KEYS: &[Mutation] = &[
    ("no KeyInfo", |t| first(t, element(t, "KeyInfo"), "")),
    ("no certificate", |t| first(t, element(t, "X509Certificate"), "")),
    ("another's certificate", |t| first(t, inner(t, "X509Certificate"), &STANDARD.encode(&AGENCY.signer.der))),
    ("another's certificate first", |t| {
        let other = format!("<X509Certificate>{}</X509Certificate>", STANDARD.encode(&AGENCY.signer.der));
        first(t, "<X509Data>", &format!("<X509Data>{other}"))
    }),
    ("a damaged certificate", |t| disturb(t, "X509Certificate")),
    ("the certificate with something behind it", |t| {
        let mut der = embedded_certificate(t.as_bytes());
        der.push(0);
        first(t, inner(t, "X509Certificate"), &STANDARD.encode(der))
    }),
    ("a certificate with a changed name and no valid signature", |t| {
        let mut der = embedded_certificate(t.as_bytes());
        let at = der.windows(4).rposition(|octets| octets == b"mssa").unwrap();
        der[at] = b'n';
        first(t, inner(t, "X509Certificate"), &STANDARD.encode(der))
    }),
    ("a bare key in KeyInfo", |t| {
        let value = "<KeyValue><RSAKeyValue><Modulus>AQAB</Modulus><Exponent>AQAB</Exponent></RSAKeyValue></KeyValue>";
        first(t, "<KeyInfo>", &format!("<KeyInfo>{value}"))
    }),
    ("a key to be fetched", |t| first(t, "<KeyInfo>", "<KeyInfo><RetrievalMethod URI=\"http://127.0.0.1:9/\"/>")),
    ("a key name", |t| first(t, "<KeyInfo>", "<KeyInfo><KeyName>x</KeyName>")),
    ("five certificates", |t| first(t, element(t, "X509Certificate"), &element(t, "X509Certificate").repeat(5))),
    ("signed by another agency", |t| String::from_utf8(AGENCY.signer.sign(&without_signature(t))).unwrap()),
];

const WRAPPING: &[Mutation] = &[
    ("the signed list inside the signature's Object", |t| {
        let signature = element(t, "Signature ");
        let object = format!("<Object>{}</Object></Signature>", root(&without_signature(t)));
        evil_document(t, &first(signature, "</Signature>", &object))
    }),
    ("the signed list as a child of another", |t| evil_document(t, root(t))),
    ("the signed list as a child, its signature outside", |t| {
        evil_document(t, &format!("{}{}", root(&without_signature(t)), element(t, "Signature ")))
    }),
    ("a list around the signature in the list", |t| {
        first(t, element(t, "Signature "), &format!("<ListeDomaines>{}</ListeDomaines>", element(t, "Signature ")))
    }),
    ("the signature before the list", |t| {
        let signature = element(t, "Signature ").to_owned();
        first(&without_signature(t), "<ListeDomaines>", &format!("{signature}<ListeDomaines>"))
    }),
    ("the signature on another list", |t| evil_document(t, element(t, "Signature "))),
    ("a list behind the signature", |t| first(t, "</Signature>", &format!("</Signature>{}", evil_list(t)))),
    ("a list inside the signature", |t| first(t, "</KeyInfo>", &format!("</KeyInfo>{}", evil_list(t)))),
    ("a second document behind the first", |t| format!("{t}{}", evil_document(t, ""))),
    ("the signature beside the root", |t| format!("{}{}", without_signature(t), element(t, "Signature "))),
];

const SYNTAX: &[Mutation] = &[
    ("a comment in a name", |t| first(t, "<Nom>", "<Nom><!-- -->")),
    ("a comment that splits a name", |t| {
        let name = inner(t, "Nom").to_owned();
        first(t, &format!("<Nom>{name}"), &format!("<Nom>{}<!--x-->{}", &name[..2], &name[2..]))
    }),
    ("a comment before the root", |t| first(t, "<ListeBlancheMSSante", "<!-- x --><ListeBlancheMSSante")),
    ("a comment behind the root", |t| format!("{t}<!-- x -->")),
    ("a comment in the signature", |t| first(t, "<SignatureValue>", "<SignatureValue><!-- -->")),
    ("a processing instruction", |t| first(t, "<ListeDomaines>", "<?x y?><ListeDomaines>")),
    ("a style sheet", |t| first(t, "<ListeBlancheMSSante", "<?xml-stylesheet href=\"x\"?><ListeBlancheMSSante")),
    ("CDATA for a name", |t| {
        first(t, &format!("<Nom>{}", inner(t, "Nom")), &format!("<Nom><![CDATA[{}]]>", inner(t, "Nom")))
    }),
    ("a DTD", |t| first(t, "<ListeBlancheMSSante", "<!DOCTYPE ListeBlancheMSSante><ListeBlancheMSSante")),
    ("an entity", |t| {
        let named = first(t, &format!("<Nom>{}", inner(t, "Nom")), "<Nom>&n;");
        let dtd = format!("<!DOCTYPE ListeBlancheMSSante [<!ENTITY n \"{}\">]>", inner(t, "Nom"));
        first(&named, "<ListeBlancheMSSante", &format!("{dtd}<ListeBlancheMSSante"))
    }),
    ("an external entity", |t| {
        let named = first(t, "<Nom>", "<Nom>&n;");
        first(
            &named,
            "<ListeBlancheMSSante",
            "<!DOCTYPE x [<!ENTITY n SYSTEM \"file:///etc/hostname\">]><ListeBlancheMSSante",
        )
    }),
    ("a default attribute", |t| {
        first(t, "<ListeBlancheMSSante", "<!DOCTYPE x [<!ATTLIST Reference Id ID #FIXED \"x\">]><ListeBlancheMSSante")
    }),
    ("many laughs", |t| {
        let dtd =
            "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]>";
        first(&first(t, "<Nom>", "<Nom>&c;"), "<ListeBlancheMSSante", &format!("{dtd}<ListeBlancheMSSante"))
    }),
    ("an unknown entity", |t| first(t, "<Nom>", "<Nom>&x;")),
    ("an element behind the root", |t| format!("{t}<x/>")),
    ("text behind the root", |t| format!("{t}x")),
    ("text before the root", |t| format!("x{t}")),
    ("a NUL", |t| first(t, "<Nom>", "<Nom>\0")),
    ("a NUL as a reference", |t| first(t, "<Nom>", "<Nom>&#0;")),
    ("cut off", |t| t[..t.len() - 30].to_owned()),
    ("cut off in the list", |t| t[..t.find("<Nom>").unwrap()].to_owned()),
    ("deep nesting", |t| first(t, "<Nom>", &format!("{}{}<Nom>", "<a>".repeat(50_000), "</a>".repeat(50_000)))),
    ("nothing", |_| String::new()),
];

fn assert_all_refused(list: &[u8], policy: &SignerPolicy) {
    let text = std::str::from_utf8(list).unwrap();
    assert!(verify_and_parse(list, policy, NOW).is_ok(), "the list itself is good");
    for (name, mutate) in [CONTENT, FORM, KEYS, WRAPPING, SYNTAX].concat() {
        let mutated = mutate(text);
        assert_ne!(mutated, text, "{name} changes nothing");
        match verify_and_parse(mutated.as_bytes(), policy, NOW) {
            Ok(_) => panic!("{name}: taken"),
            Err(error) => println!("{name}: {error}"),
        }
    }
}

#[test]
fn every_mutation_of_the_small_list_is_refused() {
    assert_all_refused(&small_list(), &small_policy());
}

#[test]
fn every_mutation_of_the_real_list_is_refused() {
    let Some(list) = real_list() else { return };
    assert_all_refused(&list, &real_policy(&list));
}

#[test]
fn octets_that_are_no_utf8_are_refused() {
    let mut list = small_list();
    let at = list.windows(5).position(|octets| octets == b"<Nom>").unwrap() + 5;
    list[at] = 0xff;
    assert!(verify_and_parse(&list, &small_policy(), NOW).is_err());
    let utf16: Vec<u8> = String::from_utf8(small_list()).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(verify_and_parse(&utf16, &small_policy(), NOW).is_err());
}

#[test]
fn a_list_too_large_is_refused_before_it_is_read() {
    let mut list = small_list();
    list.resize(17 * 1024 * 1024, b' ');
    assert_eq!(verify_and_parse(&list, &small_policy(), NOW).unwrap_err().name(), "too-large");
    let tags = "<a/>".repeat(600_000);
    assert_eq!(verify_and_parse(tags.as_bytes(), &small_policy(), NOW).unwrap_err().name(), "too-large");
}

/// Every single bit of the small list that is turned over is noticed, or makes no difference to what is read.
#[test]
fn no_turned_over_bit_changes_what_is_read() {
    let list = small_list();
    let good = verify_and_parse(&list, &small_policy(), NOW).unwrap();
    for at in (0..list.len()).step_by(7) {
        let mut changed = list.clone();
        changed[at] ^= 1 << (at % 7);
        if let Ok(taken) = verify_and_parse(&changed, &small_policy(), NOW) {
            assert_eq!((taken.entries(), taken.generated_at()), (good.entries(), good.generated_at()), "octet {at}");
        }
    }
}

/// What XML itself calls the same is the same: otherwise a tool on the way that rewrites it would look like an attack.
#[test]
fn what_canonical_xml_does_not_see_does_no_harm() {
    const HARMLESS: &[Mutation] = &[
        ("no XML declaration", |t| root(t).to_owned()),
        ("lines that end in CR LF", |t| t.replace("&#13;\n", "\n").replace('\n', "\r\n")),
        ("white space behind the root", |t| format!("{t}\n\n")),
        ("a namespace that is not used", |t| {
            first(t, "<ListeBlancheMSSante ", "<ListeBlancheMSSante xmlns:x=\"urn:x\" ")
        }),
        ("a letter as a reference", |t| first(t, "<Nom>a", "<Nom>&#97;")),
        ("the signature's Base64 in one line", |t| {
            first(t, inner(t, "SignatureValue"), &inner(t, "SignatureValue").replace("&#13;", "").replace('\n', ""))
        }),
    ];
    let list = String::from_utf8(small_list()).unwrap();
    let good = verify_and_parse(list.as_bytes(), &small_policy(), NOW).unwrap();
    for (name, mutate) in HARMLESS {
        let mutated = mutate(&list);
        assert_ne!(mutated, list, "{name} changes nothing");
        let taken = verify_and_parse(mutated.as_bytes(), &small_policy(), NOW)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(taken.entries(), good.entries(), "{name}");
    }
}
