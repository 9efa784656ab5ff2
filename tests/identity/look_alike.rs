//! The Pro Santé Connect look-alike of the sandbox: what practice software and our server may rely on.

use crate::psc::{Psc, with_form};
use crate::support::{Sandbox, Tool, have, wait_until};
use serde_json::Value;
use std::time::Duration;

const CAMILLE: &str = "899700000001";
const SOFTWARE: &str = "logiciel-exemple";
const BACK: &str = "https://localhost:9/retour";

/// PKCE's own example, RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn authorization(psc: &Psc, more: &str) -> String {
    format!(
        "{}/auth?response_type=code&client_id={SOFTWARE}&redirect_uri=https%3A%2F%2Flocalhost%3A9%2Fretour\
         &scope=openid%20scope_all&state=s1&nonce=n1&acr_values=eidas1&code_challenge={CHALLENGE}\
         &code_challenge_method=S256{more}",
        psc.host
    )
}

/// A code of a person who was picked.
fn code(psc: &Psc, person: &str) -> String {
    let location = psc.get(&authorization(psc, &format!("&sandbox_person={person}"))).location();
    let query = location.strip_prefix(BACK).and_then(|rest| rest.strip_prefix("?code=")).expect("a code").to_owned();
    assert!(query.ends_with("&state=s1"), "{location}");
    query.trim_end_matches("&state=s1").to_owned()
}

fn redeem(psc: &Psc, code: &str, verifier: &str) -> crate::psc::Answer {
    let form =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK), ("code_verifier", verifier)];
    psc.post("token", SOFTWARE, &form)
}

/// What a token says, unverified.
fn claims(token: &str) -> Value {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

/// The look-alike that the tests share: they leave its knobs alone.
fn quiet() -> Option<Psc> {
    have("curl").then(|| Psc::of(Sandbox::shared()))
}

#[test]
fn discovery_stands_at_the_wallet_path_and_names_every_endpoint() {
    let Some(psc) = quiet() else { return };
    let found = psc.get(&format!("{}/.well-known/wallet-openid-configuration", psc.issuer)).json();
    assert_eq!(found["issuer"], psc.issuer.as_str());
    assert_eq!(found["authorization_endpoint"], format!("{}/auth", psc.host).as_str());
    for (endpoint, end) in [
        ("token_endpoint", "token"),
        ("userinfo_endpoint", "userinfo"),
        ("end_session_endpoint", "logout"),
        ("introspection_endpoint", "token/introspect"),
        ("jwks_uri", "certs"),
        ("backchannel_authentication_endpoint", "ext/ciba/auth"),
    ] {
        assert_eq!(found[endpoint], format!("{}/protocol/openid-connect/{end}", psc.issuer).as_str());
    }
    let ordinary = psc.get(&format!("{}/.well-known/openid-configuration", psc.issuer));
    assert_eq!(ordinary.status, 404, "the wallet- is no slip");
}

#[test]
fn a_person_picked_on_the_page_comes_back_with_a_code_that_gives_tokens_once() {
    let Some(psc) = quiet() else { return };
    let page = psc.get(&authorization(&psc, ""));
    assert!(page.status == 200 && page.body.contains("Camille FONTANEL"), "{page:?}");
    let picked = psc.ask(with_form(psc.curl(), &[("person", CAMILLE)]).arg(authorization(&psc, "")));
    assert_eq!(picked.status, 302);
    assert!(picked.location().starts_with("https://localhost:9/retour?code="), "{picked:?}");
    let code = code(&psc, CAMILLE);
    let tokens = redeem(&psc, &code, VERIFIER).json();
    assert_eq!(claims(tokens["id_token"].as_str().unwrap())["nonce"], "n1");
    assert_eq!(tokens["refresh_expires_in"], 1800);
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(psc.introspect(access)["active"], true);
    assert_eq!(psc.userinfo(access).json()["SubjectNameID"], CAMILLE);
    let again = redeem(&psc, &code, VERIFIER);
    assert_eq!((again.status, again.text("error").as_str()), (400, "invalid_grant"), "a code is good once");
}

#[test]
fn a_wrong_verifier_address_client_or_secret_gives_nothing() {
    let Some(psc) = quiet() else { return };
    let wrong = redeem(&psc, &code(&psc, CAMILLE), "another-verifier-of-the-right-length-0123456789");
    assert_eq!((wrong.status, wrong.text("error").as_str()), (400, "invalid_grant"));
    let others = psc.post(
        "token",
        "caducee-a",
        &[
            ("grant_type", "authorization_code"),
            ("code", &code(&psc, CAMILLE)),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ],
    );
    assert_eq!(others.status, 400, "a code is its client's");
    let secret = psc.curl().args(["--user", "logiciel-exemple:faux", "--data", "grant_type=refresh_token"]);
    let refused = psc.ask(secret.arg(format!("{}/protocol/openid-connect/token", psc.issuer)));
    assert_eq!((refused.status, refused.text("error").as_str()), (401, "invalid_client"));
    for (from, to) in [
        (SOFTWARE, "inconnu"),
        ("localhost%3A9", "attaquant.example"),
        ("response_type=code", "response_type=token"),
        ("S256", "plain"),
    ] {
        let page = psc.get(&authorization(&psc, "").replace(from, to));
        assert_eq!(page.status, 400, "{to}");
        assert!(page.body.contains("Demande refusée"), "{page:?}");
    }
}

#[test]
fn a_refresh_token_is_used_once_and_a_logout_ends_its_session() {
    let Some(psc) = quiet() else { return };
    let tokens = redeem(&psc, &code(&psc, CAMILLE), VERIFIER).json();
    let refresh =
        |token: &str| psc.post("token", SOFTWARE, &[("grant_type", "refresh_token"), ("refresh_token", token)]);
    let first = tokens["refresh_token"].as_str().unwrap();
    let second = refresh(first);
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(refresh(first).status, 400);
    let access = second.text("access_token");
    assert_eq!(psc.introspect(&access)["active"], true);
    let hint = tokens["id_token"].as_str().unwrap();
    let out = psc.get(&format!("{}/protocol/openid-connect/logout?id_token_hint={hint}", psc.issuer));
    assert_eq!(out.status, 204);
    assert_eq!(psc.introspect(&access)["active"], false);
    assert_eq!(refresh(&second.text("refresh_token")).status, 400);
}

#[test]
fn a_phone_agrees_after_a_while_and_the_poll_says_so() {
    let Some(psc) = quiet() else { return };
    let ask = |hint: &str, message: &str, channel: &str| {
        let form =
            [("scope", "openid scope_all"), ("login_hint", hint), ("binding_message", message), ("channel", channel)];
        psc.post("ext/ciba/auth", SOFTWARE, &form)
    };
    assert_eq!(ask(CAMILLE, "1234", "MOBILE").text("error"), "invalid_binding_message");
    assert_eq!(ask(CAMILLE, "42", "FAX").text("error"), "invalid_request");
    assert_eq!(ask("899799999999", "42", "CARD").text("error"), "unknown_user_id");
    let id = ask(CAMILLE, "42", "MOBILE").text("auth_req_id");
    let poll =
        || psc.post("token", SOFTWARE, &[("grant_type", "urn:openid:params:grant-type:ciba"), ("auth_req_id", &id)]);
    assert_eq!(poll().text("error"), "authorization_pending");
    let mut answer = poll();
    let agreed = wait_until(Duration::from_secs(20), || {
        std::thread::sleep(Duration::from_millis(600));
        answer = poll();
        answer.status == 200
    });
    assert!(agreed, "{answer:?}");
    assert_eq!(claims(&answer.text("access_token"))["preferred_username"], CAMILLE);
    assert_eq!(poll().text("error"), "invalid_grant", "a request is answered once");
}

#[test]
fn the_command_prints_a_token_of_whoever_is_in_the_description() {
    let Some(psc) = quiet() else { return };
    let command = |person: &str| {
        let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(["sandbox", "token", person, "--dir"]);
        tool.arg(&psc.dir).run()
    };
    for person in [CAMILLE, "camille.fontanel@aura.mssante.example"] {
        let token = command(person).expect_ok("caducee sandbox token").stdout;
        assert_eq!(psc.introspect(token.trim())["SubjectNameID"], CAMILLE);
    }
    let nobody = command("899799999999");
    assert!(!nobody.ok() && nobody.stderr.contains("nobody in the sandbox is 899799999999"), "{nobody:?}");
    let nowhere =
        Tool::new(env!("CARGO_BIN_EXE_caducee")).args(["sandbox", "token", CAMILLE, "--dir", "/nowhere"]).run();
    assert!(!nowhere.ok() && nowhere.stderr.contains("no sandbox runs in /nowhere"), "{nowhere:?}");
}

#[test]
fn a_client_may_show_its_certificate_in_place_of_a_secret() {
    let Some(psc) = quiet() else { return };
    let known = &Sandbox::shared().description;
    let token = psc.token(CAMILLE);
    let ask = |operator: &crate::support::Operator, client: &str| {
        let curl = psc.curl().arg("--cert").arg(&operator.cert).arg("--key").arg(&operator.key);
        let curl = with_form(curl, &[("client_id", client), ("token", &token)]);
        psc.ask(curl.arg(format!("{}/protocol/openid-connect/token/introspect", psc.issuer)))
    };
    assert_eq!(ask(known.aura(), "caducee-a").json()["active"], true);
    assert_eq!(ask(known.aquitaine(), "caducee-a").status, 401);
}

/// The knobs change what everybody sees: one test, one sandbox.
#[test]
fn the_knobs_make_it_fail_in_each_way() {
    if !have("curl") {
        return;
    }
    let sandbox = Sandbox::start();
    let psc = Psc::of(&sandbox);
    let certs = format!("{}/protocol/openid-connect/certs", psc.issuer);
    let discovery = format!("{}/.well-known/wallet-openid-configuration", psc.issuer);

    psc.knobs(r#"{"status": 503, "only": ["certs"]}"#);
    assert_eq!((psc.get(&certs).status, psc.get(&discovery).status), (503, 200));
    psc.knobs(r#"{"garbage": true}"#);
    assert!(psc.get(&certs).body.starts_with("<!doctype html>"));
    psc.knobs(r#"{"drop": true}"#);
    assert!(!psc.try_ask(psc.curl().arg(&certs)).ok());
    psc.knobs(r#"{"delay_ms": 700}"#);
    let begun = std::time::Instant::now();
    psc.get(&certs);
    assert!(begun.elapsed() >= Duration::from_millis(700));

    psc.knobs(r#"{"expired": true}"#);
    assert_eq!(psc.introspect(&psc.token(CAMILLE))["active"], false);
    psc.knobs(r#"{"no_national_id": true, "acr": "eidas0", "bound_to": "abc", "access_seconds": 5}"#);
    let said = claims(&psc.token(CAMILLE));
    assert!(said["preferred_username"].is_null() && said["SubjectNameID"].is_null(), "{said}");
    assert_eq!((&said["acr"], &said["cnf"]["x5t#S256"]), (&"eidas0".into(), &"abc".into()));
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 5);
    psc.knobs(r#"{"inactive": true}"#);
    let token = psc.token(CAMILLE);
    assert_eq!((&psc.introspect(&token)["active"], psc.userinfo(&token).status), (&false.into(), 401));

    let wrong = psc.ask(psc.curl().args(["--data", r#"{"slow": 1}"#]).arg(format!("{}/_sandbox/knobs", psc.host)));
    assert!(wrong.status == 400 && wrong.body.contains("unknown field `slow`"), "{wrong:?}");

    psc.knobs("{}");
    let before = psc.get(&certs).json();
    let rotated = psc.ask(psc.curl().args(["--request", "POST"]).arg(format!("{}/_sandbox/rotate", psc.host)));
    let after = psc.get(&certs).json();
    let kids = |set: &Value| -> Vec<String> {
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kids(&after), [kids(&before), vec![rotated.text("kid")]].concat(), "the one before stays published");
}

/// Python judges a token: the published numbers make the key that signed it, and no other.
#[test]
fn a_token_is_signed_by_the_published_key() {
    let Some(psc) = quiet() else { return };
    if !have("python3") {
        return;
    }
    let script = r#"
import base64, hashlib, json, sys
token, keys = sys.argv[1], json.loads(sys.argv[2])["keys"]
b = lambda t: base64.urlsafe_b64decode(t + "=" * (-len(t) % 4))
head, body, signature = token.split(".")
key = next(k for k in keys if k["kid"] == json.loads(b(head))["kid"])
n, e = (int.from_bytes(b(key[x]), "big") for x in "ne")
size = (n.bit_length() + 7) // 8
shown = pow(int.from_bytes(b(signature), "big"), e, n).to_bytes(size, "big")
# RFC 8017 section 9.2: EMSA-PKCS1-v1_5 with SHA-256.
prefix = bytes.fromhex("3031300d060960864801650304020105000420")
digest = prefix + hashlib.sha256((head + "." + body).encode()).digest()
sys.exit(shown != b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest)
"#;
    let keys = psc.get(&format!("{}/protocol/openid-connect/certs", psc.issuer)).body;
    let token = psc.token(CAMILLE);
    Tool::new("python3").args(["-c", script, &token, &keys]).run().expect_ok("verifying the signature");
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    assert!(!Tool::new("python3").args(["-c", script, &forged, &keys]).run().ok());
}
