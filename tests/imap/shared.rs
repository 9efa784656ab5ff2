//! Mailboxes that several people open: names, rights, access lists, and what happens when a right is taken away.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caducee::accounts::{AccountChange, Grantee};
use caducee::mss::{Right, Rights};
use caducee::store::{AccessGrant, AccessRight, AccountId};

use super::harness::{Client, PASSWORD, Server, message};

const ORG: &str = "secretariat@aura.mssante.example";
const ANNE: &str = "anne.martin@aura.mssante.example";
const BRUNO: &str = "bruno.petit@aura.mssante.example";

/// A structure's mailbox with one message, and two professionals who may do this in it.
struct Practice {
    server: Server,
    org: AccountId,
    anne: AccountId,
}

impl Practice {
    async fn of(anne: &[Right], bruno: &[Right]) -> Practice {
        let server = Server::start().await;
        let (org, anne_id) = (server.mailbox(ORG).await, server.professional(ANNE, "899700000001").await);
        server.professional(BRUNO, "899700000002").await;
        let practice = Practice { server, org, anne: anne_id };
        practice.lets(&Grantee::Mailbox(practice.anne), anne).await;
        practice.lets(&Grantee::Person("899700000002".into()), bruno).await;
        practice.server.deliver_to(practice.org, &message("resultats")).await;
        practice
    }

    async fn lets(&self, who: &Grantee, rights: &[Right]) {
        let rights: Rights = rights.iter().copied().collect();
        self.server.registry.change_grant(self.org, who, |_| rights).await.unwrap();
    }

    async fn anne(&self) -> Client {
        self.server.login_to(ANNE).await
    }

    async fn bruno(&self) -> Client {
        self.server.login_to(BRUNO).await
    }
}

fn names(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.rsplit_once(" \"/\" ").map(|(_, name)| name.trim_matches('"'))).collect()
}

#[tokio::test]
async fn namespaces_are_told_where_there_is_something_in_them() {
    let practice = Practice::of(&[Right::Read], &[Right::Send]).await;
    let told = practice.anne().await.ok("NAMESPACE").await;
    assert_eq!(told[0], "* NAMESPACE ((\"\" \"/\")) NIL ((\"Shared/\" \"/\"))");
    let told = practice.bruno().await.ok("NAMESPACE").await;
    assert_eq!(told[0], "* NAMESPACE ((\"\" \"/\")) NIL NIL", "who may only send sees nothing");
}

#[tokio::test]
async fn other_mailboxes_are_listed_as_far_as_they_are_asked_for() {
    let practice = Practice::of(&[Right::Read], &[]).await;
    let mut anne = practice.anne().await;
    let all = anne.ok("LIST \"\" *").await;
    let inbox = format!("* LIST (\\HasNoChildren) \"/\" \"Shared/{ORG}/INBOX\"");
    for wanted in ["* LIST (\\Noselect \\HasChildren) \"/\" \"Shared\"", inbox.as_str()] {
        assert!(all.iter().any(|line| line == wanted), "{wanted}: {all:?}");
    }
    let sent = all.iter().filter(|line| line.contains("\\Sent")).count();
    assert_eq!(sent, 1, "special uses are the own mailbox's: {all:?}");
    assert_eq!(names(&anne.ok("LIST \"\" %").await), ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash", "Shared"]);
    assert_eq!(names(&anne.ok("LIST \"Shared/\" %").await), [format!("Shared/{ORG}")]);
    assert_eq!(names(&anne.ok("LIST \"\" \"Shared/%/INBOX\"").await), [format!("Shared/{ORG}/INBOX")]);
    let status = anne.ok("LIST \"\" \"Shared/*\" RETURN (STATUS (MESSAGES))").await;
    assert!(status.contains(&format!("* STATUS \"Shared/{ORG}/INBOX\" (MESSAGES 1)")), "{status:?}");
    assert!(!practice.bruno().await.ok("LIST \"\" *").await.iter().any(|line| line.contains("Shared")));
}

#[tokio::test]
async fn a_mailbox_that_one_may_not_see_is_like_none() {
    let practice = Practice::of(&[], &[Right::Send]).await;
    for mut client in [practice.anne().await, practice.bruno().await] {
        for command in ["SELECT {}", "STATUS {} (MESSAGES)", "MYRIGHTS {}", "GETACL {}", "DELETE {}", "SUBSCRIBE {}"] {
            let there = client.refused(&command.replace("{}", &format!("Shared/{ORG}/INBOX")), "NO").await;
            let nowhere =
                client.refused(&command.replace("{}", "Shared/nobody@aura.mssante.example/INBOX"), "NO").await;
            assert_eq!(there, nowhere, "{command}");
        }
        client.refused(&format!("SELECT \"Other Users/{ORG}/INBOX\""), "NO [NONEXISTENT]").await;
        client.refused(&format!("SELECT Shared/{ORG}"), "NO [NONEXISTENT]").await;
    }
}

#[tokio::test]
async fn who_may_read_changes_nothing() {
    let practice = Practice::of(&[Right::Read], &[]).await;
    let mut anne = practice.anne().await;
    anne.append("INBOX", "", &message("a moi")).await;
    anne.ok("SELECT INBOX").await;
    anne.refused(&format!("COPY 1 Shared/{ORG}/INBOX"), "NO [NOPERM]").await;
    anne.refused(&format!("MOVE 1 Shared/{ORG}/INBOX"), "NO [NOPERM]").await;
    for command in ["CREATE {}/Neuf", "DELETE {}/Archive", "RENAME {}/Archive {}/Vieux"] {
        anne.refused(&command.replace("{}", &format!("Shared/{ORG}")), "NO [NOPERM]").await;
    }
    anne.refused(&format!("APPEND Shared/{ORG}/INBOX {{3+}}\r\nabc"), "NO [NOPERM]").await;
    let opened = anne.ok(&format!("SELECT Shared/{ORG}/INBOX")).await;
    assert!(opened.last().unwrap().starts_with("OK [READ-ONLY]"), "{opened:?}");
    assert!(opened.iter().any(|line| line.starts_with("* OK [PERMANENTFLAGS ()]")), "{opened:?}");
    let read = anne.ok("FETCH 1 (BODY[])").await;
    assert!(!read.iter().any(|line| line.contains("\\Seen")), "the message is unread for the others: {read:?}");
    for command in ["STORE 1 +FLAGS (\\Deleted)", "EXPUNGE", "MOVE 1 INBOX"] {
        anne.refused(command, "NO").await;
    }
    anne.ok("COPY 1 Archive").await;
    assert!(anne.ok("STATUS Archive (MESSAGES)").await.contains(&"* STATUS \"Archive\" (MESSAGES 1)".to_owned()));
}

#[tokio::test]
async fn who_may_write_files_flags_and_moves_both_ways() {
    let practice = Practice::of(&[Right::Write], &[]).await;
    let mut anne = practice.anne().await;
    anne.ok(&format!("CREATE Shared/{ORG}/Classement/2026")).await;
    let appended = anne.append(&format!("Shared/{ORG}/Classement/2026"), "(\\Seen)", &message("note")).await;
    assert!(appended.starts_with("OK [APPENDUID"), "{appended}");
    let opened = anne.ok(&format!("SELECT Shared/{ORG}/inbox")).await;
    assert!(opened.last().unwrap().starts_with("OK [READ-WRITE]"), "{opened:?}");
    anne.ok("STORE 1 +FLAGS (\\Flagged suivi)").await;
    let moved = anne.ok("MOVE 1 INBOX").await;
    assert!(moved[0].starts_with("* OK [COPYUID") && moved[1] == "* 1 EXPUNGE", "{moved:?}");
    anne.ok("SELECT INBOX").await;
    let fetched = anne.ok("FETCH 1 (FLAGS BODY.PEEK[TEXT])").await;
    assert!(fetched[0].contains("\\Flagged suivi") && fetched[0].contains("sultats sont"), "{fetched:?}");
    anne.ok(&format!("UID MOVE 1 Shared/{ORG}/Classement")).await;
    anne.ok(&format!("RENAME Shared/{ORG}/Classement Shared/{ORG}/Rangement")).await;
    let status = anne.ok(&format!("STATUS Shared/{ORG}/Rangement/2026 (MESSAGES)")).await;
    assert_eq!(status[0], format!("* STATUS \"Shared/{ORG}/Rangement/2026\" (MESSAGES 1)"));
    anne.ok(&format!("DELETE Shared/{ORG}/Rangement/2026")).await;
    anne.refused(&format!("RENAME Shared/{ORG}/Rangement Rangement"), "NO [CANNOT]").await;
    anne.refused(&format!("COPY 1:* Shared/{ORG}"), "NO [CANNOT]").await;
}

#[tokio::test]
async fn the_quota_is_that_of_the_mailbox_that_is_written_to() {
    let practice = Practice::of(&[Right::Write], &[]).await;
    let mut anne = practice.anne().await;
    let told = anne.ok(&format!("GETQUOTAROOT Shared/{ORG}/INBOX")).await;
    assert_eq!(told[0], format!("* QUOTAROOT \"Shared/{ORG}/INBOX\" \"Shared/{ORG}\""));
    assert!(told[1].starts_with(&format!("* QUOTA \"Shared/{ORG}\" (STORAGE 1 ")), "{told:?}");
    assert_eq!(anne.ok(&format!("GETQUOTA Shared/{ORG}")).await[0], told[1]);
    assert!(anne.ok("GETQUOTA \"\"").await[0].starts_with("* QUOTA \"\" (STORAGE 0 "));
    let few = AccountChange { quota: Some(Some(1_000)), ..Default::default() };
    practice.server.registry.set(practice.org, &few).await.unwrap();
    anne.append("INBOX", "", &message(&"x".repeat(900))).await;
    anne.ok("SELECT INBOX").await;
    anne.refused(&format!("COPY 1 Shared/{ORG}/INBOX"), "NO [OVERQUOTA]").await;
    anne.refused(&format!("MOVE 1 Shared/{ORG}/INBOX"), "NO [OVERQUOTA]").await;
    anne.refused(&format!("APPEND Shared/{ORG}/INBOX {{999+}}\r\n{}", "x".repeat(999)), "NO [OVERQUOTA]").await;
}

#[tokio::test]
async fn two_people_in_one_mailbox_see_each_others_flags_while_they_idle() {
    let practice = Practice::of(&[Right::Write], &[Right::Write]).await;
    let (mut anne, mut bruno) = (practice.anne().await, practice.bruno().await);
    anne.ok(&format!("SELECT Shared/{ORG}/INBOX")).await;
    bruno.ok(&format!("SELECT Shared/{ORG}/INBOX")).await;
    bruno.send("i IDLE\r\n").await;
    assert_eq!(bruno.line().await, "+ idling");
    let began = Instant::now();
    anne.ok("STORE 1 +FLAGS (\\Answered)").await;
    assert_eq!(bruno.line().await, "* 1 FETCH (FLAGS (\\Answered))");
    practice.server.deliver_to(practice.org, &message("nouveau")).await;
    assert_eq!(bruno.line().await, "* 2 EXISTS");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    bruno.send("DONE\r\n").await;
    assert!(bruno.until("i").await.last().unwrap().starts_with("OK"));
    assert!(anne.ok("NOOP").await.contains(&"* 2 EXISTS".to_owned()));
    bruno.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    bruno.ok("EXPUNGE").await;
    assert!(anne.ok("NOOP").await.contains(&"* 2 EXPUNGE".to_owned()));
}

#[tokio::test]
async fn a_right_that_is_taken_away_ends_what_it_opened_within_a_second() {
    let practice = Practice::of(&[Right::Write], &[Right::Read]).await;
    let (mut anne, mut bruno) = (practice.anne().await, practice.bruno().await);
    anne.ok(&format!("SELECT Shared/{ORG}/INBOX")).await;
    bruno.ok(&format!("SELECT Shared/{ORG}/INBOX")).await;
    for client in [&mut anne, &mut bruno] {
        client.send("i IDLE\r\n").await;
        assert_eq!(client.line().await, "+ idling");
    }
    let began = Instant::now();
    practice.lets(&Grantee::Mailbox(practice.anne), &[Right::Read]).await;
    assert!(anne.line().await.starts_with("* FLAGS ("));
    assert!(anne.line().await.starts_with("* OK [PERMANENTFLAGS ()]"));
    assert!(anne.line().await.starts_with("* OK [READ-ONLY]"));
    anne.send("DONE\r\n").await;
    anne.until("i").await;
    anne.refused("STORE 1 +FLAGS (\\Seen)", "NO").await;
    practice.lets(&Grantee::Person("899700000002".into()), &[]).await;
    assert_eq!(bruno.end().await, "* BYE You may no longer look into this mailbox\r\n");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // Between commands, too: the next one is not carried out.
    practice.lets(&Grantee::Mailbox(practice.anne), &[]).await;
    anne.send("n FETCH 1 (BODY.PEEK[])\r\n").await;
    let said = anne.end().await;
    assert!(said.starts_with("* BYE You may no longer") && !said.contains("FETCH"), "{said}");
    // Their own mailboxes are theirs as before.
    let mut bruno = practice.bruno().await;
    bruno.ok("SELECT INBOX").await;
    bruno.refused(&format!("STATUS Shared/{ORG}/INBOX (MESSAGES)"), "NO [NONEXISTENT]").await;
    bruno.ok("NOOP").await;
}

#[tokio::test]
async fn a_shared_mailbox_that_is_suspended_costs_its_own_sessions_only() {
    let practice = Practice::of(&[Right::Write], &[Right::Write]).await;
    let (mut anne, mut bruno) = (practice.anne().await, practice.bruno().await);
    anne.ok(&format!("SELECT Shared/{ORG}/INBOX")).await;
    bruno.append("INBOX", "", &message("a moi")).await;
    bruno.ok("SELECT INBOX").await;
    practice.server.registry.suspend(practice.org, "").await.unwrap();
    anne.send("n NOOP\r\n").await;
    assert!(anne.end().await.contains("* BYE"));
    for command in ["COPY 1 {}", "STATUS {} (MESSAGES)", "SUBSCRIBE {}"] {
        bruno.refused(&command.replace("{}", &format!("Shared/{ORG}/INBOX")), "NO").await;
    }
    bruno.ok("LIST \"\" *").await;
    bruno.ok("NOOP").await;
}

#[tokio::test]
async fn each_keeps_subscriptions_of_their_own() {
    let practice = Practice::of(&[Right::Read], &[Right::Write]).await;
    let (mut anne, mut bruno) = (practice.anne().await, practice.bruno().await);
    let inbox = format!("Shared/{ORG}/INBOX");
    assert!(!names(&anne.ok("LSUB \"\" *").await).contains(&inbox.as_str()));
    anne.ok(&format!("SUBSCRIBE Shared/{}/inbox", ORG.to_uppercase())).await;
    anne.refused(&format!("SUBSCRIBE Shared/{ORG}/Nowhere"), "NO [NONEXISTENT]").await;
    assert!(anne.ok("LSUB \"\" *").await.contains(&format!("* LSUB () \"/\" \"{inbox}\"")));
    let listed = anne.ok("LIST (SUBSCRIBED) \"\" \"Shared/*\"").await;
    assert_eq!(listed[0], format!("* LIST (\\HasNoChildren \\Subscribed) \"/\" \"{inbox}\""));
    assert!(anne.ok("LSUB \"\" Shared/%").await[0].starts_with("* LSUB (\\Noselect)"));
    let parents = anne.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %").await;
    assert!(parents.iter().any(|line| line.contains("\"Shared\" (\"CHILDINFO\" (\"SUBSCRIBED\"))")), "{parents:?}");
    for mut other in [bruno, practice.server.login_to(ORG).await] {
        let told = other.ok("LSUB \"\" *").await;
        assert!(!names(&told).contains(&inbox.as_str()), "{told:?}");
    }
    practice.lets(&Grantee::Mailbox(practice.anne), &[]).await;
    assert!(anne.ok("LSUB \"\" *").await.contains(&format!("* LSUB (\\Noselect) \"/\" \"{inbox}\"")));
    anne.ok(&format!("UNSUBSCRIBE {inbox}")).await;
    assert!(!names(&anne.ok("LSUB \"\" *").await).contains(&inbox.as_str()));
    bruno = practice.bruno().await;
    bruno.ok(&format!("SUBSCRIBE {inbox}")).await;
    bruno.ok(&format!("UNSUBSCRIBE Shared/{}/Inbox", ORG.to_uppercase())).await;
    assert!(!names(&bruno.ok("LSUB \"\" *").await).contains(&inbox.as_str()));
}

#[tokio::test]
async fn nobody_makes_folders_of_their_own_where_other_mailboxes_stand() {
    let practice = Practice::of(&[], &[]).await;
    let mut anne = practice.anne().await;
    anne.ok("CREATE Projet").await;
    for name in ["Shared", "Shared/Projet", "\"Other Users/x\"", &format!("Shared/{ORG}/INBOX")] {
        anne.refused(&format!("CREATE {name}"), "NO [CANNOT]").await;
        anne.refused(&format!("RENAME Projet {name}"), "NO [CANNOT]").await;
    }
    // A folder that bears such a name from before is reached, and can be renamed.
    practice.server.room.open(practice.anne).unwrap().create("Shared/Projet").await.unwrap();
    anne.ok("SELECT Shared/Projet").await;
    anne.ok("CLOSE").await;
    practice.lets(&Grantee::Mailbox(practice.anne), &[Right::Read]).await;
    let all = anne.ok("LIST \"\" *").await;
    assert_eq!(names(&all).iter().filter(|name| **name == "Shared").count(), 1, "{all:?}");
    anne.ok("RENAME Shared Vieux").await;
    anne.ok("SELECT Vieux/Projet").await;
}

#[tokio::test]
async fn managers_say_who_else_may_do_what() {
    let practice = Practice::of(&[Right::Manage], &[Right::Read]).await;
    let mut anne = practice.anne().await;
    let inbox = format!("Shared/{ORG}/INBOX");
    let told = anne.ok(&format!("GETACL {inbox}")).await;
    let acl = format!("* ACL \"{inbox}\" \"{ORG}\" lrswikxtecdpa \"{ANNE}\" lra \"899700000002\" lr");
    assert_eq!(told[0], acl);
    assert_eq!(anne.ok(&format!("MYRIGHTS {inbox}")).await[0], format!("* MYRIGHTS \"{inbox}\" lra"));
    assert_eq!(anne.ok("MYRIGHTS INBOX").await[0], "* MYRIGHTS \"INBOX\" lrswikxtecdpa");
    let listed = anne.ok(&format!("LISTRIGHTS {inbox} 899700000002")).await;
    assert_eq!(listed[0], format!("* LISTRIGHTS \"{inbox}\" \"899700000002\" \"\" lr swikxtecd p a"));
    let listed = anne.ok(&format!("LISTRIGHTS Shared/{ORG}/Sent 899700000002")).await;
    assert_eq!(listed[0], format!("* LISTRIGHTS \"Shared/{ORG}/Sent\" \"899700000002\" lr"), "nothing is set there");

    let mut bruno = practice.bruno().await;
    bruno.ok(&format!("SELECT {inbox}")).await;
    for command in ["GETACL {}", "LISTRIGHTS {} 899700000001", "SETACL {} 899700000002 lra", "DELETEACL {} 8"] {
        bruno.refused(&command.replace("{}", &inbox), "NO [NOPERM]").await;
    }
    anne.ok(&format!("SETACL {inbox} 899700000002 +swikxte")).await;
    assert_eq!(bruno.ok(&format!("MYRIGHTS {inbox}")).await[0], format!("* MYRIGHTS \"{inbox}\" lrswikxtecd"));
    anne.ok(&format!("SETACL Shared/{ORG} 899700000002 -w")).await;
    assert_eq!(bruno.ok(&format!("MYRIGHTS {inbox}")).await[0], format!("* MYRIGHTS \"{inbox}\" lr"), "tied rights");
    anne.ok(&format!("SETACL {inbox} {BRUNO} lrp")).await;
    assert!(anne.ok(&format!("GETACL {inbox}")).await[0].ends_with(&format!("\"{BRUNO}\" lrp")));
    anne.ok(&format!("DELETEACL {inbox} {BRUNO}")).await;
    anne.ok(&format!("DELETEACL {inbox} 899700000002")).await;
    bruno.send("n NOOP\r\n").await;
    assert!(bruno.end().await.contains("* BYE You may no longer"));

    for (command, answer) in [
        ("SETACL {} 899700000002 lrq", "BAD"),
        ("SETACL {} \"\" lr", "BAD"),
        ("SETACL {} anyone lr", "NO [CANNOT]"),
        ("SETACL {} -899700000002 lr", "NO [CANNOT]"),
        ("SETACL {} 12345 lr", "NO [CANNOT]"),
        ("SETACL {} 899700000002 w", "NO [CANNOT]"),
        ("SETACL {} 899700000002 +swikxte", "NO [CANNOT]"),
        ("SETACL {} nobody@aura.mssante.example lr", "NO [NONEXISTENT]"),
        ("DELETEACL {} secretariat@aura.mssante.example", "NO [CANNOT]"),
    ] {
        anne.refused(&command.replace("{}", &inbox), answer).await;
    }
    anne.refused(&format!("SETACL Shared/{ORG}/Sent 899700000002 lr"), "NO [CANNOT]").await;
    anne.refused("GETACL Nowhere", "NO [NONEXISTENT]").await;

    let full = (0..200)
        .map(|n| AccessGrant {
            person: format!("employe-{n}"),
            rights: vec![AccessRight::Read],
            ..AccessGrant::default()
        })
        .collect();
    let change = AccountChange { access_list: Some(full), ..AccountChange::default() };
    practice.server.registry.set(practice.org, &change).await.unwrap();
    let mut holder = practice.server.login_to(ORG).await;
    holder.refused("SETACL INBOX employe-200 lr", "NO [LIMIT]").await;
}

#[tokio::test]
async fn the_holder_lets_others_in_by_setacl() {
    let practice = Practice::of(&[], &[]).await;
    let mut org = practice.server.login_to(ORG).await;
    org.ok(&format!("SETACL INBOX {ANNE} lrswikxte")).await;
    let told = org.ok("GETACL INBOX").await;
    assert_eq!(told[0], format!("* ACL \"INBOX\" \"{ORG}\" lrswikxtecdpa \"{ANNE}\" lrswikxtecd"));
    let mut anne = practice.anne().await;
    anne.ok(&format!("SELECT Shared/{ORG}/INBOX")).await;
    org.ok(&format!("DELETEACL INBOX {ANNE}")).await;
    anne.send("n NOOP\r\n").await;
    assert!(anne.end().await.contains("* BYE You may no longer"));
}

/// A session in a mailbox that somebody else's login opens, by SASL PLAIN's authorisation id.
async fn by_authorisation(server: &Server, mailbox: &str, login: &str) -> (Client, String) {
    let mut client = server.connect(true).await;
    let response = STANDARD.encode(format!("{mailbox}\0{login}\0{PASSWORD}"));
    let answer = client.command(&format!("AUTHENTICATE PLAIN {response}")).await.pop().unwrap_or_default();
    (client, answer)
}

#[tokio::test]
async fn a_session_in_the_shared_mailbox_itself_is_held_to_the_same_rights() {
    let practice = Practice::of(&[Right::Read], &[Right::Send]).await;
    let (mut anne, answer) = by_authorisation(&practice.server, ORG, ANNE).await;
    assert!(answer.starts_with("OK"), "{answer}");
    let opened = anne.ok("SELECT INBOX").await;
    assert!(opened.last().unwrap().starts_with("OK [READ-ONLY]"), "{opened:?}");
    assert_eq!(anne.ok("MYRIGHTS Sent").await[0], "* MYRIGHTS \"Sent\" lr");
    for command in ["CREATE Neuf", "DELETE Archive", "RENAME Archive Vieux", "GETACL INBOX", "UNSUBSCRIBE Sent"] {
        anne.refused(command, "NO [NOPERM]").await;
    }
    anne.refused("APPEND INBOX {3+}\r\nabc", "NO [NOPERM]").await;
    anne.refused("COPY 1 Archive", "NO [NOPERM]").await;
    anne.refused("STORE 1 +FLAGS (\\Seen)", "NO").await;
    // Her own mailbox is another one here.
    anne.ok(&format!("COPY 1 \"Other Users/{ANNE}/Archive\"")).await;
    let told = anne.ok(&format!("STATUS \"Other Users/{ANNE}/Archive\" (MESSAGES)")).await;
    assert!(told[0].ends_with("(MESSAGES 1)"), "{told:?}");
    let (mut bruno, answer) = by_authorisation(&practice.server, ORG, BRUNO).await;
    assert!(answer.starts_with("NO [AUTHORIZATIONFAILED]"), "who may only send does not look in: {answer}");
    bruno.ok("NOOP").await;
}

#[tokio::test]
async fn a_professional_lets_a_secretary_in() {
    let practice = Practice::of(&[Right::Read], &[]).await;
    let mut bruno = practice.bruno().await;
    bruno.append("INBOX", "", &message("a trier")).await;
    bruno.ok(&format!("SETACL INBOX {ANNE} lrswikxte")).await;
    let mut anne = practice.anne().await;
    let told = anne.ok("NAMESPACE").await;
    assert_eq!(told[0], "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) ((\"Shared/\" \"/\"))");
    assert_eq!(
        names(&anne.ok("LIST \"\" %/%").await),
        [format!("Other Users/{BRUNO}"), format!("Shared/{ORG}")],
        "namespaces in their order"
    );
    anne.ok(&format!("SELECT \"Other Users/{BRUNO}/INBOX\"")).await;
    anne.ok(&format!("MOVE 1 \"Other Users/{BRUNO}/Archive\"")).await;
    anne.refused(&format!("MOVE 1 Shared/{ORG}/INBOX"), "NO [NOPERM]").await;
    assert!(bruno.ok("STATUS Archive (MESSAGES)").await[0].ends_with("(MESSAGES 1)"));
    bruno.refused("SETACL INBOX secretariat@aura.mssante.example lr", "NO [CANNOT]").await;
}
