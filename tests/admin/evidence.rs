//! Evidence is held by a script that its reader runs, with Python and openssl: nothing of it can be changed unseen.

use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use caducee::audit::{Action, Actor, By, MessageFacts, Origin, Scribe, ScribeOptions, Trace, Tracer, Traces};
use caducee::mss::text::hex;
use caducee::serve::http::types::Proof;
use caducee::store::traces::{
    BlockFormat, BlockHead, BlockKind, Day, TraceFiles, TraceKeys, TraceOptions, hash_block, hash_line, public_key_pem,
};
use caducee::store::{MailboxKey, Store};
use caducee::telemetry::Metrics;
use serde_json::{Value, json};

use crate::harness::{Place, Ran, is_there, run, text};

const SCRIPT: &str = include_str!("../../src/cli/traces/verify.py");

/// Runs the script for each file of `cases`, asks openssl each question once, and prints a line a file: its name, how the
/// script ended, what it printed.
const DRIVER: &str = r#"
import contextlib, io, json, os, runpy, subprocess, sys
openssl, known = subprocess.run, {}
def once(command, cwd, **rest):
    files = tuple(open(os.path.join(cwd, name), "rb").read() for name in ("key", "hash", "signature"))
    if files not in known:
        known[files] = openssl(command, cwd=cwd, **rest)
    return known[files]
subprocess.run = once
for name in sorted(os.listdir("cases")):
    sys.argv, out = ["verify.py", os.path.join("cases", name)], io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path("verify.py", run_name="__main__")
        print(json.dumps([name, "", out.getvalue()]))
    except SystemExit as end:
        print(json.dumps([name, str(end.code), out.getvalue()]))
"#;

/// What may be changed without the script's noticing: it is not signed, and the script does not print it.
const UNSIGNED: [(&str, &str); 4] = [
    ("/operator", "a name that the server gives itself; the key says who signed"),
    ("/made_at", "the proof's own making is no trace"),
    ("/gaps", "what could not be read is told, not proved"),
    ("/no_day_end", "why something is not shown; that it is not is seen by itself"),
];

/// What the files of two days say of a message: one is over, the other is not.
struct Evidence {
    place: Place,
    proof: Value,
    /// The hash that ends the first day.
    head: String,
}

impl Evidence {
    async fn make() -> Self {
        let (place, secret) = (Place::new(), MailboxKey::generate());
        let (tracer, directory) = (Tracer::new(Store::in_memory(), secret.clone()).unwrap(), place.join("traces"));
        let keys = TraceKeys::derive(&secret);
        written(&tracer, &directory, [stranger(), accepted(), stranger()]).await;
        written(&tracer, &directory, [tried(), stranger()]).await;
        // The day ends: what comes now is filed in the next one.
        let functional = directory.join("functional");
        let (files, _) = opened(|| TraceFiles::open(&functional, &keys, &TraceOptions::default())).await;
        files.turn(Day::from_number(u32::MAX)).unwrap().unwrap();
        let head = hex(&files.heads()[0].hash);
        drop(files);
        written(&tracer, &directory, [reported()]).await;
        let traces = opened(|| Traces::open(&tracer, &directory)).await;
        let mut proved = traces.proof(MESSAGE).unwrap();
        proved.gaps.push("2026-11-25 from octet 7 to 9".into());
        let proof = Proof::of("smtp.aura.mssante.example", "2026-11-26T08:00:00.000000Z", MESSAGE, proved);
        std::fs::write(place.join("verify.py"), SCRIPT).unwrap();
        std::fs::write(place.join("KEY.pem"), public_key_pem(&keys.public_key())).unwrap();
        Self { place, proof: serde_json::to_value(&proof).unwrap(), head }
    }

    /// What the script says of a proof.
    async fn verify(&self, proof: &Value, more: &[&str]) -> Ran {
        let file = self.place.join("proof.json");
        std::fs::write(&file, proof.to_string()).unwrap();
        let script = self.place.join("verify.py");
        let arguments = [&[text(&script), text(&file)], more].concat();
        run("python3", &arguments.into_iter().map(str::to_owned).collect::<Vec<_>>(), "", None).await
    }

    /// What the script says of each of some proofs: why it is bad, and what was printed of it.
    async fn verify_all(&self, proofs: &[Value]) -> Vec<(String, String)> {
        let cases = self.place.join("cases");
        std::fs::create_dir(&cases).unwrap();
        for (number, proof) in proofs.iter().enumerate() {
            std::fs::write(cases.join(format!("{number:06}")), proof.to_string()).unwrap();
        }
        let driver = format!("import os\nos.chdir({:?})\n{DRIVER}", text(&self.place.0));
        let said = run("python3", &["-".into()], &driver, None).await.expect(0).stdout;
        let lines = said.lines().map(|line| serde_json::from_str::<[String; 3]>(line).unwrap());
        let said: Vec<_> = lines.map(|[_, why, printed]| (why, printed)).collect();
        std::fs::remove_dir_all(&cases).unwrap();
        assert_eq!(said.len(), proofs.len());
        said
    }
}

const MESSAGE: &str = "<abc@aura.mssante.example>";

/// Opens what has just been let go of: a program that another test starts at that moment holds the lock until it runs.
async fn opened<T, E: std::fmt::Debug>(open: impl Fn() -> Result<T, E>) -> T {
    for _ in 0..100 {
        if let Ok(opened) = open() {
            return opened;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    open().unwrap()
}

/// Writes traces down, in a block of their own.
async fn written(tracer: &Tracer, directory: &Path, traces: impl IntoIterator<Item = Trace>) {
    tracer.write(traces).await.unwrap();
    let files = opened(|| Traces::open(tracer, directory)).await;
    let options = ScribeOptions { observers: Vec::new(), most_waiting: 99, metrics: Metrics::default() };
    tokio::task::spawn_blocking(move || Scribe::start(&files, options).unwrap().stop()).await.unwrap();
}

fn of_message(action: Action) -> Trace {
    let message = MessageFacts {
        message_id: MESSAGE.into(),
        size: Some(4_711),
        sha256: Some("9f".repeat(32)),
        mss: vec![("X-MSS-NIL".into(), "logiciel-1".into()), ("X-MSS-INS".into(), "O".into())],
    };
    Trace { message: Some(message), reference: "6921b2c0-1f/2".into(), ..Trace::of(action) }
}

fn accepted() -> Trace {
    let text = |text: &str| Some(text.to_owned());
    Trace {
        actor: Actor {
            by: Some(By::User),
            person: text("899700000001"),
            login: text("camille@aura.mssante.example"),
            means: text("password-and-code"),
            device: text("poste d'Élise"),
        },
        mailbox: text("camille@aura.mssante.example"),
        origin: Origin {
            door: "submission".into(),
            peer: text("192.0.2.7"),
            subject: text("CN=poste"),
            session: Some(7),
        },
        ..of_message(Action::Accepted {
            sender: "camille@aura.mssante.example".into(),
            queued: vec!["b@nord.mssante.example".into(), "c@nord.mssante.example".into()],
            delivered: vec!["lea@aura.mssante.example".into()],
        })
    }
}

fn tried() -> Trace {
    of_message(Action::Tried {
        recipient: "b@nord.mssante.example".into(),
        result: "failed".into(),
        words: "550 5.1.1 no such mailbox here".into(),
        attempt: 1,
    })
}

fn reported() -> Trace {
    of_message(Action::ReportCame {
        result: "failed".into(),
        recipient: None,
        report: Some("<r@nord.mssante.example>".into()),
        text: "unknown".into(),
    })
}

/// Of another message.
fn stranger() -> Trace {
    let message = MessageFacts { message_id: "<x@y>".into(), ..MessageFacts::default() };
    Trace { message: Some(message), ..Trace::of(Action::Handled { handling: "held".into() }) }
}

/// The pointers to all values that hold no further ones.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(value, &format!("{at}/{name}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(number, value)| leaves(value, &format!("{at}/{number}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Other values for a leaf: a little changed, and as good as nothing.
fn others(leaf: &Value) -> Vec<Value> {
    match leaf {
        Value::String(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            let first = if text.starts_with('0') { "1" } else { "0" };
            vec![json!(format!("{first}{}", &text[1..])), json!("")]
        }
        Value::String(text) => [format!("{text}x"), format!("9{text}"), String::new()].map(Value::from).into(),
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            vec![json!(number + 1), json!(number - 1), json!(-1), json!(0), json!(number.to_string())]
        }
        _ => vec![json!("x"), json!(1)],
    }
}

fn is_unsigned(pointer: &str) -> bool {
    UNSIGNED.iter().any(|(part, _)| match *part {
        "/no_day_end" => pointer.starts_with("/blocks/") && pointer.ends_with(part),
        part => pointer == part || pointer.starts_with(&format!("{part}/")),
    })
}

#[tokio::test]
async fn whatever_of_a_proof_is_changed_by_itself_is_seen() {
    if !(is_there("python3").await && is_there("openssl").await) {
        return;
    }
    let evidence = Evidence::make().await;
    let mut pointers = Vec::new();
    leaves(&evidence.proof, "", &mut pointers);
    let mut cases = vec![(String::new(), evidence.proof.clone())];
    for pointer in &pointers {
        let leaf = evidence.proof.pointer(pointer).unwrap();
        for other in others(leaf).into_iter().filter(|other| other != leaf) {
            let mut proof = evidence.proof.clone();
            *proof.pointer_mut(pointer).unwrap() = other.clone();
            cases.push((format!("{pointer} = {other}"), proof));
        }
    }
    assert!(pointers.len() > 80 && cases.len() > 200, "{} leaves, {} cases", pointers.len(), cases.len());
    let proofs: Vec<Value> = cases.iter().map(|(_, proof)| proof.clone()).collect();
    let said = evidence.verify_all(&proofs).await;
    assert!(said[0].0.is_empty() && said[0].1.contains("\nOK: 3 steps"), "{:?}", said[0]);
    for ((case, _), (why, printed)) in cases.iter().zip(&said).skip(1) {
        let pointer = case.split_once(" = ").unwrap().0;
        match is_unsigned(pointer) {
            // Nor is it printed as if it had been verified.
            true => assert_eq!((why.as_str(), printed), ("", &said[0].1), "{case}"),
            false => assert!(why.starts_with("BAD: ") && printed.is_empty(), "{case}: {why:?} {printed}"),
        }
    }
}

#[tokio::test]
async fn whatever_of_a_proof_is_taken_out_or_moved_is_seen() {
    if !(is_there("python3").await && is_there("openssl").await) {
        return;
    }
    let evidence = Evidence::make().await;
    let whole = &evidence.proof;
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut proof = whole.clone();
        change(&mut proof);
        proof
    };
    let list = |proof: &mut Value, of: &str, change: &dyn Fn(&mut Vec<Value>)| {
        change(proof.pointer_mut(of).unwrap().as_array_mut().unwrap());
    };
    let bad = [
        changed(&|proof| list(proof, "/steps", &|steps| steps.swap(0, 1))),
        changed(&|proof| list(proof, "/steps", &|steps| steps.push(steps[2].clone()))),
        changed(&|proof| list(proof, "/steps", &Vec::clear)),
        changed(&|proof| list(proof, "/steps", &|steps| steps.truncate(2))),
        changed(&|proof| list(proof, "/blocks", &|blocks| blocks.swap(0, 1))),
        changed(&|proof| list(proof, "/blocks", &|blocks| drop(blocks.pop()))),
        changed(&|proof| list(proof, "/blocks/0/day_end/path", &|path| drop(path.pop()))),
        changed(&|proof| list(proof, "/blocks/0/day_end/path", &|path| path.push(path[0].clone()))),
        changed(&|proof| list(proof, "/steps/0/path", &|path| drop(path.pop()))),
        changed(&|proof| list(proof, "/steps/0/path", &|path| path.push(json!("00".repeat(32))))),
        // The end of another day than the block's.
        changed(&|proof| proof["blocks"][2]["day_end"] = whole["blocks"][0]["day_end"].clone()),
        // Another block's path.
        changed(&|proof| proof["blocks"][0]["day_end"] = whole["blocks"][1]["day_end"].clone()),
        changed(&|proof| drop(proof["steps"][0]["trace"].as_object_mut().unwrap().remove("mailbox"))),
        changed(&|proof| proof["steps"][0]["trace"]["words"] = json!("made up")),
        json!([]),
        json!("proof"),
        Value::Null,
    ];
    for (number, (why, printed)) in evidence.verify_all(&bad).await.into_iter().enumerate() {
        assert!(why.starts_with("BAD: ") && printed.is_empty(), "case {number}: {why:?} {printed}");
    }
    let not_json = evidence.place.join("KEY.pem");
    let arguments = [evidence.place.join("verify.py"), not_json].map(|path| text(&path).to_owned());
    assert!(run("python3", &arguments, "", None).await.expect(1).stderr.starts_with("BAD: "));
}

#[tokio::test]
async fn a_proof_is_held_against_the_key_and_the_ends_of_days_that_others_have() {
    if !(is_there("python3").await && is_there("openssl").await) {
        return;
    }
    let evidence = Evidence::make().await;
    let key = evidence.place.join("KEY.pem");
    let alone = evidence.verify(&evidence.proof, &[]).await.expect(0).stdout;
    assert!(alone.contains("compare it with the operator's") && alone.contains("no day's end"), "{alone}");
    assert!(alone.contains(&format!("the day ends with {}", evidence.head)), "{alone}");
    for said in ["Z accepted {", "\"person\": \"899700000001\"", "9f9f", "550 5.1.1"] {
        assert!(alone.contains(said), "no `{said}` in:\n{alone}");
    }
    let head = evidence.head.to_uppercase();
    let held = evidence.verify(&evidence.proof, &[text(&key), "--head", &head]).await.expect(0).stdout;
    assert!(held.contains("2 of 3 steps stand under the ends that were given.\nOK: 3 steps"), "{held}");
    assert!(!held.contains("the proof's own"), "{held}");
    let other = evidence.verify(&evidence.proof, &["--head", &"00".repeat(32)]).await.expect(1).stderr;
    assert!(other.starts_with("BAD: no step stands under the end 0000"), "{other}");
    // Somebody who has no key of ours signs the same steps with his own: the script sees it by our key, and by our head.
    let theirs = forged(&evidence.proof);
    evidence.verify(&theirs, &[]).await.expect(0);
    let by_key = evidence.verify(&theirs, &[text(&key)]).await.expect(1).stderr;
    assert!(by_key.starts_with("BAD: signed with another key"), "{by_key}");
    evidence.verify(&theirs, &["--head", &evidence.head]).await.expect(1);
}

/// The first step alone, in a block of format 1 that is made and signed by somebody else; it is the last of three lines.
fn forged(proof: &Value) -> Value {
    let keys = Ed25519KeyPair::generate().unwrap();
    let bytes = |text: &Value| {
        let text = text.as_str().unwrap();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect::<Vec<u8>>()
    };
    let mut step = proof["steps"][0].clone();
    step.as_object_mut().unwrap().remove("path");
    let line = hash_line(&bytes(&step["prefix"]), step["text"].as_str().unwrap().as_bytes());
    let at = u64::from_be_bytes(bytes(&step["prefix"])[16..24].try_into().unwrap());
    let (day, hashes) = (Day::of(at), [[1; 32], [2; 32], line]);
    let kind = BlockKind::Lines;
    let head = BlockHead { kind, day, number: 5, before: 20, first: at, last: at, count: 3, previous: [7; 32] };
    let hash = hash_block(BlockFormat::One, &head, &hashes);
    step["line"] = json!(2);
    let block = json!({
        "day": day.to_string(), "number": 5, "format": 1, "head": hex(&head.encode()), "hash": hex(&hash),
        "line_hashes": hashes.map(|hash| hex(&hash)), "signature": hex(keys.sign(&hash).as_ref()),
        "no_day_end": "older-format",
    });
    let key = keys.public_key().as_ref().try_into().unwrap();
    json!({
        "format": proof["format"], "operator": "x", "made_at": "x", "message_id": proof["message_id"],
        "public_key": public_key_pem(&key), "steps": [step], "blocks": [block],
    })
}

#[tokio::test]
async fn whatever_is_changed_of_a_block_of_the_older_format_is_seen() {
    if !(is_there("python3").await && is_there("openssl").await) {
        return;
    }
    let evidence = Evidence::make().await;
    let whole = forged(&evidence.proof);
    let mut pointers = Vec::new();
    leaves(&whole, "", &mut pointers);
    let mut proofs = vec![whole.clone()];
    for pointer in pointers.iter().filter(|pointer| !is_unsigned(pointer)) {
        let leaf = whole.pointer(pointer).unwrap();
        proofs.extend(others(leaf).into_iter().filter(|other| other != leaf).map(|other| {
            let mut proof = whole.clone();
            *proof.pointer_mut(pointer).unwrap() = other;
            proof
        }));
    }
    let said = evidence.verify_all(&proofs).await;
    assert!(said[0].1.contains("\nOK: 1 steps"), "{:?}", said[0]);
    for (number, (why, printed)) in said.iter().enumerate().skip(1) {
        assert!(why.starts_with("BAD: ") && printed.is_empty(), "case {number}: {why:?} {printed}");
    }
}
