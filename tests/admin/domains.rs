//! The operator's own domains.

use std::sync::Arc;

use caducee::mss::Domain;
use caducee::mss::dn::DistinguishedName;
use caducee::mss::whitelist::{Entry, WhiteList};
use hyper::Method;
use serde_json::json;

use crate::harness::{Server, per};

#[tokio::test]
async fn a_domain_is_added_shown_listed_and_removed() {
    let server = Server::start().await;
    let added =
        server.post("/v1/domains", json!({ "name": "Nord.MSSante.example", "description": "Le Nord" })).await.unwrap();
    assert_eq!(added["name"], "nord.mssante.example", "names are kept in lower case");
    assert_eq!(added["description"], "Le Nord");
    assert_eq!(server.get("/v1/domains/NORD.mssante.example").await.unwrap(), added);
    let names = server.get("/v1/domains").await.unwrap();
    let names: Vec<_> = names["domains"].as_array().unwrap().iter().map(|domain| domain["name"].clone()).collect();
    assert_eq!(names, ["aura.mssante.example", "nord.mssante.example"]);
    server.raw(Method::DELETE, "/v1/domains/nord.mssante.example", None, "").await.unwrap();
    assert_eq!(server.get("/v1/domains/nord.mssante.example").await.unwrap_err().rule, "no-such-domain");
}

#[tokio::test]
async fn what_cannot_be_a_domain_is_refused_with_its_field() {
    let server = Server::start().await;
    for (body, status, rule, field) in [
        (json!({ "name": "aura.mssante.example" }), 409, "domain-exists", Some("name")),
        (json!({ "name": "été.example" }), 422, "bad-field", Some("name")),
        (json!({ "name": "" }), 422, "bad-field", Some("name")),
        (json!({ "name": "Patient.MSSante.fr" }), 422, "bad-field", Some("name")),
        (json!({ "name": 5 }), 422, "bad-field", Some("name")),
        (json!({}), 422, "bad-field", None),
        (json!({ "name": "a.example", "nam": 1 }), 422, "bad-field", Some("nam")),
        (json!({ "name": "a.example", "description": "x\ny" }), 422, "bad-field", Some("description")),
        (json!([]), 422, "bad-field", None),
    ] {
        let problem = server.post("/v1/domains", body.clone()).await.unwrap_err();
        assert_eq!((problem.status, problem.rule.as_str(), problem.field.as_deref()), (status, rule, field), "{body}");
        assert!(!problem.detail.is_empty() && !problem.reference.is_empty());
        assert_eq!(problem.kind, format!("/problems/{rule}"));
    }
}

#[tokio::test]
async fn a_domain_with_mailboxes_stays() {
    let server = Server::start().await;
    server.post("/v1/mailboxes", per("camille.fontanel")).await.unwrap();
    let problem = server.raw(Method::DELETE, "/v1/domains/aura.mssante.example", None, "").await.unwrap_err();
    assert_eq!((problem.status, problem.rule.as_str()), (409, "domain-in-use"));
    assert_eq!(server.get("/v1/domains/aura.mssante.example").await.unwrap()["mailboxes"], 1);
    let unknown = server.raw(Method::DELETE, "/v1/domains/other.example", None, "").await.unwrap_err();
    assert_eq!(unknown.rule, "no-such-domain");
}

#[tokio::test]
async fn whether_the_white_list_knows_a_domain_is_told() {
    let server = Server::start().await;
    let listed = async || server.get("/v1/domains/aura.mssante.example").await.unwrap()["listed"].clone();
    assert_eq!(listed().await, json!(null), "unknown while there is no list");
    server.install_list(WhiteList::from_entries(1_700_000_000, Vec::new()));
    assert_eq!(listed().await, json!(false));
    let entry = Entry {
        domain: Domain::parse("aura.mssante.example").unwrap(),
        description: String::new(),
        dn: Arc::new(DistinguishedName::parse_text("CN=smtp,O=Aura,C=FR").unwrap()),
        responsible: String::new(),
        support: String::new(),
        updated_at: None,
    };
    server.install_list(WhiteList::from_entries(1_700_000_000, vec![entry]));
    assert_eq!(listed().await, json!(true));
}
