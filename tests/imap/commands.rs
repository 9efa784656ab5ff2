//! Commands → types: the examples of RFC 3501 and the extensions, and what must be refused.

use caducee::wire::imap::acl::{Letters, RightsChange};
use caducee::wire::imap::command::{Command, FolderName, Numbers, StoreOperation};
use caducee::wire::imap::cursor::ParseError;
use caducee::wire::imap::fetch::{FetchItem, Partial, Rfc822, Section, SectionText};
use caducee::wire::imap::flag::Flag;
use caducee::wire::imap::framer::{Framer, FramerLimits, Framing};
use caducee::wire::imap::list::{ListUseAttribute, StatusItem};
use caducee::wire::imap::parse;
use caducee::wire::imap::search::{SearchKey, SearchResults};

fn read(text: &str) -> Result<Command, ParseError> {
    let bytes = format!("A1 {text}\r\n").into_bytes();
    let mut framer = Framer::new(FramerLimits::after_login(1000));
    match framer.step(&bytes).1 {
        Some(Framing::Command(framed)) => parse::command(&framed).map(|t| t.command).map_err(|e| e.error),
        other => panic!("{text} gave {other:?}"),
    }
}

fn bad(text: &str) -> String {
    match read(text) {
        Err(ParseError::Bad(reason)) => reason.into_owned(),
        other => panic!("{text} gave {other:?}"),
    }
}

#[test]
fn every_plain_command_is_read_in_any_case() {
    for (text, wanted) in [
        ("CAPABILITY", Command::Capability),
        ("noop", Command::Noop),
        ("Logout", Command::Logout),
        ("starttls", Command::StartTls),
        ("CHECK", Command::Check),
        ("CLOSE", Command::Close),
        ("UNSELECT", Command::Unselect),
        ("EXPUNGE", Command::Expunge(None)),
        ("IDLE", Command::Idle),
        ("NAMESPACE", Command::Namespace),
    ] {
        assert_eq!(read(text), Ok(wanted), "{text}");
    }
}

#[test]
fn login_takes_atoms_quoted_strings_and_literals() {
    for text in ["LOGIN smith sesame", "LOGIN \"smith\" \"sesame\"", "LOGIN {5+}\r\nsmith {6+}\r\nsesame"] {
        let Ok(Command::Login { user, password }) = read(text) else { panic!("{text}") };
        assert_eq!((user.as_str(), password.expose()), ("smith", &b"sesame"[..]));
    }
    let Ok(Command::Login { password, .. }) = read(r#"LOGIN u "a\"b\\c""#) else { panic!() };
    assert_eq!(password.expose(), br#"a"b\c"#);
}

#[test]
fn passwords_never_show_in_debug_output() {
    let shown = format!("{:?} {:?}", read("LOGIN smith sesame"), read("AUTHENTICATE PLAIN AHUAc2VzYW1l"));
    assert!(!shown.contains("sesame") && !shown.contains("AHUA"), "{shown}");
}

#[test]
fn fetch_knows_every_item_of_rfc_3501() {
    let Ok(Command::Fetch(fetch)) = read("FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])") else { panic!() };
    assert_eq!(fetch.numbers, Numbers::Sequence);
    assert_eq!(fetch.items[0], FetchItem::Flags);
    let FetchItem::Section { peek: false, section, partial: None } = &fetch.items[1] else { panic!() };
    let names = vec![b"DATE".to_vec(), b"FROM".to_vec()];
    assert_eq!(section, &Section { part: vec![], text: Some(SectionText::HeaderFields { not: false, names }) });

    let Ok(Command::Fetch(fetch)) = read("UID FETCH * BODY.PEEK[4.2.MIME]<2048.1024>") else { panic!() };
    assert_eq!(fetch.items[0], FetchItem::Uid, "UID FETCH always answers the UID");
    let section = Section { part: vec![4, 2], text: Some(SectionText::Mime) };
    let partial = Some(Partial { origin: 2048, length: 1024 });
    assert_eq!(fetch.items[1], FetchItem::Section { peek: true, section, partial });

    let Ok(Command::Fetch(fetch)) =
        read("FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT BODY BODYSTRUCTURE BODY[] BODY[1.HEADER])")
    else {
        panic!()
    };
    assert_eq!(fetch.items[..3], [Rfc822::Whole, Rfc822::Header, Rfc822::Text].map(FetchItem::Rfc822));
    assert_eq!(fetch.items.len(), 7);
    assert!(fetch.items[0].sets_seen() && !fetch.items[1].sets_seen() && fetch.items[5].sets_seen());
}

#[test]
fn fetch_macros_stand_for_their_items() {
    let fast = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size];
    let items = |text: &str| match read(text) {
        Ok(Command::Fetch(fetch)) => fetch.items,
        other => panic!("{other:?}"),
    };
    assert_eq!(items("FETCH 1 FAST"), fast);
    assert_eq!(items("FETCH 1 ALL"), [&fast[..], &[FetchItem::Envelope]].concat());
    assert_eq!(items("FETCH 1 full"), [&fast[..], &[FetchItem::Envelope, FetchItem::Body]].concat());
    assert_eq!(bad("FETCH 1 (FULL)"), "Unknown FETCH item");
}

#[test]
fn fetch_refuses_what_the_grammar_has_not() {
    for text in [
        "FETCH 0 FLAGS",
        "FETCH 1: FLAGS",
        "FETCH 1,, FLAGS",
        "FETCH 4294967296 FLAGS",
        "FETCH 1 ()",
        "FETCH 1 BODY[MIME]",
        "FETCH 1 BODY[1.]",
        "FETCH 1 BODY[0]",
        "FETCH 1 BODY[]<0.0>",
        "FETCH 1 BODY[]<1>",
        "FETCH 1 BODY[HEADER.FIELDS ()]",
        "FETCH 1 FLAGS extra",
        "FETCH 1  FLAGS",
        "FETCH 1",
        "FETCH",
        "FETCH 1 BODY.PEEK",
    ] {
        assert!(matches!(read(text), Err(ParseError::Bad(_))), "{text}");
    }
}

#[test]
fn search_knows_every_key_of_rfc_3501() {
    for key in [
        "ALL",
        "ANSWERED",
        "DELETED",
        "DRAFT",
        "FLAGGED",
        "NEW",
        "OLD",
        "RECENT",
        "SEEN",
        "UNANSWERED",
        "UNDELETED",
        "UNDRAFT",
        "UNFLAGGED",
        "UNSEEN",
        "BCC x",
        "BEFORE 1-Feb-1994",
        "BODY x",
        "CC x",
        "FROM x",
        "HEADER a b",
        "KEYWORD x",
        "LARGER 5",
        "NOT SEEN",
        "ON 01-Feb-1994",
        "OR SEEN DRAFT",
        "SENTBEFORE \"1-Feb-1994\"",
        "SENTON 1-Feb-1994",
        "SENTSINCE 1-Feb-1994",
        "SINCE 1-Feb-1994",
        "SMALLER 0",
        "SUBJECT \"\"",
        "TEXT x",
        "TO x",
        "UID 1:*",
        "UNKEYWORD x",
        "1:5,*",
        "(SEEN (DRAFT NOT (OLD)))",
        "OLDER 5",
        "YOUNGER 5",
        "MODSEQ 620162338",
        "MODSEQ \"/flags/\\\\draft\" all 620162338",
    ] {
        assert!(
            matches!(read(&format!("SEARCH {key}")), Ok(Command::Search(_))),
            "{key}: {:?}",
            read(&format!("SEARCH {key}"))
        );
        assert!(matches!(read(&format!("UID SEARCH CHARSET us-ascii {key} SEEN")), Ok(Command::Search(_))), "{key}");
    }
}

#[test]
fn search_builds_what_was_meant() {
    let Ok(Command::Search(search)) = read("SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"") else { panic!() };
    assert_eq!(
        search.keys,
        [
            SearchKey::Flag(Flag::Flagged),
            SearchKey::Since(8797),
            SearchKey::Not(Box::new(SearchKey::Header("from".into(), "Smith".into()))),
        ]
    );
    let Ok(Command::Search(search)) = read("SEARCH RETURN () 1") else { panic!() };
    assert_eq!(search.results, Some(SearchResults { all: true, ..SearchResults::default() }));
    let Ok(Command::Search(search)) = read("SEARCH RETURN (MIN COUNT) CHARSET UTF-8 TEXT {5+}\r\nRené") else {
        panic!()
    };
    assert_eq!(search.results, Some(SearchResults { min: true, count: true, ..SearchResults::default() }));
    assert_eq!(search.keys, [SearchKey::Text("René".into())]);
}

#[test]
fn search_refuses_hostile_and_unknown_keys() {
    assert_eq!(read("SEARCH CHARSET KOI8-R ALL"), Err(ParseError::BadCharset));
    assert_eq!(bad("SEARCH CHARSETS"), "Unknown SEARCH key, or one without its argument");
    assert_eq!(bad(&format!("SEARCH {}ALL", "NOT ".repeat(1000))), "SEARCH keys nested too deep");
    assert_eq!(bad(&format!("SEARCH {}", "(".repeat(5000))), "SEARCH keys nested too deep");
    assert_eq!(bad(&format!("SEARCH ALL{}", " ALL".repeat(2000))), "Too many SEARCH keys");
    for text in
        ["SEARCH", "SEARCH ()", "SEARCH ON 31-Feb-2020", "SEARCH ON 1-Foo-2020", "SEARCH OR SEEN", "SEARCH FROM"]
    {
        assert!(matches!(read(text), Err(ParseError::Bad(_))), "{text}");
    }
}

#[test]
fn store_reads_operation_silence_and_flags() {
    let Ok(Command::Store(store)) = read("STORE 2:4 +FLAGS (\\Deleted $Forwarded)") else { panic!() };
    assert_eq!((store.operation, store.silent), (StoreOperation::Add, false));
    assert_eq!(store.flags, [Flag::Deleted, Flag::Keyword("$Forwarded".into())]);
    let Ok(Command::Store(store)) = read("UID STORE 1 (UNCHANGEDSINCE 12) -flags.silent \\seen \\RECENT work") else {
        panic!()
    };
    assert_eq!((store.operation, store.silent, store.unchanged_since), (StoreOperation::Remove, true, Some(12)));
    assert_eq!(store.flags, [Flag::Seen, Flag::Keyword("work".into())], "\\Recent is left out");
    let Ok(Command::Store(store)) = read("STORE 1 FLAGS ()") else { panic!() };
    assert_eq!((store.operation, store.flags.len()), (StoreOperation::Replace, 0));
    assert_eq!(bad("STORE 1 FLAGS (\\Sean)"), "Unknown system flag");
    assert_eq!(bad("STORE 1 FLAG (\\Seen)"), "Expected FLAGS");
}

#[test]
fn list_reads_plain_and_extended_forms() {
    let Ok(Command::List(list)) = read("LIST \"\" %") else { panic!() };
    assert!(!list.extended && list.patterns == ["%"]);
    let Ok(Command::List(list)) = read(
        "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"a/%\" INBOX*) RETURN (CHILDREN SPECIAL-USE STATUS (MESSAGES UNSEEN))",
    ) else {
        panic!()
    };
    assert!(list.select_subscribed && list.return_subscribed && list.recursive_match && list.return_children);
    assert_eq!(list.patterns, ["a/%", "INBOX*"]);
    assert_eq!(list.return_status, Some(vec![StatusItem::Messages, StatusItem::Unseen]));
    assert!(matches!(read("LSUB \"#news.\" \"comp.mail.*\""), Ok(Command::List(list)) if list.lsub));
    assert_eq!(bad("LIST (RECURSIVEMATCH) \"\" %"), "RECURSIVEMATCH needs another selection option");
}

#[test]
fn the_small_commands_take_their_arguments() {
    assert!(matches!(read("ENABLE CONDSTORE X-GOOD"), Ok(Command::Enable(names)) if names == ["CONDSTORE", "X-GOOD"]));
    assert!(matches!(read("ID NIL"), Ok(Command::Id(pairs)) if pairs.is_empty()));
    assert!(matches!(read("ID (\"name\" \"sodr\" \"version\" NIL)"), Ok(Command::Id(pairs)) if pairs.len() == 2));
    assert!(matches!(read("SELECT INBOX (CONDSTORE)"), Ok(Command::Select(select)) if select.condstore));
    assert!(matches!(read("EXAMINE inbox"), Ok(Command::Select(s)) if s.read_only && s.folder.as_str() == "INBOX"));
    assert!(matches!(read("CREATE a/b/"), Ok(Command::Create { folder, .. }) if folder.as_str() == "a/b"));
    assert!(
        matches!(read("CREATE x (USE (\\Drafts))"), Ok(Command::Create { uses, .. }) if uses == [ListUseAttribute::Drafts])
    );
    assert!(matches!(read("UID EXPUNGE 3000:3002"), Ok(Command::Expunge(Some(_)))));
    assert!(
        matches!(read("UID MOVE 1:* \"&AOk-\""), Ok(Command::Copy(copy)) if copy.remove && copy.folder.as_str() == "é")
    );
    assert!(matches!(read("SETQUOTA \"\" (STORAGE 512)"), Ok(Command::SetQuota(..))));
    assert!(matches!(read("GETQUOTAROOT INBOX"), Ok(Command::GetQuotaRoot(_))));
}

#[test]
fn breaches_are_explained() {
    assert_eq!(bad("FROBNICATE"), "Unknown command");
    assert_eq!(bad("NOOP now"), "Unexpected text at the end of the command");
    assert_eq!(bad("LOGIN \"a b"), "Quoted string without an end");
    assert_eq!(bad("LOGIN \"a\\b\" c"), "Only \" and \\ are escaped in a quoted string");
    assert_eq!(bad("APPEND INBOX"), "Expected the message as a literal");
    assert_eq!(bad("LOGIN a {1+}\r\n\0"), "NUL in a literal");
    assert!(matches!(read("SELECT &Jjo"), Err(ParseError::BadName(_))));
}

#[test]
fn a_command_without_a_tag_has_none_to_answer() {
    for line in ["", " NOOP", "a+b NOOP", "NOOP", "{5} NOOP"] {
        let framed = caducee::wire::imap::framer::Framed { bytes: line.as_bytes().to_vec(), literals: vec![] };
        assert_eq!(parse::command(&framed).unwrap_err().tag, None, "{line}");
    }
}

#[test]
fn access_lists_are_read_with_their_letters() {
    let folder = FolderName::new("Shared/org@x/INBOX");
    let letters = |text| Letters::parse(text).unwrap();
    for (text, change) in [
        ("lrs", RightsChange::Replace(letters("lrs"))),
        ("+cd", RightsChange::Add(letters("kxte"))),
        ("-a", RightsChange::Remove(letters("a"))),
        ("\"\"", RightsChange::Replace(letters(""))),
        ("{2+}\r\n-p", RightsChange::Remove(letters("p"))),
    ] {
        let wanted = Command::SetAcl { folder: folder.clone(), identifier: "per@x".into(), change };
        assert_eq!(read(&format!("SETACL Shared/org@x/INBOX per@x {text}")), Ok(wanted), "{text}");
    }
    let identifier = "899700000001".to_owned();
    let inbox = FolderName::new("INBOX");
    for (text, wanted) in [
        ("GETACL inbox", Command::GetAcl(inbox.clone())),
        ("MYRIGHTS inbox", Command::MyRights(inbox.clone())),
        ("DELETEACL inbox 899700000001", Command::DeleteAcl { folder: inbox.clone(), identifier: identifier.clone() }),
        ("LISTRIGHTS inbox \"899700000001\"", Command::ListRights { folder: inbox.clone(), identifier }),
    ] {
        assert_eq!(read(text), Ok(wanted), "{text}");
    }
    // RFC 4314 §3.1: an unknown right is never passed over; §3: nor is an identifier that cannot be prepared.
    for text in ["SETACL INBOX x lrQ", "SETACL INBOX x +9", "SETACL INBOX x", "SETACL INBOX x lr lr"] {
        bad(text);
    }
    for identifier in ["\"\"", "\"a b\"", "{2+}\r\na\t"] {
        assert!(bad(&format!("DELETEACL INBOX {identifier}")).contains("identifier"), "{identifier}");
    }
}
