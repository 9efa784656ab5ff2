//! The door of those who send, as an engine: AUTH, what comes before and after it, FUTURERELEASE, 8-bit data.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::conversation::{Cut, Transcript, converse_as, submission};

const OPENING: &str = "EHLO a\r\nSTARTTLS\r\n";

fn in_all_cuts(segments: &[&[u8]]) -> Transcript {
    let role = submission();
    let whole = converse_as(&role, segments, &mut Cut::whole());
    for size in 1..40 {
        assert_eq!(converse_as(&role, segments, &mut Cut::every(size)), whole, "in pieces of {size}");
    }
    for seed in 0..20 {
        assert_eq!(converse_as(&role, segments, &mut Cut::random(seed)), whole, "in random pieces, seed {seed}");
    }
    whole
}

fn behind_tls(wire: &str) -> Transcript {
    in_all_cuts(&[OPENING.as_bytes(), format!("EHLO a\r\n{wire}").as_bytes()])
}

/// The codes after the two `EHLO` and the `STARTTLS`.
fn codes(wire: &str) -> Vec<String> {
    behind_tls(wire).codes().split_off(3)
}

/// The codes after a login.
fn codes_inside(wire: &str) -> Vec<String> {
    codes(&format!("{}{wire}", plain("anne", "secret"))).split_off(1)
}

fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}\r\n", BASE64_STANDARD.encode(format!("\0{user}\0{password}")))
}

fn encoded(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

fn xoauth2(user: &str) -> String {
    encoded(&format!("user={user}\x01auth=Bearer secret\x01\x01"))
}

fn oauthbearer(user: &str) -> String {
    encoded(&format!("n,a={user},\x01host=mx.example\x01port=587\x01auth=Bearer secret\x01\x01"))
}

#[test]
fn what_is_offered_is_what_can_be_used_now() {
    let transcript = behind_tls(&format!("{}EHLO a\r\n", plain("anne", "secret")));
    let greetings: Vec<&str> = transcript.replies.split("250-mx.example\r\n").skip(1).collect();
    let [before_tls, before_login, inside] = greetings[..] else { panic!("{}", transcript.replies) };
    assert!(before_tls.contains("250-STARTTLS\r\n") && !before_tls.contains("AUTH"), "{before_tls}");
    assert!(before_login.contains("250-AUTH PLAIN LOGIN EXTERNAL XOAUTH2 OAUTHBEARER\r\n"), "{before_login}");
    assert!(!before_login.contains("STARTTLS"), "{before_login}");
    assert!(!inside.contains("AUTH"), "{inside}");
    for greeting in greetings {
        assert!(greeting.contains("250-FUTURERELEASE 86400 2030-01-01T00:00:00Z\r\n"), "{greeting}");
    }
}

#[test]
fn the_ways_to_log_in() {
    let (user, password) = (encoded("anne"), encoded("secret"));
    let anne = encoded("\0anne\0secret");
    let ways = [
        (format!("AUTH PLAIN {anne}\r\n"), vec!["235 2.7.0"]),
        (format!("auth plain {anne}\r\n"), vec!["235 2.7.0"]),
        (format!("AUTH PLAIN\r\n{anne}\r\n"), vec!["334", "235 2.7.0"]),
        (format!("AUTH LOGIN\r\n{user}\r\n{password}\r\n"), vec!["334", "334", "235 2.7.0"]),
        (format!("AUTH LOGIN {user}\r\n{password}\r\n"), vec!["334", "235 2.7.0"]),
        ("AUTH EXTERNAL =\r\n".to_owned(), vec!["235 2.7.0"]),
        ("AUTH EXTERNAL\r\n\r\n".to_owned(), vec!["334", "235 2.7.0"]),
        (format!("AUTH EXTERNAL {user}\r\n"), vec!["235 2.7.0"]),
        (format!("AUTH XOAUTH2 {}\r\n", xoauth2("anne")), vec!["235 2.7.0"]),
        (format!("AUTH xoauth2\r\n{}\r\n", xoauth2("anne")), vec!["334", "235 2.7.0"]),
        (format!("AUTH OAUTHBEARER {}\r\n", oauthbearer("anne")), vec!["235 2.7.0"]),
        (format!("AUTH OAUTHBEARER\r\n{}\r\n", oauthbearer("anne")), vec!["334", "235 2.7.0"]),
    ];
    for (wire, wanted) in ways {
        let transcript = behind_tls(&format!("{wire}MAIL FROM:<a@b>\r\n"));
        let mut wanted = wanted;
        wanted.push("250 2.1.0");
        assert_eq!(transcript.codes()[3..], wanted, "{wire:?}");
        assert!(!format!("{transcript:?}").contains("secret"), "a password shows itself: {transcript:?}");
    }
}

#[test]
fn an_exchange_that_breaks_the_rules_fails_and_the_connection_goes_on() {
    let long = "A".repeat(12_287);
    let ways = [
        ("AUTH PLAIN\r\n*\r\n".to_owned(), "501 5.7.0", "auth-cancelled"),
        ("AUTH PLAIN *\r\n".to_owned(), "501 5.7.0", "auth-cancelled"),
        ("AUTH PLAIN !!!!\r\n".to_owned(), "501 5.5.2", "auth-syntax"),
        ("AUTH PLAIN\r\nAGEAYg=\r\n".to_owned(), "501 5.5.2", "auth-syntax"),
        (format!("AUTH PLAIN {}\r\n", encoded("anne")), "501 5.5.2", "auth-syntax"),
        ("AUTH PLAIN =\r\n".to_owned(), "501 5.5.2", "auth-syntax"),
        (format!("AUTH PLAIN\r\n{long}\r\n"), "500 5.5.6", "auth-syntax"),
        (format!("AUTH PLAIN {long}\r\n"), "500 5.5.2", "long-command"),
        ("AUTH CRAM-MD5\r\n".to_owned(), "504 5.5.4", "auth-mechanism"),
        ("AUTH\r\n".to_owned(), "501 5.5.4", "bad-syntax"),
        ("AUTH PLAIN a b\r\n".to_owned(), "501 5.5.4", "bad-syntax"),
    ];
    for (wire, wanted, rule) in ways {
        let transcript = behind_tls(&format!("{wire}{}", plain("anne", "secret")));
        let codes = transcript.codes();
        assert_eq!(codes[codes.len() - 2..], [wanted, "235 2.7.0"], "{}", &wire[..wire.len().min(40)]);
        assert!(transcript.events.contains(&format!("refused {rule}")), "{rule}: {:?}", transcript.events);
    }
}

#[test]
fn a_refused_login_leaves_the_connection_as_it_was() {
    let wire = format!("{}{}{}", plain("refuse", "x"), plain("later", "x"), plain("anne", "secret"));
    assert_eq!(codes(&wire), ["550 5.7.1", "451 4.7.0", "235 2.7.0"]);
    let transcript = behind_tls(&format!("{}NOOP\r\n", plain("close", "x")));
    assert_eq!((&transcript.codes()[3..], transcript.closed), (&["421 4.3.2".to_owned()][..], true));
}

#[test]
fn a_refused_token_is_challenged_and_the_refusal_follows_whatever_the_client_answers() {
    for (wire, status) in [
        (format!("AUTH XOAUTH2 {}\r\n", xoauth2("refuse")), r#"{"status":"401""#),
        (format!("AUTH OAUTHBEARER {}\r\n", oauthbearer("refuse")), r#"{"status":"invalid_token""#),
    ] {
        for answer in ["", "AQ==", "*", "RSET", &"A".repeat(8000)] {
            let transcript = behind_tls(&format!("{wire}{answer}\r\nNOOP\r\n{}", plain("anne", "secret")));
            assert_eq!(transcript.codes()[3..], ["334", "550 5.7.1", "250 2.0.0", "235 2.7.0"], "{answer}");
            let challenge = transcript.replies.lines().find_map(|line| line.strip_prefix("334 ")).unwrap();
            let told = String::from_utf8(BASE64_STANDARD.decode(challenge).unwrap()).unwrap();
            assert!(told.starts_with(status) && told.ends_with('}'), "{told}");
            assert!(!format!("{transcript:?}").contains("secret"), "a token shows itself: {transcript:?}");
        }
    }
}

#[test]
fn what_may_succeed_later_and_what_ends_the_connection_is_said_at_once() {
    for wire in [xoauth2("later"), oauthbearer("later")].iter().zip(["XOAUTH2", "OAUTHBEARER"]) {
        let (initial, mechanism) = wire;
        let line = format!("AUTH {mechanism} {initial}\r\n");
        assert_eq!(codes(&format!("{line}{line}NOOP\r\n")), ["451 4.7.0", "451 4.7.0", "250 2.0.0"]);
    }
    let transcript = behind_tls(&format!("AUTH XOAUTH2 {}\r\n", xoauth2("close")));
    assert_eq!((&transcript.codes()[3..], transcript.closed), (&["421 4.3.2".to_owned()][..], true));
}

#[test]
fn no_mail_before_a_login_and_no_login_before_tls() {
    for line in ["MAIL FROM:<a@b>", "MAIL FROM:<>"] {
        let transcript = behind_tls(&format!("{line}\r\n"));
        assert_eq!(transcript.codes()[3..], ["530 5.7.0"], "{line}");
        assert_eq!(transcript.events, ["refused auth-required"]);
    }
    let chunk = "BDAT 23 LAST\r\nMAIL FROM:<evil@b>\r\n.\r\n";
    assert_eq!(codes(&format!("{chunk}NOOP\r\n")), ["503 5.5.1", "250 2.0.0"], "a chunk is no command");
    let early = in_all_cuts(&[format!("EHLO a\r\n{}MAIL FROM:<a@b>\r\n", plain("anne", "secret")).as_bytes()]);
    assert_eq!(early.codes()[1..], ["538 5.7.11", "530 5.7.0"]);
    assert_eq!(early.events, ["refused auth-needs-tls", "refused tls-required"]);
}

#[test]
fn a_login_comes_after_a_greeting_once_and_outside_of_a_transaction() {
    let login = plain("anne", "secret");
    let unmannerly = in_all_cuts(&[OPENING.as_bytes(), login.as_bytes()]);
    assert_eq!(unmannerly.codes()[2..], ["503 5.5.1"]);
    assert_eq!(codes_inside(&login), ["503 5.5.1"]);
    assert_eq!(codes_inside(&format!("MAIL FROM:<a@b>\r\n{login}RSET\r\n")), ["250 2.1.0", "503 5.5.1", "250 2.0.0"]);
    assert_eq!(codes_inside("EHLO a\r\nMAIL FROM:<a@b>\r\n"), ["250", "250 2.1.0"], "a greeting ends no login");
}

#[test]
fn plain_text_behind_starttls_is_no_login() {
    let wire = format!("{OPENING}{}", plain("anne", "secret"));
    let transcript = in_all_cuts(&[wire.as_bytes(), b"EHLO a\r\n"]);
    assert_eq!((transcript.codes(), transcript.closed), (vec!["250".to_owned(), "554 5.7.0".to_owned()], true));
    assert_eq!(transcript.events, ["refused plaintext-injection"]);
}

#[test]
fn a_whole_pipeline_behind_the_login_is_answered() {
    let transcript = behind_tls(&format!(
        "{}MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nFrom: a@b\r\n\r\nx\r\n.\r\nQUIT\r\n",
        plain("anne", "secret")
    ));
    let wanted = ["235 2.7.0", "250 2.1.0", "250 2.1.5", "354", "250 2.6.0", "221 2.0.0"];
    assert_eq!(transcript.codes()[3..], wanted);
    assert_eq!(transcript.messages.len(), 1);
}

#[test]
fn a_message_may_be_held_back_and_its_author_named() {
    let transcript = behind_tls(&format!(
        "{}MAIL FROM:<a@b> HOLDFOR=3600 AUTH=a+40b.example\r\nRSET\r\nMAIL FROM:<a@b> HOLDUNTIL=2026-12-01T08:00:00Z AUTH=<>\r\n",
        plain("anne", "secret")
    ));
    assert_eq!(transcript.codes()[4..], ["250 2.1.0", "250 2.0.0", "250 2.1.0"]);
    let events = transcript.events.join("\n");
    assert!(events.contains("Some(For(3600))") && events.contains("Some(Until(1796112000))"), "{events}");
    assert_eq!(codes_inside("MAIL FROM:<a@b> HOLDFOR=1 HOLDUNTIL=2026-12-01T08:00:00Z\r\n"), ["501 5.5.4"]);
    assert_eq!(codes_inside("MAIL FROM:<a@b> HOLDFOR=soon\r\n"), ["501 5.5.4"]);
}

#[test]
fn other_operators_are_offered_none_of_it() {
    for param in ["AUTH=<>", "HOLDFOR=60", "HOLDUNTIL=2026-12-01T08:00:00Z"] {
        let codes = crate::engine::codes(&format!("MAIL FROM:<a@b> {param}\r\n"));
        assert_eq!(codes, ["555 5.5.4"], "{param}");
    }
}

#[test]
fn eight_bit_data_needs_no_declaration_here() {
    let login = plain("anne", "secret");
    for text in [&b"A: \xc3\xa9\r\n\r\n"[..], b"A: b\r\n\r\n\xe9\r\n"] {
        let mut wire = format!("EHLO a\r\n{login}MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n").into_bytes();
        wire.extend_from_slice(text);
        wire.extend_from_slice(b".\r\n");
        let transcript = in_all_cuts(&[OPENING.as_bytes(), &wire]);
        assert_eq!(transcript.codes()[6..], ["354", "250 2.6.0"], "{text:?}");
    }
    let bare = codes_inside("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nA: b\nc\r\n.\r\n");
    assert_eq!(bare[2..], ["354", "554 5.6.0"], "line ends are as strict as anywhere");
}

#[test]
fn guessing_without_an_end_is_ended() {
    let transcript = behind_tls(&"AUTH PLAIN !\r\n".repeat(10));
    assert_eq!(transcript.codes()[3..], ["501 5.5.2", "501 5.5.2", "501 5.5.2", "501 5.5.2", "501 5.5.2", "421 4.7.0"]);
    assert!(transcript.closed);
}
