//! The sandbox's Pro Santé Connect as a program sees it: curl asks, JSON comes back.

use crate::support::{Ran, Sandbox, Tool};
use serde_json::Value;
use std::path::PathBuf;

/// The look-alike of one sandbox.
pub struct Psc {
    pub issuer: String,
    /// `https://localhost:PORT`
    pub host: String,
    ca: PathBuf,
    pub dir: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned()
    }

    /// Where a redirection leads.
    pub fn location(&self) -> String {
        let line = self.headers.lines().find_map(|line| line.strip_prefix("location: "));
        line.unwrap_or_else(|| panic!("no redirection: {self:?}")).trim().to_owned()
    }
}

impl Psc {
    pub fn of(sandbox: &Sandbox) -> Self {
        let text = std::fs::read(sandbox.dir.join("sandbox.json")).unwrap();
        let all: Value = serde_json::from_slice(&text).unwrap();
        let issuer = all["psc"]["issuer"].as_str().unwrap().to_owned();
        let host = issuer.split("/auth/").next().unwrap().to_owned();
        Self { issuer, host, ca: sandbox.description.ca.clone(), dir: sandbox.dir.clone() }
    }

    /// curl with what every question needs; add what this one is about.
    pub fn curl(&self) -> Tool {
        Tool::new("curl").args(["--silent", "--show-error", "--include", "--cacert"]).arg(&self.ca)
    }

    /// A request of curl's, answered.
    pub fn ask(&self, curl: Tool) -> Answer {
        let ran = self.try_ask(curl);
        let whole = ran.expect_ok("asking the look-alike").stdout;
        let (head, body) = whole.split_once("\r\n\r\n").unwrap_or((&whole, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, headers: head.to_owned(), body: body.to_owned() }
    }

    pub fn try_ask(&self, curl: Tool) -> Ran {
        curl.run()
    }

    pub fn get(&self, url: &str) -> Answer {
        self.ask(self.curl().arg(url))
    }

    /// A form to an endpoint below `protocol/openid-connect`, from a client with the sandbox's secret.
    pub fn post(&self, endpoint: &str, client: &str, form: &[(&str, &str)]) -> Answer {
        let curl = self.curl().args(["--user", &format!("{client}:secret-du-bac-a-sable")]);
        self.ask(with_form(curl, form).arg(format!("{}/protocol/openid-connect/{endpoint}", self.issuer)))
    }

    /// Turns the knobs; `{}` puts all of them back.
    pub fn knobs(&self, json: &str) {
        let answer = self.ask(self.curl().args(["--data", json]).arg(format!("{}/_sandbox/knobs", self.host)));
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// Tokens of a person, without a login.
    pub fn tokens(&self, person: &str) -> Value {
        let curl = with_form(self.curl(), &[("person", person)]);
        self.ask(curl.arg(format!("{}/_sandbox/token", self.host))).json()
    }

    /// An access token of a person, without a login.
    pub fn token(&self, person: &str) -> String {
        self.tokens(person)["access_token"].as_str().unwrap().to_owned()
    }

    pub fn userinfo(&self, token: &str) -> Answer {
        let curl = self.curl().args(["--header", &format!("Authorization: Bearer {token}")]);
        self.ask(curl.arg(format!("{}/protocol/openid-connect/userinfo", self.issuer)))
    }

    pub fn introspect(&self, token: &str) -> Value {
        self.post("token/introspect", "caducee-a", &[("token", token)]).json()
    }
}

pub fn with_form(curl: Tool, form: &[(&str, &str)]) -> Tool {
    form.iter().fold(curl, |curl, (name, value)| curl.args(["--data-urlencode", &format!("{name}={value}")]))
}
