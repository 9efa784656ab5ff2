//! Signatures: the RFC's own examples, and what must not pass for one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use super::*;

fn encode(octets: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

fn keys(keys: Value) -> Keys {
    serde_json::from_value::<KeySet>(json!({ "keys": keys })).expect("a key set").into()
}

/// RFC 7515 appendix A.2.
const RFC_RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const RFC_RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

/// RFC 7515 appendix A.3.
const RFC_ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const RFC_EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const RFC_EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

#[test]
fn the_rfcs_examples_verify_and_the_same_with_one_octet_changed_do_not() {
    let set = keys(json!([
        { "kty": "oct", "k": "AAAA" },
        { "kty": "RSA", "n": RFC_RSA_N, "e": "AQAB" },
        { "kty": "EC", "crv": "P-256", "x": RFC_EC_X, "y": RFC_EC_Y },
    ]));
    for text in [RFC_RS256, RFC_ES256] {
        let claims = Jwt::parse(text).unwrap().verified(&set).unwrap();
        assert_eq!(claims.iss.as_deref(), Some("joe"));
        let at = text.find('.').unwrap() + 5;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        let problem = Jwt::parse(&changed).unwrap().verified(&set).unwrap_err();
        assert_eq!(problem, KeyProblem::Refused(TokenRefusal::Signature));
    }
    let leading_zero = keys(json!([{ "kty": "RSA", "n": padded(), "e": "AQAB" }]));
    assert!(Jwt::parse(RFC_RS256).unwrap().verified(&leading_zero).is_ok(), "a modulus with a leading zero");
}

/// The RFC's modulus with a zero before it.
fn padded() -> String {
    let n = BASE64_URL_SAFE_NO_PAD.decode(RFC_RSA_N).unwrap();
    encode([&[0], n.as_slice()].concat())
}

struct Rsa(RsaKeyPair);

impl Rsa {
    fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn json(&self, changes: Value) -> Value {
        let public = PublicKeyComponents::<Vec<u8>>::from(self.0.public_key());
        let mut key = json!({ "kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256",
            "n": encode(public.n), "e": encode(public.e) });
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    fn sign(&self, header: &Value, padding: &'static dyn RsaEncoding) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(r#"{"iss":"x"}"#));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", encode(signature))
    }
}

#[test]
fn a_key_signs_by_its_own_name_and_algorithm_only() {
    let (rsa, other) = (Rsa::new(), Rsa::new());
    let rs256 = json!({ "alg": "RS256", "kid": "one", "typ": "JWT" });
    let token = rsa.sign(&rs256, &RSA_PKCS1_SHA256);
    let verify = |token: &str, set: Value| Jwt::parse(token).unwrap().verified(&keys(set)).map(drop);
    assert_eq!(verify(&token, json!([rsa.json(json!({}))])), Ok(()));
    assert_eq!(verify(&token, json!([other.json(json!({})), rsa.json(json!({}))])), Ok(()), "two of one name");
    assert_eq!(verify(&token, json!([other.json(json!({}))])), Err(KeyProblem::Refused(TokenRefusal::Signature)));
    for changes in [
        json!({ "kid": "two" }),
        json!({ "use": "enc" }),
        json!({ "alg": "PS256" }),
        json!({ "alg": "RSA-OAEP" }),
        json!({ "kty": "oct" }),
        json!({ "n": "!" }),
        json!({ "kty": 7 }),
    ] {
        assert_eq!(verify(&token, json!([rsa.json(changes.clone())])), Err(KeyProblem::Unknown), "{changes}");
    }
    let pss = rsa.sign(&json!({ "alg": "PS256", "kid": "one" }), &RSA_PSS_SHA256);
    assert_eq!(verify(&pss, json!([rsa.json(json!({ "alg": "PS256" }))])), Ok(()));
    let nameless = rsa.sign(&json!({ "alg": "RS256" }), &RSA_PKCS1_SHA256);
    assert_eq!(verify(&nameless, json!([other.json(json!({ "kid": "two" })), rsa.json(json!({}))])), Ok(()));
}

#[test]
fn a_curves_key_signs_too() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
    let signed = format!("{}.{}", encode(r#"{"alg":"ES256","kid":"e"}"#), encode("{}"));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", encode(signature));
    let key = json!({ "kty": "EC", "crv": "P-256", "kid": "e", "x": x, "y": y });
    assert!(Jwt::parse(&token).unwrap().verified(&keys(json!([key]))).is_ok());
}

#[test]
fn what_is_no_signed_token_of_the_three_algorithms_is_malformed() {
    let part = |text: &str| encode(text);
    let (claims, signature) = (part(r#"{"iss":"x"}"#), part("signature"));
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"RS512"}"#,
        r#"{"alg":"rs256"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"RS256","alg":"RS256"}"#,
        r#"{"alg":"RS256","crit":["exp"]}"#,
        r#"{"alg":"RS256","typ":"logout+jwt"}"#,
        "[]",
        "",
    ] {
        let token = format!("{}.{claims}.{signature}", part(header));
        assert!(matches!(Jwt::parse(&token), Err(TokenRefusal::Malformed)), "{header}");
    }
    let header = part(r#"{"alg":"RS256"}"#);
    for token in [
        String::new(),
        "opaque".into(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{signature}="),
        format!("{header}.{claims}.{signature}.{signature}"),
        format!("{header}.a+b.{signature}"),
    ] {
        let parsed = Jwt::parse(&token).map(|jwt| jwt.verified(&Keys(Vec::new())));
        assert!(!matches!(parsed, Ok(Ok(_))), "{token}");
    }
}
