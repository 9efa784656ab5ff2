//! Messages of an open folder: FETCH, STORE, SEARCH, COPY, MOVE, EXPUNGE, APPEND.

use super::harness::{Server, message};

#[tokio::test]
async fn select_tells_what_rfc_3501_asks_for() {
    let server = Server::start().await;
    server.deliver(&message("one")).await;
    server.deliver(&message("two")).await;
    let mut client = server.login().await;
    let lines = client.ok("SELECT INBOX").await;
    for wanted in [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
        "* 2 EXISTS",
        "* 2 RECENT",
        "* OK [UNSEEN 1]",
        "* OK [UIDNEXT 3]",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)]",
        "* OK [UIDVALIDITY ",
        "* OK [HIGHESTMODSEQ ",
        "OK [READ-WRITE]",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(wanted)), "{wanted}: {lines:?}");
    }
    let mut second = server.login().await;
    assert!(second.ok("SELECT INBOX").await.contains(&"* 0 RECENT".to_owned()), "\\Recent is one session's");
    let lines = second.ok("EXAMINE INBOX").await;
    assert!(lines.last().unwrap().starts_with("OK [READ-ONLY]"));
    assert!(lines.iter().any(|line| line.starts_with("* OK [PERMANENTFLAGS ()]")));
    second.refused("STORE 1 +FLAGS (\\Seen)", "NO").await;
    second.refused("EXPUNGE", "NO").await;
    second.refused("SELECT Nowhere", "NO [NONEXISTENT]").await;
    second.refused("FETCH 1 FLAGS", "BAD Select a folder first").await;
}

#[tokio::test]
async fn fetch_answers_every_item() {
    let server = Server::start().await;
    server.deliver(&message("one")).await;
    let mut client = server.inbox().await;
    let text = message("one").replace('\n', "\r\n");
    let (header, body) = text.split_at(text.find("\r\n\r\n").unwrap() + 4);
    assert_eq!(
        client.ok("FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE)").await[0],
        format!(
            "* 1 FETCH (UID 1 FLAGS (\\Recent) INTERNALDATE \"14-Nov-2023 22:13:20 +0000\" RFC822.SIZE {})",
            text.len()
        )
    );
    assert_eq!(
        client.ok("FETCH 1 RFC822.HEADER").await[0],
        format!("* 1 FETCH (RFC822.HEADER {{{}}}\r\n{header})", header.len())
    );
    assert_eq!(client.ok("FETCH 1 BODY.PEEK[]").await[0], format!("* 1 FETCH (BODY[] {{{}}}\r\n{text})", text.len()));
    assert_eq!(
        client.ok("FETCH 1 BODY.PEEK[TEXT]<2.5>").await[0],
        format!("* 1 FETCH (BODY[TEXT]<2> {{5}}\r\n{})", &body[2..7])
    );
    assert_eq!(client.ok("FETCH 1 BODY.PEEK[1]<9999.5>").await[0], "* 1 FETCH (BODY[1]<9999> {0}\r\n)");
    assert_eq!(client.ok("FETCH 1 BODY.PEEK[7]").await[0], "* 1 FETCH (BODY[7] NIL)");
    let fields = format!("To: {}\r\nSubject: one\r\n\r\n", super::harness::MAILBOX);
    assert_eq!(
        client.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (subject X-None \"to\")]").await[0],
        format!("* 1 FETCH (BODY[HEADER.FIELDS (subject X-None to)] {{{}}}\r\n{fields})", fields.len())
    );
    let envelope = &client.ok("FETCH 1 ENVELOPE").await[0];
    assert!(
        envelope.contains(
            "((\"=?utf-8?q?Ren=C3=A9?= Martin\" NIL \"rene.martin\" \"nouvelle-aquitaine.mssante.example\"))"
        ),
        "{envelope}"
    );
    assert!(
        client.ok("FETCH 1 BODYSTRUCTURE").await[0]
            .contains("(\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"quoted-printable\"")
    );
    assert!(client.ok("FETCH 1 FULL").await[0].contains(" BODY ("));
    assert_eq!(client.ok("FETCH 1 FLAGS").await[0], "* 1 FETCH (FLAGS (\\Recent))", "nothing so far set \\Seen");
    let seen = &client.ok("FETCH 1 BODY[1]").await[0];
    assert!(seen.ends_with(" FLAGS (\\Seen \\Recent))"), "{seen}");
    client.refused("FETCH 2 FLAGS", "BAD No such message number").await;
    assert_eq!(client.ok("UID FETCH 7:9 FLAGS").await.len(), 1, "UIDs that are not there are passed over");
    assert_eq!(client.ok("UID FETCH 7:* FLAGS").await[0], "* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent))");
}

#[tokio::test]
async fn store_changes_flags_and_keywords() {
    let server = Server::start().await;
    server.deliver(&message("one")).await;
    server.deliver(&message("two")).await;
    let mut client = server.inbox().await;
    let lines = client.ok("STORE 1:2 +FLAGS (\\Flagged $Forwarded)").await;
    assert_eq!(lines[0], "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded)");
    assert!(lines[1].starts_with("* OK [PERMANENTFLAGS ("));
    assert_eq!(lines[2], "* 1 FETCH (FLAGS (\\Flagged $Forwarded \\Recent))");
    assert_eq!(client.ok("STORE 1 FLAGS.SILENT \\Seen").await.len(), 1);
    assert_eq!(client.ok("UID STORE 1 -FLAGS \\Answered").await[0], "* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent))");
    client.refused("STORE 1 +FLAGS (\\Nonsense)", "BAD").await;
    client.refused("STORE 3 +FLAGS (\\Seen)", "BAD No such message number").await;
}

#[tokio::test]
async fn expunge_and_close_take_deleted_messages() {
    let server = Server::start().await;
    for subject in ["one", "two", "three", "four"] {
        server.deliver(&message(subject)).await;
    }
    let mut client = server.inbox().await;
    client.ok("STORE 1,3,4 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(client.ok("UID EXPUNGE 2:3").await[..1], ["* 3 EXPUNGE"]);
    assert_eq!(client.ok("EXPUNGE").await[..2], ["* 1 EXPUNGE", "* 2 EXPUNGE"]);
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(client.ok("CLOSE").await, ["OK Folder closed"]);
    assert!(client.ok("SELECT INBOX").await.contains(&"* 0 EXISTS".to_owned()));
    client.ok("UNSELECT").await;
    client.refused("NOOP x", "BAD").await;
}

#[tokio::test]
async fn copies_and_moves_tell_their_uids() {
    let server = Server::start().await;
    for subject in ["one", "two", "three"] {
        server.deliver(&message(subject)).await;
    }
    let mut client = server.inbox().await;
    let answer = client.ok("COPY 1:2 Archive").await;
    assert!(answer[0].starts_with("OK [COPYUID ") && answer[0].contains(" 1:2 1:2]"), "{answer:?}");
    let lines = client.ok("UID MOVE 2 Archive").await;
    assert!(lines[0].starts_with("* OK [COPYUID ") && lines[0].contains(" 2 3]"), "{lines:?}");
    assert_eq!(lines[1], "* 2 EXPUNGE");
    client.refused("COPY 1 Nowhere", "NO [TRYCREATE]").await;
    client.refused("MOVE 1 Nowhere", "NO [TRYCREATE]").await;
    assert_eq!(client.ok("STATUS Archive (MESSAGES)").await[0], "* STATUS \"Archive\" (MESSAGES 3)");
    assert!(client.ok("UID COPY 77 Archive").await[0].starts_with("OK "));
}

#[tokio::test]
async fn append_streams_a_message_with_flags_and_date() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    let answer = client.append("INBOX", "(\\Seen work) \" 5-Nov-2020 14:19:28 +0100\"", &message("one")).await;
    assert!(answer.contains("[APPENDUID ") && answer.contains(" 1]"), "{answer}");
    let lines = client.ok("FETCH 1 (FLAGS INTERNALDATE)").await;
    assert_eq!(lines[0], "* 1 FETCH (FLAGS (\\Seen work \\Recent) INTERNALDATE \" 5-Nov-2020 13:19:28 +0000\")");
    client.send("s APPEND INBOX {14}\r\n").await;
    assert_eq!(client.line().await, "+ Send the message");
    client.send("Subject: x\r\n\r\n\r\n").await;
    assert_eq!(client.line().await, "* 2 EXISTS");
    assert_eq!(client.line().await, "* 2 RECENT");
    assert!(client.line().await.starts_with("s OK [APPENDUID "));
}

#[tokio::test]
async fn append_refuses_early_and_stays_in_step() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    client.refused("APPEND Nowhere {10}", "NO [TRYCREATE]").await;
    client.refused("APPEND INBOX {9999999}", "NO [TOOBIG]").await;
    client.refused("APPEND Nowhere {10+}\r\n0123456789", "NO [TRYCREATE]").await;
    client.refused("APPEND INBOX {5+}\r\n12345 more", "BAD Unexpected text").await;
    client.refused("APPEND INBOX {5+}\r\n12\x0045", "NO [CANNOT]").await;
    client.refused("APPEND INBOX (\\Nonsense) {5+}\r\n12345", "BAD").await;
    client.refused("APPEND INBOX \"nonsense\" {5}", "BAD").await;
    client.refused("APPEND INBOX {0+}\r\n", "NO The message is empty").await;
    client.refused("APPEND INBOX", "BAD Expected").await;
    client.ok("NOOP").await;
}

#[tokio::test]
async fn search_finds_by_every_kind_of_key() {
    let server = Server::start().await;
    server.deliver(&message("one")).await;
    server.deliver(&message("two =?iso-8859-1?q?=E9t=E9?=")).await;
    let attached = "From: Zoe <zoe@x>\nSubject: box\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
        Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: base64\n\nPHA+Q2hvbOlzdOlyb2w8L3A+\n--b\n\
        Content-Type: application/pdf; name=bilan.pdf\nContent-Disposition: attachment; filename=bilan.pdf\n\n%PDF hidden\n--b--\n";
    server.deliver(attached).await;
    let mut client = server.inbox().await;
    client.ok("STORE 2 +FLAGS.SILENT (\\Flagged work)").await;
    for (keys, wanted) in [
        ("ALL", "* SEARCH 1 2 3"),
        ("FLAGGED", "* SEARCH 2"),
        ("UNFLAGGED", "* SEARCH 1 3"),
        ("KEYWORD WORK", "* SEARCH 2"),
        ("UNKEYWORD other", "* SEARCH 1 2 3"),
        ("NEW", "* SEARCH 1 2 3"),
        ("OLD", "* SEARCH"),
        ("2:*", "* SEARCH 2 3"),
        ("7:*", "* SEARCH 3"),
        ("*:7", "* SEARCH 3"),
        ("UID 1,3", "* SEARCH 1 3"),
        ("FROM rené", "BAD"),
        ("CHARSET UTF-8 FROM {5+}\r\nRENÉ", "* SEARCH 1 2"),
        ("SUBJECT ONE", "* SEARCH 1"),
        ("CHARSET UTF-8 SUBJECT {5+}\r\nÉté", "* SEARCH 2"),
        ("HEADER X-None \"\"", "* SEARCH"),
        ("HEADER Message-ID @x", "* SEARCH 1 2"),
        ("HEADER MIME-Version 1", "* SEARCH 1 2"),
        ("CHARSET UTF-8 BODY {11+}\r\nRésultats ", "* SEARCH 1 2"),
        ("CHARSET UTF-8 TEXT {13+}\r\ncholéstérol", "* SEARCH 3"),
        ("BODY bilan.pdf", "* SEARCH 3"),
        ("BODY hidden", "* SEARCH"),
        ("TEXT zoe", "* SEARCH 3"),
        ("BODY zoe", "* SEARCH"),
        ("SENTON 17-Nov-2026", "* SEARCH 1 2"),
        ("SENTSINCE 18-Nov-2026", "* SEARCH"),
        ("ON 14-Nov-2023", "* SEARCH 1 2 3"),
        ("BEFORE 14-Nov-2023", "* SEARCH"),
        ("YOUNGER 60", "* SEARCH"),
        ("OLDER 60", "* SEARCH 1 2 3"),
        ("LARGER 100 SMALLER 100000", "* SEARCH 1 2 3"),
        ("OR SUBJECT one SUBJECT box", "* SEARCH 1 3"),
        ("NOT (SUBJECT one)", "* SEARCH 2 3"),
        ("OR FLAGGED TEXT zoe", "* SEARCH 2 3"),
        ("RETURN (MIN MAX COUNT) ALL", "* ESEARCH (TAG \"TAG\") MIN 1 MAX 3 COUNT 3"),
        ("RETURN () SUBJECT box", "* ESEARCH (TAG \"TAG\") ALL 3"),
        ("RETURN (ALL COUNT) SUBJECT nothing", "* ESEARCH (TAG \"TAG\") COUNT 0"),
    ] {
        let tag = client.start(&format!("SEARCH {keys}")).await;
        let lines = client.until(&tag).await;
        let answer = lines[0].as_str();
        assert!(
            answer == wanted.replace("TAG\"", &format!("{tag}\"")) || (wanted == "BAD" && answer.starts_with("BAD")),
            "{keys}: {lines:?}"
        );
    }
    client.refused("SEARCH CHARSET KOI8-R ALL", "NO [BADCHARSET (US-ASCII UTF-8)]").await;
    client.refused("SEARCH 9", "BAD No such message number").await;
    assert!(client.ok("UID SEARCH RETURN (ALL) 2:3").await[0].ends_with(" UID ALL 2:3"));
}

#[tokio::test]
async fn condstore_tells_and_holds_mod_sequences() {
    let server = Server::start().await;
    server.deliver(&message("one")).await;
    server.deliver(&message("two")).await;
    let mut client = server.login().await;
    client.ok("SELECT INBOX (CONDSTORE)").await;
    let modseq = |line: &str| -> u64 {
        let at = line.find("MODSEQ (").unwrap() + 8;
        line[at..].split(')').next().unwrap().parse().unwrap()
    };
    let mut other = server.inbox().await;
    assert!(
        other.ok("FETCH 1 (MODSEQ)").await[0].starts_with("* OK [HIGHESTMODSEQ "),
        "told when it is first asked for"
    );
    let lines = client.ok("FETCH 1:2 (MODSEQ)").await;
    let (one, two) = (modseq(&lines[0]), modseq(&lines[1]));
    assert!(one < two);
    let lines = client.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    let newer = modseq(&lines[0]);
    assert!(newer > two);
    let lines = client.ok(&format!("STORE 1:2 (UNCHANGEDSINCE {two}) +FLAGS (\\Flagged)")).await;
    assert!(lines[0].starts_with("* 2 FETCH (FLAGS (\\Flagged \\Recent) MODSEQ ("), "{lines:?}");
    assert!(lines[1].starts_with("OK [MODIFIED 1]"), "{lines:?}");
    assert_eq!(client.ok(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {newer})")).await.len(), 2);
    let lines = client.ok(&format!("SEARCH MODSEQ {newer}")).await;
    assert!(lines[0].starts_with("* SEARCH 1 2 (MODSEQ "), "{lines:?}");
    assert!(client.ok("STATUS INBOX (HIGHESTMODSEQ)").await[0].contains("HIGHESTMODSEQ "));
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    let mut text = String::new();
    for number in 0..200 {
        text += &format!("p{number} APPEND INBOX {{16+}}\r\nSubject: {number:>3}\r\n\r\n\r\nq{number} NOOP\r\n");
    }
    client.send(text).await;
    for number in 0..200 {
        let lines = client.until(&format!("p{number}")).await;
        assert!(lines.last().unwrap().starts_with("OK [APPENDUID "), "{lines:?}");
        client.until(&format!("q{number}")).await;
    }
}

#[tokio::test]
async fn a_huge_message_streams_both_ways() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    let body: String = (0..40_000).map(|line| format!("line {line} of a long message that goes on\n")).collect();
    let text = format!("Subject: huge\n\n{body}");
    client.append("INBOX", "", &text).await;
    let text = text.replace('\n', "\r\n");
    let line = &client.ok("FETCH 1 BODY.PEEK[]").await[0];
    assert_eq!(*line, format!("* 1 FETCH (BODY[] {{{}}}\r\n{text})", text.len()));
    assert_eq!(client.ok("SEARCH BODY \"line 39999 of\"").await[0], "* SEARCH 1");
}

#[tokio::test]
async fn a_huge_header_gives_its_fields() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    let filler: String = (0..6000).map(|line| format!("X-Filler-{line}: some text to fill it\n")).collect();
    client.append("INBOX", "", &format!("{filler}Subject: far down\n\nbody\n")).await;
    let line = &client.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject X-Filler-5999)]").await[0];
    assert!(line.ends_with("X-Filler-5999: some text to fill it\r\nSubject: far down\r\n\r\n)"), "{line}");
    let line = &client.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]<9.8>").await[0];
    assert!(line.ends_with("<9> {8}\r\nfar down)"), "{line}");
    assert_eq!(client.ok("SEARCH SUBJECT down").await[0], "* SEARCH 1");
}

#[tokio::test]
async fn parts_are_numbered_through_embedded_messages() {
    let server = Server::start().await;
    let text = "From: user@domain.org\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\nFrom: sub@domain.org\n\
        Content-Type: multipart/digest; boundary=\"foo\n bar\"\n\nprologue\n\n--foo bar \n\nSubject: m1\n\nm1 body\n\n\
        --foo bar\nX-Mime: m2 header\n\nSubject: m2\n\nm2 body\n\n--foo bar--\nepilogue\n";
    server.deliver(text).await;
    let mut client = server.inbox().await;
    for (section, wanted) in [
        ("1.HEADER", "From: sub@domain.org\nContent-Type: multipart/digest; boundary=\"foo\n bar\"\n\n"),
        ("1.1", "Subject: m1\n\nm1 body\n"),
        ("1.1.MIME", "\n"),
        ("1.1.HEADER", "Subject: m1\n\n"),
        ("1.1.TEXT", "m1 body\n"),
        ("1.2", "Subject: m2\n\nm2 body\n"),
        ("1.2.MIME", "X-Mime: m2 header\n\n"),
        ("1.2.HEADER.FIELDS (Subject)", "Subject: m2\n\n"),
        ("1.2.1", "m2 body\n"),
    ] {
        let wanted = wanted.replace('\n', "\r\n");
        let line = client.ok(&format!("FETCH 1 BODY.PEEK[{section}]")).await.remove(0);
        assert_eq!(line, format!("* 1 FETCH (BODY[{section}] {{{}}}\r\n{wanted})", wanted.len()), "{section}");
    }
}

#[tokio::test]
async fn envelopes_show_groups_routes_and_comments() {
    let server = Server::start().await;
    server
        .deliver("From: user@domain (Real Name)\nSender: \nTo: group: g1@d1.org, g2@d2.org;, other: g3@d3.org;\n\nx\n")
        .await;
    server.deliver("From: <@route:user@domain>\n\nx\n").await;
    let mut client = server.inbox().await;
    let lines = client.ok("FETCH 1:2 ENVELOPE").await;
    let real = "((\"Real Name\" NIL \"user\" \"domain\"))";
    assert_eq!(
        lines[0],
        format!(
            "* 1 FETCH (ENVELOPE (NIL NIL {real} {real} {real} ((NIL NIL \"group\" NIL)(NIL NIL \"g1\" \"d1.org\")\
             (NIL NIL \"g2\" \"d2.org\")(NIL NIL NIL NIL)(NIL NIL \"other\" NIL)(NIL NIL \"g3\" \"d3.org\")\
             (NIL NIL NIL NIL)) NIL NIL NIL NIL))"
        )
    );
    assert!(lines[1].contains("((NIL \"@route\" \"user\" \"domain\"))"), "{lines:?}");
}
