//! The engine's conversations. Each runs in all cuts of its bytes, and comes to the same.

use crate::conversation::{Cut, Transcript, converse};

const OPENING: &str = "EHLO a\r\nSTARTTLS\r\n";

/// The conversation behind TLS, after `EHLO`; the same in whatever pieces the bytes come.
pub(crate) fn behind_tls(wire: &str) -> Transcript {
    in_all_cuts(&[OPENING.as_bytes(), format!("EHLO a\r\n{wire}").as_bytes()])
}

pub(crate) fn in_all_cuts(segments: &[&[u8]]) -> Transcript {
    let whole = converse(segments, &mut Cut::whole());
    for size in 1..40 {
        assert_eq!(converse(segments, &mut Cut::every(size)), whole, "in pieces of {size}");
    }
    for seed in 0..20 {
        assert_eq!(converse(segments, &mut Cut::random(seed)), whole, "in random pieces, seed {seed}");
    }
    whole
}

/// The codes after the two `EHLO` and the `STARTTLS`.
pub(crate) fn codes(wire: &str) -> Vec<String> {
    behind_tls(wire).codes().split_off(3)
}

#[test]
fn a_message_is_taken_with_its_dots_removed() {
    let transcript = behind_tls(
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nFrom: a@b.example\r\n\r\n..x\r\n.y\r\n\r\n.\r\nQUIT\r\n",
    );
    let codes = ["250", "220 2.0.0", "250", "250 2.1.0", "250 2.1.5", "354", "250 2.6.0", "221 2.0.0"];
    assert_eq!(transcript.codes(), codes);
    assert_eq!(transcript.messages, [("From: a@b.example\\r\\n\\r\\n".to_owned(), ".x\\r\\ny\\r\\n\\r\\n".to_owned())]);
    assert!(transcript.closed);
}

#[test]
fn what_is_offered_changes_with_tls() {
    let transcript = behind_tls("");
    let plain = "250-PIPELINING\r\n250-SIZE 2000\r\n250-STARTTLS\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n";
    assert!(transcript.replies.contains(plain), "{}", transcript.replies);
    assert_eq!(transcript.replies.matches("STARTTLS\r\n").count(), 1);
    assert!(transcript.replies.starts_with("220 mx.example ESMTP"));
}

#[test]
fn nothing_but_the_few_is_answered_before_tls() {
    let plain = |wire: &str| in_all_cuts(&[wire.as_bytes()]);
    for line in ["MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "BDAT 1 LAST", "VRFY a", "EXPN a", "AUTH PLAIN"] {
        let transcript = plain(&format!("EHLO a\r\n{line}\r\n"));
        assert_eq!(transcript.codes()[1], "530 5.7.0", "{line}");
        assert_eq!(transcript.events, ["refused tls-required"]);
    }
    let codes = plain("HELO a\r\nNOOP x\r\nRSET\r\nHELP MAIL\r\nQUIT\r\n").codes();
    assert_eq!(codes, ["250", "250 2.0.0", "250 2.0.0", "214 2.0.0", "221 2.0.0"]);
}

#[test]
fn plain_text_behind_starttls_is_an_attack() {
    for behind in ["MAIL FROM:<a@b>\r\n", "x", "\r\n", "EHLO b\r\n"] {
        let transcript = in_all_cuts(&[format!("{OPENING}{behind}").as_bytes(), b"EHLO a\r\n"]);
        assert_eq!(transcript.codes(), ["250", "554 5.7.0"], "{behind:?}");
        assert_eq!(transcript.events, ["refused plaintext-injection"]);
        assert!(transcript.closed && transcript.replies.contains("[rule plaintext-injection, ref r1]"));
    }
}

#[test]
fn what_was_said_before_tls_counts_no_more() {
    let transcript = in_all_cuts(&[OPENING.as_bytes(), b"MAIL FROM:<a@b>\r\nEHLO a\r\nSTARTTLS\r\n"]);
    assert_eq!(transcript.codes()[2..], ["503 5.5.1", "250", "503 5.5.1"]);
}

#[test]
fn verbs_come_in_their_order() {
    let plain = in_all_cuts(&[
        OPENING.as_bytes(),
        b"RCPT TO:<c@d>\r\nHELO a\r\nDATA\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n",
    ]);
    assert_eq!(plain.codes()[2..], ["503 5.5.1", "250", "503 5.5.1", "250 2.1.0", "503 5.5.1"]);
    assert_eq!(codes("MAIL FROM:<a@b>\r\nDATA\r\n"), ["250 2.1.0", "554 5.5.1"]);
    assert_eq!(codes("MAIL FROM:<a@b>\r\nRCPT TO:<refuse@d>\r\nDATA\r\n"), ["250 2.1.0", "550 5.7.1", "554 5.5.1"]);
}

#[test]
fn each_recipient_has_its_own_answer() {
    let wire = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<refuse@d>\r\nRCPT TO:<later@d>\r\nRCPT TO:<e@d>\r\nDATA\r\nA: b\r\n.\r\n";
    let transcript = behind_tls(wire);
    let wanted = ["250 2.1.0", "250 2.1.5", "550 5.7.1", "451 4.7.0", "250 2.1.5", "354", "250 2.6.0"];
    assert_eq!(transcript.codes()[3..], wanted);
    assert_eq!(transcript.messages.len(), 1);
}

#[test]
fn rset_and_ehlo_end_a_transaction_and_no_more() {
    for verb in ["RSET", "EHLO b", "HELO b"] {
        let transcript = behind_tls(&format!("MAIL FROM:<a@b>\r\n{verb}\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\n"));
        assert_eq!(transcript.codes()[5..], ["503 5.5.1", "250 2.1.0"], "{verb}");
        assert_eq!(transcript.events.iter().filter(|event| *event == "discard").count(), 1);
    }
    let transcript = behind_tls("MAIL FROM:<a@b>\r\nQUIT\r\n");
    assert_eq!(transcript.events.last().map(String::as_str), Some("discard"));
}

#[test]
fn what_is_not_served_is_said_to_be_so() {
    let wire = "VRFY anne\r\nEXPN all\r\nHELP\r\nETRN x\r\nTURN\r\n";
    assert_eq!(codes(wire), ["252 2.1.5", "502 5.5.1", "214 2.0.0", "500 5.5.1", "500 5.5.1"]);
    assert_eq!(codes("AUTH PLAIN AGEAYg==\r\n"), ["502 5.5.1"]);
    let transcript = in_all_cuts(&[b"GET / HTTP/1.1\r\nHost: mx.example\r\n\r\n"]);
    assert_eq!((transcript.codes(), transcript.closed), (vec!["500 5.5.1".to_owned()], true));
}

#[test]
fn parameters_are_kept() {
    let transcript = behind_tls(
        "MAIL FROM:<a@b> SIZE=12 BODY=8BITMIME RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;e+2Bf@g\r\n",
    );
    let events = transcript.events.join("\n");
    for wanted in ["size: Some(12)", "EightBitMime", "Some(Headers)", "\"a+b\"", "Some(Never)", "\"e+f@g\""] {
        assert!(events.contains(wanted), "{wanted} in {events}");
    }
}

#[test]
fn non_ascii_addresses_need_smtputf8() {
    assert_eq!(
        codes("MAIL FROM:<é@b>\r\nMAIL FROM:<é@b> SMTPUTF8\r\nRCPT TO:<ô@d>\r\n"),
        ["553 5.6.7", "250 2.1.0", "250 2.1.5"]
    );
    assert_eq!(codes("MAIL FROM:<a@b>\r\nRCPT TO:<ô@d>\r\n"), ["250 2.1.0", "553 5.6.7"]);
}

#[test]
fn eight_bit_needs_its_declaration() {
    let message = |params: &str, text: &[u8]| {
        let mut wire = format!("EHLO a\r\nMAIL FROM:<a@b>{params}\r\nRCPT TO:<c@d>\r\nDATA\r\n").into_bytes();
        wire.extend_from_slice(text);
        wire.extend_from_slice(b".\r\nNOOP\r\n");
        in_all_cuts(&[OPENING.as_bytes(), &wire]).codes().split_off(6)
    };
    let (header, body): (&[u8], &[u8]) = (b"A: \xc3\xa9\r\n\r\n", b"A: b\r\n\r\n\xe9\r\n");
    assert_eq!(message("", header), ["554 5.6.7", "250 2.0.0"]);
    assert_eq!(message("", body), ["554 5.6.1", "250 2.0.0"]);
    assert_eq!(message(" SMTPUTF8", header), ["250 2.6.0", "250 2.0.0"]);
    assert_eq!(message(" SMTPUTF8", body), ["554 5.6.1", "250 2.0.0"]);
    assert_eq!(message(" BODY=8BITMIME", header), ["250 2.6.0", "250 2.0.0"]);
    assert_eq!(message(" BODY=8BITMIME", body), ["250 2.6.0", "250 2.0.0"]);
}

#[test]
fn every_form_of_smuggling_is_refused_and_ends_the_connection() {
    const SMUGGLED: &str = "MAIL FROM:<evil@b>\r\nRCPT TO:<victim@d>\r\nDATA\r\nFrom: evil\r\n\r\nx\r\n.\r\n";
    for ending in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\r\n.\r\n",
        "\n\r\n.\r\n",
        "\n\n.\r\n",
        "\r\n\r.\r\n",
    ] {
        let wire = format!("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nFrom: a\r\n\r\nx{ending}{SMUGGLED}");
        let transcript = behind_tls(&wire);
        assert_eq!(transcript.codes()[6..], ["554 5.6.0"], "{ending:?}");
        assert!(transcript.closed && transcript.messages.is_empty(), "{ending:?}");
        assert!(transcript.events.iter().any(|e| e == "refused bare-lf" || e == "refused bare-cr"), "{ending:?}");
    }
    let nul = behind_tls(&format!("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nFrom: a\r\n\r\nx\r\n\0.\r\n{SMUGGLED}"));
    assert_eq!(nul.codes()[6..], ["554 5.6.0"], "what follows belongs to the refused message");
    assert!(nul.messages.is_empty() && nul.events.contains(&"refused nul".to_owned()));
}

#[test]
fn commands_end_in_crlf() {
    for line in ["NOOP\nNOOP\r\n", "NOOP\rNOOP\r\n", "NOOP\r\r\n", "\nNOOP\r\n"] {
        let transcript = behind_tls(line);
        assert_eq!(transcript.codes()[3..], ["500 5.5.2"], "{line:?}");
        assert!(transcript.closed);
    }
    assert_eq!(
        codes("NOOP \0\r\nNOOP \u{7f}\r\nNOOP\t\r\nNOOP\r\n"),
        ["500 5.5.2", "500 5.5.2", "500 5.5.2", "250 2.0.0"]
    );
}

#[test]
fn a_message_comes_in_chunks() {
    let transcript = behind_tls(
        "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\nA: b\rBDAT 0\r\nBDAT 4\r\n\n\r\n.BDAT 9 LAST\r\n\r\n..\r\nendNOOP\r\n",
    );
    let wanted = ["250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0", "250 2.0.0", "250 2.6.0", "250 2.0.0"];
    assert_eq!(transcript.codes()[3..], wanted);
    assert_eq!(transcript.messages, [("A: b\\r\\n\\r\\n".to_owned(), ".\\r\\n..\\r\\nend".to_owned())]);
}

#[test]
fn an_empty_last_chunk_ends_a_message() {
    let transcript = behind_tls("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 6\r\nA: b\r\nBDAT 0 LAST\r\nNOOP\r\n");
    assert_eq!(transcript.codes()[5..], ["250 2.0.0", "250 2.6.0", "250 2.0.0"]);
    assert_eq!(transcript.messages, [("A: b\\r\\n".to_owned(), String::new())]);
}

#[test]
fn chunks_that_nobody_wants_are_swallowed_by_count() {
    let chunk = "BDAT 23 LAST\r\nMAIL FROM:<evil@b>\r\n.\r\n";
    assert_eq!(codes(&format!("{chunk}NOOP\r\n")), ["503 5.5.1", "250 2.0.0"]);
    assert_eq!(
        codes(&format!("MAIL FROM:<a@b>\r\nRCPT TO:<refuse@d>\r\n{chunk}NOOP\r\n")),
        ["250 2.1.0", "550 5.7.1", "554 5.5.1", "250 2.0.0"]
    );
    assert_eq!(
        codes(&format!("MAIL FROM:<full@b>\r\nRCPT TO:<c@d>\r\n{chunk}NOOP\r\n")),
        ["250 2.1.0", "250 2.1.5", "452 4.3.1", "250 2.0.0"]
    );
}

#[test]
fn data_and_chunks_do_not_mix() {
    let wire = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 6\r\nA: b\r\nDATA\r\nRCPT TO:<e@d>\r\nBDAT 0 LAST\r\n";
    assert_eq!(codes(wire)[2..], ["250 2.0.0", "503 5.5.1", "503 5.5.1", "250 2.6.0"]);
}

#[test]
fn a_chunk_whose_size_is_not_understood_ends_the_connection() {
    let transcript = behind_tls("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 6 LASTT\r\nRSET\r\n");
    assert_eq!((&transcript.codes()[5..], transcript.closed), (&["501 5.5.4".to_owned()][..], true));
}

#[test]
fn a_chunk_with_a_bad_line_end_is_refused() {
    for chunk in ["BDAT 7 LAST\r\nA: b\nc\n", "BDAT 5 LAST\r\nA: b\r", "BDAT 6\r\nA\rb: c"] {
        let transcript = behind_tls(&format!("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n{chunk}NOOP\r\n"));
        assert_eq!(transcript.codes()[5..], ["554 5.6.0"], "{chunk:?}");
        assert!(transcript.closed);
    }
}

#[test]
fn no_place_for_a_message_is_said_before_it_comes() {
    let wire = "MAIL FROM:<full@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nMAIL FROM:<a@b>\r\n";
    assert_eq!(codes(wire)[2..], ["452 4.3.1", "250 2.1.0"]);
}

#[test]
fn a_refused_header_section_refuses_the_message_at_its_end() {
    let wire = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nX-Refuse: 1\r\n\r\n..x\r\n.\r\nNOOP\r\n";
    let transcript = behind_tls(wire);
    assert_eq!(transcript.codes()[5..], ["354", "550 5.7.1", "250 2.0.0"]);
    assert_eq!(transcript.events.last().map(String::as_str), Some("discard"));
    let wire =
        "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 15\r\nX-Refuse: 1\r\n\r\nBDAT 2\r\nxxBDAT 2 LAST\r\nyyNOOP\r\n";
    assert_eq!(codes(wire)[2..], ["550 5.7.1", "550 5.7.1", "550 5.7.1", "250 2.0.0"]);
}

#[test]
fn what_the_store_did_not_keep_is_not_taken() {
    let wire = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nA: b\r\n\r\nUnlucky\r\n.\r\nRCPT TO:<c@d>\r\n";
    assert_eq!(codes(wire)[3..], ["451 4.3.0", "503 5.5.1"]);
}

#[test]
fn going_down_is_said_and_done() {
    let transcript = behind_tls("MAIL FROM:<close@b>\r\nNOOP\r\n");
    assert_eq!((&transcript.codes()[3..], transcript.closed), (&["421 4.3.2".to_owned()][..], true));
}
