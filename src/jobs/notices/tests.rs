//! Notices against a relay that answers as it is told.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::accounts::notice::By;
use crate::accounts::{AccountOptions, NewMailbox, Registry};
use crate::config::notices::NoticeTls;
use crate::mail::{MailLimits, MailRoom};
use crate::mss::{Domain, Kind};
use crate::store::{Holder, MasterKey, Store};

/// A relay without TLS; what it has taken comes out, and each refusal is given once, to RCPT.
async fn relay(refusals: Vec<&'static str>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (taken, received) = mpsc::channel(10);
    tokio::spawn(async move {
        let mut refusals = refusals.into_iter();
        while let Ok((stream, _)) = listener.accept().await {
            // Most sessions end with QUIT; one that was refused has no message.
            if let Some(message) = session(BufReader::new(stream), true, refusals.next()).await {
                taken.send(message).await.unwrap();
            }
        }
    });
    (address, received)
}

async fn session<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    greets: bool,
    refusal: Option<&str>,
) -> Option<String> {
    let mut message = None;
    if greets {
        stream.write_all(b"220 sortie.example\r\n").await.ok()?;
    }
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|count| count > 0) {
        let verb = line.split([' ', '\r']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match (verb.as_str(), refusal) {
            ("EHLO", _) => "250-sortie.example\r\n250-CHUNKING\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n".to_owned(),
            // RFC 4616: NUL, `avis`, NUL, `sésame`.
            ("AUTH", _) if line.trim_end() == "AUTH PLAIN AGF2aXMAc8Opc2FtZQ==" => "235 2.7.0 entrez\r\n".to_owned(),
            ("AUTH", _) => "535 5.7.8 non\r\n".to_owned(),
            ("RCPT", Some(refusal)) => format!("{refusal} <anne@fai.example>\r\n"),
            ("BDAT", _) => {
                let size = line.split(' ').nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
                let mut bytes = vec![0; size];
                stream.read_exact(&mut bytes).await.ok()?;
                message = Some(String::from_utf8(bytes).unwrap());
                "250 2.0.0 pris\r\n".to_owned()
            }
            ("QUIT", _) => "221 2.0.0 au revoir\r\n".to_owned(),
            _ => "250 2.0.0 bien\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
        line.clear();
    }
    message
}

fn config(relay: SocketAddr, tls: NoticeTls) -> Config {
    let mut config = Config::default();
    config.server.name = "mx.aura.example".into();
    config.notices.host = relay.ip().to_string();
    config.notices.port = relay.port();
    config.notices.tls = tls;
    config.notices.from = "ne-pas-repondre@operateur.example".into();
    config
}

/// A registry with one mailbox, and the job that carries its notices.
async fn scene(config: &Config) -> (Registry, crate::accounts::Account, Metrics) {
    let (registry, account) = mailbox().await;
    let metrics = carry(config, registry.take_notices().unwrap());
    (registry, account, metrics)
}

fn carry(config: &Config, inbox: NoticeInbox) -> Metrics {
    let metrics = Metrics::default();
    let job = NoticeJob::new(config, None, metrics.clone()).unwrap().unwrap();
    tokio::spawn(job.run(inbox, std::future::pending()));
    metrics
}

async fn mailbox() -> (Registry, crate::accounts::Account) {
    let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
    let registry = Registry::new(room, AccountOptions::default());
    registry.add_domain(&Domain::parse("aura.mssante.example").unwrap(), "").await.unwrap();
    let holder =
        Holder { national_id: Some("899700000001".into()), last_name: Some("Lefèvre".into()), ..Holder::default() };
    let address = Address::parse("anne@aura.mssante.example").unwrap();
    let notification_address = Some("anne@fai.example".into());
    let new = NewMailbox { notification_address, ..NewMailbox::new(address, Kind::Per, holder) };
    let account = registry.create(new).await.unwrap();
    (registry, account)
}

fn body_of(message: &str) -> String {
    let read = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
    read.body_text(0).unwrap().into_owned()
}

#[tokio::test]
async fn a_mailed_code_reaches_the_relay_and_lets_in() {
    let (address, mut taken) = relay(vec![]).await;
    let (registry, account, _) = scene(&config(address, NoticeTls::None)).await;
    let mailed = registry.mail_code(account.id, "login").await.unwrap();
    assert_eq!(mailed.to, "a•••@fai.example");
    let message = taken.recv().await.unwrap();
    assert!(message.contains("To: <anne@fai.example>\r\n"), "{message}");
    let body = body_of(&message);
    let code = body.lines().find_map(|line| line.strip_prefix("    ")).unwrap().trim().to_owned();
    assert_eq!(code.len(), 6, "{body}");
    assert!(registry.check_code(account.id, "login", &code).await.is_ok());
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_and_one_for_good_is_not() {
    let (address, mut taken) = relay(vec!["451 4.3.0 plus tard"]).await;
    let (registry, account, _) = scene(&config(address, NoticeTls::None)).await;
    let begin = Instant::now();
    assert!(registry.tell(&account, Notice::PasswordChanged { by: By::Holder }).await);
    assert!(body_of(&taken.recv().await.unwrap()).contains("mot de passe"));
    assert!(begin.elapsed() >= Duration::from_secs(4), "{:?}", begin.elapsed());

    let (address, mut taken) = relay(vec!["550 5.1.1 inconnue"]).await;
    let (registry, account, metrics) = scene(&config(address, NoticeTls::None)).await;
    assert!(registry.tell(&account, Notice::FactorsReset).await);
    let bounced = NoticeLabel { notice: "factors-reset", result: "bounced" };
    while metrics.notices.get_or_create(&bounced).get() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(taken.try_recv().is_err());
    // The account says so, until the address takes one again.
    let noted = async |wanted: Option<&str>| {
        let status = || registry.by_id(account.id).unwrap().unwrap().data.notice_bounce.map(|bounce| bounce.status);
        while status().as_deref() != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    noted(Some("550 5.1.1")).await;
    assert!(registry.tell(&account, Notice::FactorsReset).await);
    assert!(taken.recv().await.is_some());
    noted(None).await;
    assert_eq!(registry.waiting_notices().unwrap().notices, 0, "what is settled lies nowhere");
}

#[tokio::test]
async fn where_tls_is_required_nothing_is_said_in_the_clear() {
    let (address, mut taken) = relay(vec![]).await;
    let config = config(address, NoticeTls::Required);
    let job = NoticeJob::new(&config, None, Metrics::default()).unwrap().unwrap();
    let to = Address::parse("anne@fai.example").unwrap();
    let error = relay::send(&job.relay, &to, b"Subject: x\r\n\r\n").await.unwrap_err();
    assert!(error.to_string().contains("STARTTLS"), "{error}");
    assert!(taken.try_recv().is_err());
}

/// M10: an announcement to 100,000 holders waits; what matters more is written behind it.
#[tokio::test]
async fn alarms_and_closings_do_not_wait_for_an_announcement_to_100_000_holders() {
    const ANNOUNCED: usize = 100_000;
    let (address, mut taken) = relay(vec![]).await;
    let mut config = config(address, NoticeTls::None);
    config.notices.rate = 60_000;
    let (registry, account) = mailbox().await;
    let inbox = registry.take_notices().unwrap();
    for _ in 0..ANNOUNCED {
        assert!(registry.tell(&account, Notice::Maintenance { text: "Arrêt dimanche.".into() }).await);
    }
    carry(&config, inbox);
    let sent = async |taken: &mut mpsc::Receiver<String>| body_of(&taken.recv().await.unwrap());
    assert!(sent(&mut taken).await.contains("Arrêt dimanche"), "the announcement is under way");
    for _ in 0..20 {
        assert!(registry.tell(&account, Notice::ClosingAnnounced { on: 1_800_000_000 }).await);
        assert!(registry.tell(&account, Notice::PasswordChanged { by: By::Administrator }).await);
    }
    // How many were sent in all when the last of each sort was.
    let (mut alarms, mut closings) = (Vec::new(), Vec::new());
    for count in 1..2_000 {
        let body = sent(&mut taken).await;
        if body.contains("mot de passe") {
            alarms.push(count);
        } else if body.contains("sera fermée") {
            closings.push(count);
        }
        if alarms.len() + closings.len() == 40 {
            break;
        }
    }
    assert_eq!((alarms.len(), closings.len()), (20, 20));
    let (alarm, closing) = (alarms[19], closings[19]);
    assert!(alarm < closing, "who may open the mailbox goes before what becomes of it: {alarm} {closing}");
    // A moment until they are looked for, at a thousand a second, and then three of four turns are theirs.
    assert!(closing < 1_200, "{closing}");
    assert!(registry.waiting_notices().unwrap().notices > ANNOUNCED - 2_000, "the announcement waits");
}

#[tokio::test]
async fn what_has_waited_too_long_is_tried_once_before_it_is_given_up() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut config = config(nobody, NoticeTls::None);
    // Whatever is written is too old at once.
    config.notices.give_up = Duration::ZERO;
    let (registry, account, metrics) = scene(&config).await;
    let count = |notice, result| metrics.notices.get_or_create(&NoticeLabel { notice, result }).get();
    assert!(registry.tell(&account, Notice::FactorsReset).await);
    while count("factors-reset", "deferred") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(count("factors-reset", "given-up"), 0);
    let (address, mut taken) = relay(vec![]).await;
    config.notices.port = address.port();
    let (registry, account, _) = scene(&config).await;
    assert!(registry.tell(&account, Notice::FactorsReset).await);
    assert!(taken.recv().await.unwrap().contains("Subject:"), "it was sent");
    while registry.waiting_notices().unwrap().notices > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_drips_its_words_holds_a_session_for_five_minutes_and_no_longer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(listener.local_addr().unwrap(), NoticeTls::None);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220-").await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_secs(20)).await;
            if stream.write_all(b"x").await.is_err() {
                break;
            }
        }
    });
    let job = NoticeJob::new(&config, None, Metrics::default()).unwrap().unwrap();
    let begin = tokio::time::Instant::now();
    let to = Address::parse("anne@fai.example").unwrap();
    let error = relay::send(&job.relay, &to, b"Subject: x\r\n\r\n").await.unwrap_err();
    assert!(matches!(error, relay::RelayError::Silent), "{error}");
    assert_eq!(begin.elapsed().as_secs(), 300);
}

/// A relay with TLS from the first byte, or behind STARTTLS; and its certificate, which is its own authority.
async fn tls_relay(behind_starttls: bool) -> (SocketAddr, mpsc::Receiver<String>, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (taken, received) = mpsc::channel(10);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            if behind_starttls {
                let mut line = String::new();
                for answer in ["220 sortie.example\r\n", "250-sortie.example\r\n250 STARTTLS\r\n", "220 allez\r\n"] {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if answer != "220 allez\r\n" {
                        stream.read_line(&mut line).await.unwrap();
                    }
                }
                assert!(line.ends_with("STARTTLS\r\n") && !line.contains("AUTH"), "{line}");
            }
            let Ok(stream) = acceptor.accept(stream.into_inner()).await else { continue };
            // RFC 3207 §4.2: after STARTTLS there is no greeting.
            if let Some(message) = session(BufReader::new(stream), !behind_starttls, None).await {
                taken.send(message).await.unwrap();
            }
        }
    });
    (address, received, cert.pem())
}

#[tokio::test]
async fn over_tls_with_a_login_a_notice_leaves_and_an_unknown_certificate_gets_nothing() {
    let to = Address::parse("anne@fai.example").unwrap();
    for (tls, behind_starttls) in
        [(NoticeTls::Required, true), (NoticeTls::Opportunistic, true), (NoticeTls::Implicit, false)]
    {
        let (address, mut taken, pem) = tls_relay(behind_starttls).await;
        let anchor = std::env::temp_dir().join(format!("caducee-relay-{}-{tls:?}.pem", std::process::id()));
        std::fs::write(&anchor, pem).unwrap();
        let mut config = config(address, tls);
        config.notices.host = "localhost".into();
        config.notices.user = "avis".into();
        config.notices.anchors = vec![anchor.clone()];
        let send = async |config: &Config, password: &str| {
            let job = NoticeJob::new(config, Some(password), Metrics::default()).unwrap().unwrap();
            relay::send(&job.relay, &to, b"Subject: x\r\n\r\ny\r\n").await
        };
        send(&config, "sésame").await.unwrap();
        assert_eq!(taken.recv().await.unwrap(), "Subject: x\r\n\r\ny\r\n", "{tls:?}");
        let refused = send(&config, "autre").await.unwrap_err();
        assert_eq!(refused.to_string(), "the relay answers 535 5.7.8", "{tls:?}");
        assert_eq!(refused.outcome(), None, "the operator's mistake, not the notice's");
        // Whatever the system trusts, it is not this certificate.
        config.notices.anchors.clear();
        let untrusted = send(&config, "sésame").await.unwrap_err();
        assert!(matches!(untrusted, relay::RelayError::Tls(_)), "{tls:?}: {untrusted}");
        assert!(taken.try_recv().is_err());
        std::fs::remove_file(&anchor).unwrap();
    }
}

#[tokio::test]
async fn without_a_relay_nobody_is_told_and_no_code_is_mailed() {
    let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
    let registry = Registry::new(room, AccountOptions::default());
    assert!(NoticeJob::new(&Config::default(), None, Metrics::default()).unwrap().is_none());
    assert!(!registry.carries_notices());
}

#[test]
fn a_code_of_the_relay_is_told_without_its_words() {
    let reply = crate::wire::smtp::reply::Reply::new(550, (5, 1, 1), "<anne@fai.example> inconnue");
    let error = relay::RelayError::of_recipient(&reply);
    assert_eq!(error.to_string(), "the relay refuses the address for good: 550 5.1.1");
    assert_eq!(error.outcome(), Some(Outcome::Bounced("550 5.1.1".into())));
}

#[tokio::test]
async fn a_relay_that_is_away_reaches_nobody_until_it_answers_again_though_no_notice_is_left_to_try() {
    let (registry, _) = mailbox().await;
    let _inbox = registry.take_notices().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let job = |address| NoticeJob::new(&config(address, NoticeTls::None), None, Metrics::default()).unwrap().unwrap();
    let away = job(nobody);
    away.look_after_the_relay(&registry).await;
    assert!(registry.reaches_holders(), "nothing was asked of it yet");
    assert!(matches!(relay::greet(&away.relay).await, Err(RelayError::Connect(_))));
    away.standing.failed();
    away.look_after_the_relay(&registry).await;
    assert!(!registry.reaches_holders() && registry.carries_notices());
    // The same, at an address where somebody answers by now.
    let (address, _taken) = relay(vec![]).await;
    let back = job(address);
    back.standing.failed();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1_200)).await;
    tokio::time::resume();
    back.look_after_the_relay(&registry).await;
    assert!(registry.reaches_holders());
}
