//! What Postfix delivers, and what it makes of our refusals.

use crate::peer::{POSTMAN, Postfix};
use crate::support::{Sandbox, read};

#[test]
fn postfix_delivers_over_mutual_tls_and_the_recipient_reads_it() {
    let sandbox = Sandbox::shared();
    let known = &sandbox.description;
    let Some(postfix) = Postfix::start(known) else { return };
    let (operator, mailbox) = (known.aura(), known.aura().mailbox("PER"));
    postfix.submit(
        POSTMAN,
        &mailbox.address,
        "Courrier-de-Postfix",
        "Une ligne.\n.Une ligne qui commence par un point.\n",
    );
    postfix.logged(&["Verified TLS connection established to 127.0.0.1"]);
    let sent = postfix.logged(&[&format!("to=<{}>", mailbox.address), "status="]);
    assert!(sent.contains("status=sent (250"), "{sent}");
    let text = read(known, operator, mailbox, "SUBJECT Courrier-de-Postfix");
    assert!(text.contains("\n.Une ligne qui commence par un point."), "{text}");
    assert!(text.starts_with(&format!("Return-Path: <{POSTMAN}>")), "{text}");
    assert!(text.contains("smtp.operateur-c.mssante.example"), "our Received: names the peer\n{text}");
}

#[test]
fn an_unknown_recipient_comes_back_to_the_sender_with_our_reason() {
    let sandbox = Sandbox::shared();
    let known = &sandbox.description;
    let Some(postfix) = Postfix::start(known) else { return };
    let nobody = "personne.inconnue@aura.mssante.example";
    postfix.submit(POSTMAN, nobody, "Pour-personne", "Bonjour.");
    let bounced = postfix.logged(&[&format!("to=<{nobody}>"), "status="]);
    assert!(bounced.contains("status=bounced") && bounced.contains("550 5.1.1"), "{bounced}");
    let report = postfix.own_message(nobody);
    assert!(report.contains("Status: 5.1.1") && report.contains("[rule "), "{report}");
}

#[test]
fn a_sender_that_is_not_the_peers_is_refused_and_the_report_reaches_its_true_operator() {
    let sandbox = Sandbox::shared();
    let known = &sandbox.description;
    let Some(postfix) = Postfix::start(known) else { return };
    let pretended = known.aquitaine().mailbox("PER");
    let to = &known.aura().mailbox("PER").address;
    postfix.submit(&pretended.address, to, "Courrier-usurpe", "Bonjour.");
    let bounced = postfix.logged(&[&format!("to=<{to}>"), "status="]);
    assert!(bounced.contains("status=bounced") && bounced.contains("550 5.7.1"), "{bounced}");
    // The report has a null sender, which a listed peer may use (MSSanté §3); it goes to the address that was misused.
    let text = read(known, known.aquitaine(), pretended, "SUBJECT Undelivered");
    assert!(text.starts_with("Return-Path: <>"), "{text}");
    assert!(text.contains("5.7.1"), "{text}");
}
