//! Logins: `cargo bench --bench logins [-- DIRECTORY [ACCOUNTS]]`.
//!
//! Prints a small table over a store on disk with 20,000 mailboxes: reading once who opens what; logins a second by each
//! means (a password with argon2 as it is configured by default, and with next to none: the rest of the work); coming in and
//! going out with as many sessions open as there are mailboxes; looking at all of these sessions.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use caducee::accounts::{
    AccountOptions, Authority, CertificateBinding, CertificateFacts, Ending, HashingOptions, NewMailbox, Registry,
};
use caducee::mail::{MailLimits, MailRoom};
use caducee::mss::{Address, DistinguishedName, Domain, Kind};
use caducee::store::{
    Account, AccountId, AddressEntry, Batch, Credential, CredentialKey, Holder, MasterKey, Options, Store,
};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PASSWORD: &str = "correct horse battery";
const DOMAIN: &str = "aura.mssante.example";

/// How long each measurement goes on.
const EACH: Duration = Duration::from_secs(3);

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let directory = arguments.next().map_or_else(|| std::env::temp_dir().join("caducee-bench-logins"), PathBuf::from);
    let accounts = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let _ = std::fs::remove_dir_all(&directory);
    let master = MasterKey::generate();
    let (store, _) = Store::open(&directory, &master, &Options::default()).expect("a new store opens");
    let room = MailRoom::new(store, master, MailLimits::default()).expect("the room opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(logins(&room, accounts));
    drop(room);
    drop(runtime);
    let _ = std::fs::remove_dir_all(&directory);
}

fn with_hashing(room: &MailRoom, hashing: HashingOptions) -> Registry {
    Registry::new(room.clone(), AccountOptions { hashing, ..AccountOptions::default() })
}

async fn logins(room: &MailRoom, accounts: u64) {
    let dear = HashingOptions::default();
    let cheap = HashingOptions { memory: 8, passes: 1, ..dear };
    let registry = with_hashing(room, cheap);
    registry.add_domain(&Domain::parse(DOMAIN).unwrap(), "").await.unwrap();
    let people = people(&registry, accounts).await;
    let software = software(&registry).await;

    let begin = Instant::now();
    registry.prepare_access().unwrap();
    println!("who opens what, of {accounts} mailboxes {:>12.1?}", begin.elapsed());

    // Each mailbox' first login of a day is noted beside it, with a commit: over few mailboxes that weighs little.
    let some = |n: u64| n % accounts.min(100);
    let name = |n: u64| format!("m{}@{DOMAIN}", some(n));
    rate("a password, argon2 apart", async |n| {
        registry.verify_password(&name(n), None, PASSWORD, None, PEER).await.unwrap();
    })
    .await;
    let costly = with_hashing(room, dear);
    costly.set_password(people[0], PASSWORD, "").await.unwrap();
    rate("a password, argon2 by default", async |_| {
        costly.verify_password(&name(0), None, PASSWORD, None, PEER).await.unwrap();
    })
    .await;
    rate("an application's certificate", async |_| {
        registry.verify_external(&software, None).await.unwrap();
    })
    .await;
    rate("a person, as Pro Santé Connect tells", async |n| {
        registry.open_for_person(&person(some(n)), &name(n)).unwrap();
    })
    .await;
    sessions(&registry, accounts).await;
}

async fn sessions(registry: &Registry, accounts: u64) {
    let login = |n: u64| registry.open_for_person(&person(n), &format!("m{n}@{DOMAIN}")).unwrap();
    let open: Vec<_> = (0..accounts).map(|n| registry.enter(&login(n), "imap", PEER, 10).unwrap()).collect();
    let one = login(0);
    rate("coming in and going out, beside them", async |_| {
        registry.enter(&one, "imap", PEER, 10).unwrap();
    })
    .await;
    let begin = Instant::now();
    registry.review_sessions();
    println!("a look at {accounts} sessions {:>20.1?}", begin.elapsed());
    let begin = Instant::now();
    let ended = registry.sessions().end_where(|session| session.login.account == one.account, Ending::Administrator);
    println!("ending {ended} of {} {:>26.1?}", open.len(), begin.elapsed());
}

/// Runs one after another for a while, and prints how often a second.
async fn rate(what: &str, work: impl AsyncFn(u64)) {
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < EACH {
        work(count).await;
        count += 1;
    }
    println!("{what:<40} {:>10.0}/s", count as f64 / begin.elapsed().as_secs_f64());
}

fn person(n: u64) -> String {
    format!("8{n:011}")
}

/// Mailboxes of as many professionals, all with one password: their records alone, put there in large commits.
async fn people(registry: &Registry, accounts: u64) -> Vec<AccountId> {
    let holder = |n| Holder { national_id: Some(person(n)), last_name: Some("Martin".into()), ..Holder::default() };
    let address = |n: u64| Address::parse(&format!("m{n}@{DOMAIN}")).unwrap();
    let new = NewMailbox { allow_password: true, ..NewMailbox::new(address(0), Kind::Per, holder(0)) };
    let first = registry.create(new).await.unwrap().id;
    registry.set_password(first, PASSWORD, "").await.unwrap();
    let store = registry.room().store();
    let model = store.get::<Account>(&first).unwrap().unwrap().record;
    let password = registry.credentials(first).unwrap().remove(0).1.record;
    let ids: Vec<AccountId> = (0..accounts).map(|n| AccountId(first.0 + n)).collect();
    for chunk in ids[1..].chunks(1_000) {
        let mut batch = Batch::new();
        for id in chunk {
            let n = id.0 - first.0;
            let record = Account { address: address(n).to_string(), holder: holder(n), ..model.clone() };
            batch.put(id, &record).put(&address(n).key(), &AddressEntry::Account(*id));
            batch.put::<Credential>(&CredentialKey { account: *id, number: 0 }, &password);
        }
        store.commit(batch).await.unwrap();
    }
    // The numbers that were taken by hand are no mailbox's that is made from now on.
    store.allocate(caducee::store::MetaKey::NextAccount, accounts).await.unwrap();
    ids
}

/// An application's mailbox, and the certificate that opens it.
async fn software(registry: &Registry) -> CertificateFacts {
    let holder =
        Holder { structure_id: Some("1010000024".into()), label: Some("Logiciel".into()), ..Holder::default() };
    let address = Address::parse(&format!("logiciel@{DOMAIN}")).unwrap();
    let app = registry.create(NewMailbox::new(address, Kind::App, holder)).await.unwrap().id;
    registry.bind_certificate(app, CertificateBinding::Structure, "").await.unwrap();
    let subject = DistinguishedName::parse_text("CN=logiciel,OU=1010000024,O=CH,C=FR").unwrap();
    CertificateFacts { authority: Authority::Igc, fingerprint: "a".repeat(64), subject }
}
