//! What is asked of a token: tables.

use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

fn rules() -> Rules {
    Rules {
        issuer: "https://psc.example/realm".into(),
        audience: vec!["caducee".into()],
        acr: vec!["eidas1".into()],
        skew: Duration::from_secs(30),
    }
}

/// The claims of a good access token with these in place of its own; `null` takes one away.
fn claims(changes: Value) -> Result<Claims, serde_json::Error> {
    let mut claims = json!({
        "iss": "https://psc.example/realm", "sub": "f:1:899700000001", "aud": ["account", "caducee"], "azp": "lps",
        "exp": NOW + 120, "iat": NOW - 10, "acr": "eidas1", "typ": "Bearer", "SubjectNameID": "899700000001",
    });
    let all = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            all.remove(name)
        } else {
            all.insert(name.clone(), value.clone())
        };
    }
    serde_json::from_value(claims)
}

#[test]
fn a_token_is_judged_by_each_of_its_claims() {
    use TokenRefusal::{Audience, Expired, Issuer, Kind, NotYetValid, Weak};
    for (changes, wanted) in [
        (json!({}), Ok(())),
        (json!({ "aud": "caducee" }), Ok(())),
        (json!({ "typ": null }), Ok(())),
        // RFC 7662 §2.2: an introspection need not say who answers.
        (json!({ "iss": null }), Ok(())),
        (json!({ "iss": "https://psc.example/realm/" }), Err(Issuer)),
        (json!({ "exp": NOW - 29 }), Ok(())),
        (json!({ "exp": NOW - 30 }), Err(Expired)),
        (json!({ "iat": NOW + 30 }), Ok(())),
        (json!({ "iat": NOW + 31 }), Err(NotYetValid)),
        (json!({ "nbf": 1_800_000_031.5 }), Err(NotYetValid)),
        (json!({ "aud": ["account"] }), Err(Audience)),
        (json!({ "aud": null }), Err(Audience)),
        (json!({ "acr": "1" }), Err(Weak)),
        (json!({ "acr": null }), Err(Weak)),
        (json!({ "typ": "ID" }), Err(Kind)),
        (json!({ "typ": "Refresh" }), Err(Kind)),
    ] {
        assert_eq!(rules().judge(&claims(changes.clone()).unwrap(), NOW), wanted, "{changes}");
    }
    let lenient = Rules { audience: Vec::new(), acr: Vec::new(), ..rules() };
    assert_eq!(lenient.judge(&claims(json!({ "aud": null, "acr": null })).unwrap(), NOW), Ok(()));
}

#[test]
fn claims_of_a_wrong_type_are_nonsense_and_not_absent() {
    for changes in [
        json!({ "exp": "1800000120" }),
        json!({ "exp": -1 }),
        json!({ "exp": 1e300 }),
        json!({ "nbf": { "a": 1 } }),
        json!({ "aud": 7 }),
        json!({ "aud": [7] }),
        json!({ "acr": 1 }),
        json!({ "typ": ["Bearer"] }),
        json!({ "cnf": "x" }),
        json!({ "iss": ["https://psc.example/realm"] }),
    ] {
        assert!(claims(changes.clone()).is_err(), "{changes}");
    }
    assert!(serde_json::from_str::<Claims>(r#"{"exp":1,"exp":9999999999}"#).is_err(), "a claim said twice");
}

#[test]
fn an_id_token_is_for_us_and_answers_our_question() {
    use TokenRefusal::{Audience, Kind, Nonce};
    let id = json!({ "typ": "ID", "aud": "caducee", "azp": "caducee", "nonce": "n" });
    let with = |changes: Value| {
        let mut all = id.clone();
        for (name, value) in changes.as_object().expect("an object") {
            all[name] = value.clone();
        }
        all
    };
    for (changes, wanted) in [
        (json!({}), Ok(())),
        (json!({ "azp": null }), Ok(())),
        (json!({ "aud": ["caducee", "other"] }), Ok(())),
        (json!({ "aud": ["caducee", "other"], "azp": null }), Err(Audience)),
        (json!({ "aud": "other" }), Err(Audience)),
        (json!({ "azp": "other" }), Err(Audience)),
        (json!({ "typ": "Bearer" }), Err(Kind)),
        (json!({ "nonce": "m" }), Err(Nonce)),
        (json!({ "nonce": null }), Err(Nonce)),
    ] {
        let claims = claims(with(changes.clone())).unwrap();
        assert_eq!(rules().judge_id_token(&claims, "caducee", "n", NOW), wanted, "{changes}");
    }
}

#[test]
fn a_bound_token_comes_with_its_certificate_and_an_unknown_binding_with_nothing() {
    let certificate = b"a certificate's DER";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(digest.as_ref());
    let bound = claims(json!({ "cnf": { "x5t#S256": thumbprint } })).unwrap().bound_to().unwrap();
    let validated = Validated { bound_to: bound, ..Validated::default() };
    assert_eq!(validated.may_be_used_with(Some(certificate)), Ok(()));
    assert_eq!(validated.may_be_used_with(Some(b"another")), Err(TokenRefusal::Unbound));
    assert_eq!(validated.may_be_used_with(None), Err(TokenRefusal::Unbound));
    let unbound = Validated::default();
    assert_eq!((unbound.may_be_used_with(None), unbound.may_be_used_with(Some(certificate))), (Ok(()), Ok(())));
    for cnf in [
        json!({}),
        json!({ "jkt": "x" }),
        json!({ "x5t#S256": thumbprint, "jkt": "x" }),
        json!({ "x5t#S256": "AAAA" }),
        json!({ "x5t#S256": "!" }),
    ] {
        assert_eq!(claims(json!({ "cnf": cnf })).unwrap().bound_to(), Err(TokenRefusal::Unbound), "{cnf}");
    }
}

#[test]
fn a_person_is_known_by_a_national_id_that_can_be_one() {
    let person = claims(json!({ "given_name": "Léa", "family_name": "Petit" })).unwrap().person().unwrap();
    assert_eq!((person.national_id.as_str(), person.subject.as_str()), ("899700000001", "f:1:899700000001"));
    assert!(!format!("{person:?}").contains("8997"), "{person:?}");
    for changes in [
        json!({ "SubjectNameID": null }),
        json!({ "SubjectNameID": "" }),
        json!({ "SubjectNameID": "8997 00000001" }),
        json!({ "SubjectNameID": "8\n9" }),
        json!({ "SubjectNameID": "9".repeat(65) }),
        json!({ "sub": null }),
    ] {
        assert!(claims(changes.clone()).unwrap().person().is_none(), "{changes}");
    }
}
