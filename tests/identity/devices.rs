//! A device's whole life: enrolled by the administrator, let in by IMAP with the mailbox's password, revoked in the middle of
//! an IDLE; what its holder is told lies in the sandbox's ordinary mail.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;

use crate::support::{Ran, Sandbox, Tool, have, wait_until};

/// A mailbox of this test's own, which no password alone opens.
const ADDRESS: &str = "poste@aura.mssante.example";
const PASSWORD: &str = "mot de passe du poste";

fn caducee(config: &Path, arguments: &[&str], input: &str) -> Ran {
    let program = env!("CARGO_BIN_EXE_caducee");
    Tool::new(program).args(arguments).arg("--config").arg(config).input(input.to_owned()).run()
}

/// Logs in with the device's certificate or without, and does what is asked after the login.
const SESSION: &str = r#"
import imaplib, socket, ssl, sys, time
port, ca, cert, key, address, password, what = sys.argv[1:8]
context = ssl.create_default_context(cafile=ca)
if cert != "-":
    context.load_cert_chain(cert, key)
imap = imaplib.IMAP4_SSL("localhost", int(port), ssl_context=context, timeout=20)
try:
    print("login", imap.login(address, password)[0])
except imaplib.IMAP4.error as error:
    print("refused", error)
    print("alert", imap.untagged_responses.get("NO"))
    # The connection stays (MSSanté, API LPS).
    print("still", imap.noop()[0])
    sys.exit(0)
if what == "select":
    print("select", imap.select("INBOX")[0])
    imap.logout()
else:
    imap.select("INBOX")
    imap.send(b"i IDLE\r\n")
    print("idle", imap.readline().decode().strip(), flush=True)
    line = imap.readline().decode().strip()
    print("told", line, flush=True)
"#;

struct Scene<'s> {
    sandbox: &'s Sandbox,
    cert: String,
    key: String,
}

impl Scene<'_> {
    fn tool(&self, with_certificate: bool, what: &str) -> Tool {
        let known = &self.sandbox.description;
        let port = known.aura().ports.imaps.to_string();
        let none = ("-".to_owned(), "-".to_owned());
        let (cert, key) = if with_certificate { (self.cert.clone(), self.key.clone()) } else { none };
        let tool = Tool::new("python3").args(["-c", SESSION, &port]).arg(&known.ca);
        tool.args([&cert, &key, ADDRESS, PASSWORD, what]).limit(Duration::from_secs(30))
    }

    /// The messages of the sandbox's ordinary mail for this mailbox's holder, read.
    fn told(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.sandbox.dir.join("courriel")).into_iter().flatten();
        let messages = files.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
        let theirs = messages.filter(|text| text.contains("To: <poste@courriel.example>"));
        theirs.map(|text| subject_and_body(&text)).collect()
    }
}

fn subject_and_body(message: &str) -> String {
    let decode = |text: &str| {
        let bytes = base64::prelude::BASE64_STANDARD.decode(text.replace(['\r', '\n'], "")).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let subject = header.lines().find_map(|line| line.strip_prefix("Subject: =?utf-8?B?")).unwrap();
    format!("{}: {}", decode(subject.trim_end().trim_end_matches("?=")), decode(body))
}

#[test]
fn a_device_is_enrolled_lets_in_with_the_password_and_is_revoked_in_the_middle_of_an_idle() {
    if !have("python3") || !have("openssl") {
        return;
    }
    let sandbox = Sandbox::shared();
    let config = sandbox.description.aura().config.clone();
    let create =
        ["mailbox", "create", ADDRESS, "--kind", "PER", "--last-name", "Poste", "--national-id", "899700000071"];
    let notices = ["--notification-address", "poste@courriel.example"];
    caducee(&config, &[&create[..], &notices[..]].concat(), "").expect_ok("creating the mailbox");
    caducee(&config, &["mailbox", "password", ADDRESS, "--password-stdin"], PASSWORD).expect_ok("its password");

    let p12 = sandbox.dir.join("poste.p12");
    let out = p12.to_str().unwrap();
    let enrolled =
        caducee(&config, &["device", "enrol", ADDRESS, "--name", "PC de l'accueil", "--out", out, "--json"], "");
    let enrolled: serde_json::Value = serde_json::from_str(&enrolled.expect_ok("enrolling").stdout).unwrap();
    let (cert, key) = (sandbox.dir.join("poste.crt"), sandbox.dir.join("poste.key"));
    let passin = format!("pass:{}", enrolled["password"].as_str().unwrap());
    for (what, file) in [(["-clcerts", "-nokeys"], &cert), (["-nocerts", "-nodes"], &key)] {
        let tool =
            Tool::new("openssl").args(["pkcs12", "-in", out, "-passin", &passin]).args(what).arg("-out").arg(file);
        tool.run().expect_ok("taking the PKCS#12 apart");
    }
    let scene = Scene { sandbox, cert: cert.to_str().unwrap().to_owned(), key: key.to_str().unwrap().to_owned() };

    let alone = scene.tool(false, "select").run();
    assert!(alone.stdout.contains("refused") && alone.stdout.contains("still OK"), "a password alone: {alone:?}");
    assert!(alone.stdout.contains("alert") && alone.stdout.contains("Aucun certificat n'a ete presente"), "{alone:?}");
    let both = scene.tool(true, "select").run();
    assert!(both.stdout.contains("login OK") && both.stdout.contains("select OK"), "{both:?}");

    let idling = scene.tool(true, "idle");
    let session = std::thread::spawn(move || idling.run());
    let is_in = || caducee(&config, &["session", "list", "--json"], "").stdout.contains(ADDRESS);
    assert!(wait_until(Duration::from_secs(15), is_in), "the session is on the list");
    std::thread::sleep(Duration::from_millis(500));
    let id = enrolled["device"]["id"].to_string();
    caducee(&config, &["device", "revoke", ADDRESS, &id], "").expect_ok("revoking");
    let ended = session.join().unwrap();
    assert!(ended.stdout.contains("idle +") && ended.stdout.contains("told * BYE"), "{ended:?}");
    let after = scene.tool(true, "select").run();
    assert!(
        after.stdout.contains("refused") && after.stdout.contains("poste non autorise pour cette boite"),
        "{after:?}"
    );
    assert!(!after.stdout.contains("Aucun certificat"), "{after:?}");

    let told = |what: &str| scene.told().iter().any(|text| text.starts_with(what) && text.contains("PC de l'accueil"));
    assert!(wait_until(Duration::from_secs(10), || told("Nouvel appareil autorisé")), "{:?}", scene.told());
    assert!(wait_until(Duration::from_secs(10), || told("Appareil révoqué")), "{:?}", scene.told());
    assert!(scene.told().iter().all(|text| !text.contains("http") && !text.contains(PASSWORD)));
}
