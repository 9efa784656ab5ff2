//! The monthly indicators, from what was done to the files.

use caducee::mss::indicators::Month;
use caducee::store::{Batch, Counter};

use crate::harness::{Server, text};

fn this_month() -> String {
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap();
    Month::of(now).to_string()
}

#[tokio::test]
async fn the_files_of_a_month_are_written_and_counted_again() {
    let server = Server::start().await;
    let month = this_month();
    let none = server.caducee(&["indicators", &month, "--json"]).await.expect(1).problem();
    assert_eq!(none["rule"], "nothing-counted");
    server.mailbox("camille").await;
    server.mailbox("lea").await;
    server.keep_traces().await;
    assert_eq!(server.caducee(&["indicators"]).await.expect(0).stdout.trim(), month);

    let out = server.place.join("files");
    let arguments = ["indicators", &month, "--out", text(&out), "--recount"];
    let told = server.caducee(&arguments).await.expect(0).stdout;
    assert!(
        told.contains("the month is not over") && told.contains("Counted again from the traces: the same."),
        "{told}"
    );
    let read = |name: &str| std::fs::read_to_string(out.join(format!("{name}_{month}.csv"))).unwrap();
    let domain = "aura.mssante.example";
    assert_eq!(
        read("Mouvements"),
        format!("mois,domaine,type_bal,mouvement,bal\r\n{month},{domain},PER,creation,2\r\n")
    );
    assert_eq!(
        read("BAL"),
        format!(
            "mois,domaine,type_bal,etat,bal_de_test,bal,liste_rouge,zero_papier,restreintes\r\n{month},{domain},PER,open,non,2,0,0,0\r\n"
        )
    );
    assert_eq!(read("Connexions"), "mois,domaine,type_bal,porte,moyen,resultat,connexions\r\n", "nobody came in");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 11);
}

#[tokio::test]
async fn what_the_traces_do_not_give_is_shown_and_fails_the_command() {
    let server = Server::start().await;
    server.mailbox("camille").await;
    server.keep_traces().await;
    // A counter that somebody has changed.
    let store = server.registry.room().store();
    let counters = store.scan::<Counter>(.., usize::MAX).unwrap();
    let (key, _) = counters.into_iter().find(|(key, _)| key.cell.ends_with("creation")).unwrap();
    let mut batch = Batch::new();
    batch.put(&key, &Counter { values: vec![7] });
    store.commit(batch).await.unwrap();
    let ran = server.caducee(&["indicators", &this_month(), "--recount", "--json"]).await.expect(1);
    let differences = ran.json()["differences"].clone();
    let [difference] = differences.as_array().unwrap().as_slice() else { panic!("{differences}") };
    assert_eq!((&difference["sheet"], &difference["counted"][0]), (&"movements".into(), &7.into()));
    assert_eq!(difference["row"].as_array().unwrap().last().unwrap(), "creation");
}

#[tokio::test]
async fn what_is_no_month_is_refused() {
    let server = Server::start().await;
    assert_eq!(server.get("/v1/indicators/2026-13").await.unwrap_err().field.as_deref(), Some("month"));
    assert_eq!(server.get("/v1/indicators/2026-11?recont=true").await.unwrap_err().rule, "bad-field");
    server.caducee(&["indicators", "november"]).await.expect(2);
}
