//! Folders from outside: LIST, LSUB, STATUS, CREATE, DELETE, RENAME, quotas.

use super::harness::{Server, message};

#[tokio::test]
async fn the_folders_of_every_mailbox_are_there_with_their_special_uses() {
    let server = Server::start().await;
    let mut client = server.login().await;
    let lines = client.ok("LIST \"\" *").await;
    for wanted in [
        "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
        "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"",
        "* LIST (\\HasNoChildren \\Drafts) \"/\" \"Drafts\"",
        "* LIST (\\HasNoChildren \\Trash) \"/\" \"Trash\"",
        "* LIST (\\HasNoChildren \\Junk) \"/\" \"Junk\"",
        "* LIST (\\HasNoChildren \\Archive) \"/\" \"Archive\"",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted}: {lines:?}");
    }
    assert_eq!(client.ok("LIST \"\" \"\"").await[0], "* LIST (\\Noselect) \"/\" \"\"");
    assert_eq!(client.ok("LIST \"\" inbox").await.len(), 2);
    assert_eq!(client.ok("LIST (SPECIAL-USE) \"\" *").await.len(), 6);
    assert_eq!(client.ok("LIST \"\" sent").await.len(), 1, "names are case-sensitive");
}

#[tokio::test]
async fn levels_and_wildcards_are_listed_as_rfc_3501_says() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.ok("CREATE \"Dossiers/&AMk-t&AOk-/2026\"").await;
    let lines = client.ok("LIST \"\" %").await;
    assert!(lines.iter().any(|line| line.ends_with("\"Dossiers\"") && line.contains("\\HasChildren")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("2026")));
    let lines = client.ok("LIST Dossiers/ %").await;
    assert!(lines[0].ends_with("\"Dossiers/&AMk-t&AOk-\""), "{lines:?}");
    assert_eq!(client.ok("LIST \"\" \"Dossiers/*\"").await.len(), 3);
    let lines = client.ok("LIST \"\" (INBOX Dossiers) RETURN (CHILDREN STATUS (MESSAGES UIDNEXT))").await;
    assert!(lines.iter().any(|line| line == "* STATUS \"INBOX\" (MESSAGES 0 UIDNEXT 1)"), "{lines:?}");
    client.refused(&format!("LIST \"\" {}", "%".repeat(3000)), "NO [LIMIT]").await;
    client.refused("LIST \"\" \"&bad\"", "NO [CANNOT]").await;
}

#[tokio::test]
async fn subscriptions_outlive_their_folders() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.ok("CREATE a/b").await;
    client.ok("SUBSCRIBE a/b").await;
    let lines = client.ok("LSUB \"\" %").await;
    assert!(lines.contains(&"* LSUB (\\Noselect) \"/\" \"a\"".to_owned()), "{lines:?}");
    client.ok("DELETE a/b").await;
    let lines = client.ok("LIST (SUBSCRIBED) \"\" a/*").await;
    assert_eq!(lines[0], "* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" \"a/b\"");
    let lines = client.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" a").await;
    assert!(lines[0].ends_with("\"a\" (\"CHILDINFO\" (\"SUBSCRIBED\"))"), "{lines:?}");
    client.ok("UNSUBSCRIBE a/b").await;
    assert_eq!(client.ok("LIST (SUBSCRIBED) \"\" a/*").await.len(), 1);
}

#[tokio::test]
async fn folders_are_made_renamed_and_deleted_with_clear_refusals() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.ok("CREATE Work").await;
    client.refused("CREATE Work", "NO [ALREADYEXISTS]").await;
    client.refused("CREATE inbox", "NO [ALREADYEXISTS]").await;
    client.refused("CREATE a//b", "NO [CANNOT]").await;
    client.refused("CREATE \"Brouillons\" (USE (\\Drafts))", "NO [USEATTR]").await;
    client.ok("RENAME Work Play").await;
    client.refused("RENAME Work Other", "NO [NONEXISTENT]").await;
    client.refused("RENAME Play Sent", "NO [ALREADYEXISTS]").await;
    client.ok("DELETE Play").await;
    client.refused("DELETE Play", "NO [NONEXISTENT]").await;
    client.refused("DELETE INBOX", "NO [CANNOT]").await;
    client.refused("SELECT Play", "NO [NONEXISTENT]").await;
}

#[tokio::test]
async fn renaming_inbox_moves_its_messages_and_leaves_it_empty() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.append("INBOX", "", &message("one")).await;
    client.ok("RENAME INBOX Old").await;
    assert_eq!(client.ok("STATUS Old (MESSAGES)").await[0], "* STATUS \"Old\" (MESSAGES 1)");
    assert_eq!(client.ok("STATUS INBOX (MESSAGES)").await[0], "* STATUS \"INBOX\" (MESSAGES 0)");
}

#[tokio::test]
async fn status_tells_what_is_asked() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.append("Drafts", "(\\Draft)", &message("one")).await;
    let size = message("one").replace('\n', "\r\n").len();
    let lines = client.ok("STATUS Drafts (MESSAGES RECENT UIDNEXT UNSEEN SIZE APPENDLIMIT)").await;
    assert_eq!(
        lines[0],
        format!("* STATUS \"Drafts\" (MESSAGES 1 RECENT 1 UIDNEXT 2 UNSEEN 1 SIZE {size} APPENDLIMIT 4194304)")
    );
    client.refused("STATUS Nowhere (MESSAGES)", "NO [NONEXISTENT]").await;
    client.refused("STATUS INBOX (FLAVOUR)", "BAD").await;
}

#[tokio::test]
async fn quotas_are_told_and_kept() {
    let server = Server::start().await;
    let mut client = server.login().await;
    let lines = client.ok("GETQUOTAROOT INBOX").await;
    assert_eq!(lines[..2], ["* QUOTAROOT \"INBOX\" \"\"", "* QUOTA \"\" (STORAGE 0 10240)"]);
    let big = format!("Subject: big\n\n{}\n", "x".repeat(3 << 20));
    for _ in 0..3 {
        client.append("INBOX", "", &big).await;
    }
    client.refused(&format!("APPEND INBOX {{{}}}", 3 << 20), "NO [OVERQUOTA]").await;
    assert!(client.ok("GETQUOTA \"\"").await[0].starts_with("* QUOTA \"\" (STORAGE 9217 10240)"));
    client.refused("GETQUOTA other", "NO [NONEXISTENT]").await;
    client.refused("SETQUOTA \"\" (STORAGE 1)", "NO [NOPERM]").await;
}

#[tokio::test]
async fn one_mailbox_never_sees_another() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.append("INBOX", "", &message("secret")).await;
    let other = "paul@aura.mssante.example";
    server.mailbox(other).await;
    let mut stranger = server.connect(true).await;
    stranger.ok(&format!("LOGIN {other} \"{}\"", super::harness::PASSWORD)).await;
    assert!(stranger.ok("SELECT INBOX").await.contains(&"* 0 EXISTS".to_owned()));
    assert_eq!(stranger.ok("UID SEARCH ALL").await[0], "* SEARCH");
}
