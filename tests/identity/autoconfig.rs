//! Autoconfiguration, asked for as Thunderbird and Outlook do; Python reads the XML.

use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::{Description, Operator, Ran, Sandbox, Tool, have};

fn curl(known: &Description) -> Tool {
    Tool::new("curl").args(["--silent", "--show-error", "--include", "--cacert"]).arg(&known.ca)
}

/// The servers that an answer names, as `kind host port socket`, by a reader of XML that is not ours.
fn servers(answer: &Ran, outlook: bool) -> Vec<String> {
    let script = r#"
import sys, xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.read().split("\r\n\r\n", 1)[1])
for e in root.iter():
    e.tag = e.tag.rsplit("}", 1)[-1]
if sys.argv[1] == "outlook":
    for p in root.iter("Protocol"):
        print(p.findtext("Type").lower(), p.findtext("Server"), p.findtext("Port"), p.findtext("Encryption"))
else:
    assert root.tag == "clientConfig" and root.get("version") == "1.1"
    for s in list(root.iter("incomingServer")) + list(root.iter("outgoingServer")):
        print(s.get("type"), s.findtext("hostname"), s.findtext("port"), s.findtext("socketType"))
"#;
    let program = if outlook { "outlook" } else { "thunderbird" };
    let read = Tool::new("python3").args(["-c", script, program]).input(answer.stdout.clone()).run();
    read.expect_ok(&answer.stdout).stdout.lines().map(str::to_owned).collect()
}

fn expected(operator: &Operator, tls: &str, starttls: &str) -> Vec<String> {
    let (host, ports) = ("smtp.aura.mssante.example", operator.ports);
    [
        ("imap", ports.imaps, tls),
        ("imap", ports.imap, starttls),
        ("smtp", ports.submissions, tls),
        ("smtp", ports.submission, starttls),
    ]
    .map(|(kind, port, socket)| format!("{kind} {host} {port} {socket}"))
    .to_vec()
}

/// A connection to loopback from another of its addresses.
fn from(source: [u8; 4], port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    socket.into()
}

#[test]
fn idle_sockets_of_one_stranger_leave_plain_http_to_others() {
    if !have("curl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let port = known.aura().ports.http;
    let mut idle: Vec<TcpStream> = (0..80).map(|_| from([127, 8, 0, 1], port)).collect();
    let last = idle.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The end, or a reset: not the ten seconds of those that are served.
    assert!(matches!(last.read(&mut [0]).map_err(|error| error.kind()), Ok(0) | Err(ErrorKind::ConnectionReset)));
    let asked = format!("http://localhost:{port}/mail/config-v1.1.xml?emailaddress=a%40aura.mssante.example");
    let answer = curl(known).arg("--ipv4").arg(asked).run().expect_ok("asking beside them");
    assert!(answer.stdout.starts_with("HTTP/1.1 200"), "{answer:?}");
    drop(idle);
}

#[test]
fn thunderbird_is_told_the_servers_over_https_and_over_plain_http() {
    if !have("curl") || !have("python3") {
        return;
    }
    let known = &Sandbox::shared().description;
    let operator = known.aura();
    let (https, http) = (operator.ports.https, operator.ports.http);
    let asked = [
        curl(known).arg(format!(
            "https://localhost:{https}/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=a@aura.mssante.example"
        )),
        curl(known).arg(format!("http://localhost:{http}/mail/config-v1.1.xml?emailaddress=a%40aura.mssante.example")),
        curl(known)
            .args(["--header", "Host: autoconfig.aura.mssante.example"])
            .arg(format!("http://localhost:{http}/mail/config-v1.1.xml")),
    ];
    for curl in asked {
        let answer = curl.run().expect_ok("asking for the configuration");
        assert!(answer.stdout.starts_with("HTTP/1.1 200"), "{answer:?}");
        assert_eq!(servers(&answer, false), expected(operator, "SSL", "STARTTLS"));
        assert!(answer.stdout.contains("<authentication>password-cleartext</authentication>"));
    }
}

#[test]
fn outlook_is_told_the_same() {
    if !have("curl") || !have("python3") {
        return;
    }
    let known = &Sandbox::shared().description;
    let operator = known.aura();
    let request = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
        <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\"><Request>\
        <EMailAddress>camille.fontanel@aura.mssante.example</EMailAddress><AcceptableResponseSchema>\
        http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>";
    let posted = curl(known).args(["--header", "Content-Type: text/xml", "--data", request]);
    let answer = posted.arg(format!("https://localhost:{}/autodiscover/autodiscover.xml", operator.ports.https)).run();
    assert_eq!(servers(&answer.expect_ok("asking as Outlook does"), true), expected(operator, "SSL", "TLS"));
}

#[test]
fn other_domains_are_not_told_of_and_people_are_led_to_the_portal() {
    if !have("curl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let ports = known.aura().ports;
    let status = |path: &str| {
        let ran = curl(known).arg(format!("http://localhost:{}{path}", ports.http)).run().expect_ok(path);
        ran.stdout.lines().next().unwrap_or_default().to_owned()
    };
    assert!(status("/mail/config-v1.1.xml?emailaddress=a@ailleurs.example").contains(" 404 "));
    assert!(status("/mail/config-v1.1.xml?emailaddress=personne").contains(" 400 "));
    let led = curl(known).arg(format!("http://localhost:{}/quelque/part?x=y", ports.http)).run().expect_ok("/");
    assert!(led.stdout.contains(&format!("location: https://localhost:{}/\r\n", ports.https)), "{led:?}");
}
