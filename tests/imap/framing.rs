//! Lines and literals under bounds.

#[path = "../../fuzz/checks/imap.rs"]
mod check;

use caducee::wire::imap::framer::{FrameError, Framed, Framer, FramerLimits, Framing};
use proptest::prelude::*;

const LIMITS: FramerLimits = FramerLimits { line: 100, literal: 50, literals: 3, message: 1000, swallow: 5000 };

/// All events of `input` in one go; messages are accepted.
fn all(input: &[u8]) -> Vec<String> {
    let mut framer = Framer::new(LIMITS);
    let mut at = 0;
    let mut seen = Vec::new();
    loop {
        let (used, event) = framer.step(&input[at..]);
        at += used;
        let Some(event) = event else { return seen };
        if let Framing::Message { .. } = event {
            framer.accept_message();
        }
        seen.push(show(event));
    }
}

fn show(event: Framing<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match event {
        Framing::Command(framed) => format!("command {:?} {:?}", text(&framed.bytes), framed.literals),
        Framing::Piece(piece) => format!("piece {:?}", text(piece)),
        Framing::Message { head, size, .. } => format!("message {size} after {:?}", text(&head.bytes)),
        Framing::MessageEnd { clean } => format!("end clean={clean}"),
        Framing::Refused { tag, why } => format!("refused {} {why}", tag.map_or("*".into(), |tag| tag.to_string())),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_command_without_literals_is_one_line() {
    assert_eq!(all(b"a NOOP\r\nb CHECK\r\n"), [r#"command "a NOOP" []"#, r#"command "b CHECK" []"#]);
}

#[test]
fn a_synchronising_literal_asks_for_a_continuation() {
    assert_eq!(
        all(b"a LOGIN {5}\r\nsmith {6}\r\nse}{3}\r\n"),
        ["Continue", "Continue", r#"command "a LOGIN {5}\r\nsmith {6}\r\nse}{3}" [13..18, 24..30]"#]
    );
}

#[test]
fn a_literal_that_looks_like_a_command_stays_a_literal() {
    assert_eq!(
        all(b"a LOGIN u {12+}\r\nx LOGOUT\r\n{9\r\nb NOOP\r\n"),
        [r#"command "a LOGIN u {12+}\r\nx LOGOUT\r\n{9" [17..29]"#, r#"command "b NOOP" []"#]
    );
}

#[test]
fn the_message_of_an_append_flows_in_pieces() {
    assert_eq!(
        all(b"a APPEND INBOX (\\Seen) {5+}\r\nhello\r\nb NOOP\r\n"),
        [
            r#"message 5 after "a APPEND INBOX (\\Seen) ""#,
            r#"piece "hello""#,
            "end clean=true",
            r#"command "b NOOP" []"#
        ]
    );
}

#[test]
fn the_folder_of_an_append_may_be_a_literal_too() {
    assert_eq!(
        all(b"a APPEND {5+}\r\nINBOX {2+}\r\nhi\r\n"),
        [r#"message 2 after "a APPEND {5+}\r\nINBOX ""#, r#"piece "hi""#, "end clean=true"]
    );
}

#[test]
fn text_after_the_message_makes_the_append_bad_and_its_literals_are_no_commands() {
    assert_eq!(
        all(b"a APPEND INBOX {2+}\r\nhi (\\Seen) {8+}\r\nx LOGOUT\r\nb NOOP\r\n"),
        [r#"message 2 after "a APPEND INBOX ""#, r#"piece "hi""#, "end clean=false", r#"command "b NOOP" []"#]
    );
}

#[test]
fn a_synchronising_literal_that_is_too_big_is_simply_not_asked_for() {
    assert_eq!(all(b"a LOGIN u {51}\r\nb NOOP\r\n"), ["refused a Literal too big", r#"command "b NOOP" []"#]);
    assert_eq!(all(b"a LOGIN u {99999999999999999999999}\r\n"), ["refused a Literal too big"]);
}

#[test]
fn a_non_synchronising_literal_that_is_too_big_is_thrown_away_with_its_command() {
    // RFC 7888 §4.
    let mut input = b"a LOGIN u {60+}\r\n".to_vec();
    input.extend_from_slice(b"x LOGOUT\r\n".repeat(6).as_slice());
    input.extend_from_slice(b" {10+}\r\ny LOGOUT\r\n\r\nb NOOP\r\n");
    assert_eq!(all(&input), ["refused a Literal too big", r#"command "b NOOP" []"#]);
}

#[test]
fn what_is_far_too_big_ends_the_connection() {
    assert_eq!(all(b"a LOGIN u {5001+}\r\nb NOOP\r\n"), ["Overrun"]);
    assert_eq!(all(b"a APPEND INBOX {5001+}\r\nb NOOP\r\n"), ["Overrun"]);
    assert_eq!(all(&[b'x'; 6000]), ["Overrun"]);
}

#[test]
fn literals_count_together_and_are_counted() {
    assert_eq!(
        all(b"a SEARCH FROM {30+}\r\n012345678901234567890123456789 TO {21}\r\nb NOOP\r\n"),
        ["refused a Literal too big", r#"command "b NOOP" []"#]
    );
    assert_eq!(
        all(b"a X {0+}\r\n {0+}\r\n {0+}\r\n {0+}\r\n\r\nb NOOP\r\n"),
        ["refused a Too many literals in one command", r#"command "b NOOP" []"#]
    );
}

#[test]
fn a_line_that_is_too_long_is_refused_with_its_tag() {
    let mut input = b"tag1 NOOP ".to_vec();
    input.extend_from_slice(&[b'x'; 300]);
    input.extend_from_slice(b"\r\nb NOOP\r\n");
    assert_eq!(all(&input), ["refused tag1 Command line too long", r#"command "b NOOP" []"#]);
}

#[test]
fn a_bare_line_feed_ends_nothing_but_the_command() {
    assert_eq!(all(b"a NOOP\nb NOOP\r\n"), ["refused a Lines end in CRLF", r#"command "b NOOP" []"#]);
}

#[test]
fn a_refused_message_is_dropped_silently_or_not_asked_for() {
    for (input, left) in
        [(&b"a APPEND x {9+}\r\nb LOGOUT\r\r\nc NOOP\r\n"[..], 1), (b"a APPEND x {9}\r\nc NOOP\r\n", 1)]
    {
        let mut framer = Framer::new(LIMITS);
        let (at, event) = framer.step(input);
        assert!(matches!(event, Some(Framing::Message { size: 9, .. })));
        framer.refuse_message();
        let (_, event) = framer.step(&input[at..]);
        let wanted = Framed { bytes: b"c NOOP".to_vec(), literals: Vec::new() };
        assert_eq!(event, Some(Framing::Command(wanted)), "{left}");
    }
}

#[test]
fn a_raw_line_knows_no_literals() {
    let mut framer = Framer::new(LIMITS);
    framer.expect_line();
    assert_eq!(framer.step(b"DONE {5}\r\nrest").1, Some(Framing::Line(b"DONE {5}".to_vec())));
    assert!(framer.at_rest());
}

#[test]
fn a_refusal_reads_to_people() {
    assert_eq!(FrameError::BareLf.to_string(), "Lines end in CRLF");
}

proptest! {
    /// Habit of the fuzz check: any split of any bytes gives the same events.
    #[test]
    fn splits_never_matter(input in any_stream()) {
        check::check(&input);
    }
}

/// Streams made of the pieces that matter to a framer.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" ".to_vec()),
        Just(b"a APPEND INBOX ".to_vec()),
        Just(b"b IDLE\r\n".to_vec()),
        Just(b"c LOGIN ".to_vec()),
        Just(b"\"".to_vec()),
        (0usize..80, any::<bool>(), 0usize..80).prop_map(|(size, plus, sent)| {
            let mut piece = format!("{{{size}{}}}\r\n", if plus { "+" } else { "" }).into_bytes();
            piece.extend(std::iter::repeat_n(b'z', sent));
            piece
        }),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}
