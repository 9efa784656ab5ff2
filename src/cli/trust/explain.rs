//! `caducee trust explain`: why a certificate may or may not speak for a domain, and why A may or may not write to B.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use hyper::Method;

use super::super::client::{Client, ClientError, ServerArguments, path};
use super::super::output::{Exit, Output, pairs, table};
use super::offline::{self, Offline};
use crate::serve::http::trust::types::{
    Answer, CertificateAnswer, CertificateQuestion, ExchangeAnswer, ExchangeQuestion, ListedName,
};

/// Explains a decision: exit code 0 if it is yes, 1 if it is no
///
/// With --domain and --cert: may the holder of this certificate speak for this domain, and if not, in which attributes
/// does its subject differ from the white list's? With FROM and TO: may this address write to that one?
///
/// The running server is asked, or, with --list or --offline, a list on this machine, whose signature must hold.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("question").required(true).args(["domain", "from"])))]
pub(super) struct Explain {
    /// The domain that is spoken for
    #[arg(long, value_name = "DOMAIN", requires = "cert")]
    domain: Option<String>,
    /// The certificate, in PEM or DER
    #[arg(long, value_name = "FILE", requires = "domain")]
    cert: Option<PathBuf>,
    /// The sender's address; `<>` for a null sender
    #[arg(value_name = "FROM", requires = "to", conflicts_with = "cert")]
    from: Option<String>,
    /// The recipient's address
    #[arg(value_name = "TO")]
    to: Option<String>,
    #[command(flatten)]
    offline: Offline,
}

/// The question, read from the arguments.
pub(super) enum Question {
    /// May this certificate speak for this domain?
    Certificate(CertificateQuestion),
    /// May A write to B?
    Exchange(ExchangeQuestion),
}

impl Explain {
    /// Whether a list on this machine is asked rather than the running server.
    pub(super) fn is_offline(&self) -> bool {
        self.offline.is_wanted()
    }

    pub(super) async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self.question()? {
            Question::Certificate(question) => {
                let path = path(&["trust", "explain", "certificate"]);
                let answer: CertificateAnswer = client.send(Method::POST, &path, &question).await?;
                Ok(show_certificate(&answer, output))
            }
            Question::Exchange(question) => {
                let path = path(&["trust", "explain", "exchange"]);
                let answer: ExchangeAnswer = client.send(Method::POST, &path, &question).await?;
                Ok(show_exchange(&answer, output))
            }
        }
    }

    pub(super) fn run_offline(self, server: &ServerArguments) -> ExitCode {
        let output = Output::new(server.json);
        let answered = self.question().and_then(|question| match question {
            Question::Certificate(question) => {
                offline::certificate(&self.offline, server, &question).map(|answer| show_certificate(&answer, &output))
            }
            Question::Exchange(question) => {
                offline::exchange(&self.offline, server, &question).map(|answer| show_exchange(&answer, &output))
            }
        });
        match answered {
            Ok(exit) => exit.into(),
            Err(problem) => output.failure(&problem),
        }
    }

    fn question(&self) -> Result<Question, ClientError> {
        match (&self.domain, &self.cert, &self.from, &self.to) {
            (Some(domain), Some(file), ..) => {
                Ok(Question::Certificate(CertificateQuestion { domain: domain.clone(), certificate: read_pem(file)? }))
            }
            (.., Some(from), Some(to)) => {
                Ok(Question::Exchange(ExchangeQuestion { from: from.clone(), to: to.clone() }))
            }
            _ => Err(ClientError::Local("say --domain and --cert, or FROM and TO".into())),
        }
    }
}

/// A certificate file as PEM, whichever of the two forms it has.
fn read_pem(file: &PathBuf) -> Result<String, ClientError> {
    use base64::Engine;
    let content =
        std::fs::read(file).map_err(|problem| ClientError::Local(format!("{}: {problem}", file.display())))?;
    match String::from_utf8(content) {
        Ok(text) => Ok(text),
        Err(der) => {
            let base64 = base64::engine::general_purpose::STANDARD.encode(der.into_bytes());
            Ok(format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n"))
        }
    }
}

fn show_certificate(answer: &CertificateAnswer, output: &Output) -> Exit {
    output.result(answer, |answer| {
        let mut text = pairs([
            ("domain", answer.domain.clone()),
            ("certificate", answer.subject.clone()),
            ("issued by", answer.issuer.clone()),
            ("valid", format!("{} to {}", answer.valid_from, answer.valid_until)),
            ("answer", in_words(&answer.answer)),
        ]);
        answer.cautions.iter().for_each(|caution| text.push_str(&format!("\n! {caution}")));
        if answer.answer.accepted {
            return text;
        }
        match answer.listed.as_slice() {
            [] => text.push_str("\n\nNothing like this certificate is listed."),
            listed => listed.iter().for_each(|name| text.push_str(&format!("\n\n{}", differences(name)))),
        }
        text
    });
    exit(&answer.answer)
}

fn differences(listed: &ListedName) -> String {
    if listed.differences.is_empty() {
        return format!("Listed: {}\n(the same name)", listed.dn);
    }
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".into());
    let rows = listed.differences.iter().map(|difference| {
        [difference.attribute.clone(), shown(&difference.certificate), shown(&difference.white_list)]
    });
    format!("Listed: {}\n{}", listed.dn, table(["differs in", "certificate", "white list"], rows))
}

fn show_exchange(answer: &ExchangeAnswer, output: &Output) -> Exit {
    output.result(answer, |answer| {
        let conversation = answer.conversation.clone().unwrap_or_default();
        pairs([
            ("from", answer.from.clone()),
            ("to", answer.to.clone()),
            ("conversation", conversation),
            ("answer", in_words(&answer.answer)),
        ])
    });
    exit(&answer.answer)
}

fn in_words(answer: &Answer) -> String {
    if answer.accepted {
        return format!("yes [rule {}]", answer.rule);
    }
    let code = answer.smtp.map(|code| code.to_string()).unwrap_or_default();
    let enhanced = answer.enhanced.as_deref().unwrap_or_default();
    let reason = answer.reason.as_deref().unwrap_or_default();
    format!("no: {code} {enhanced} {reason} [rule {}]", answer.rule)
}

fn exit(answer: &Answer) -> Exit {
    if answer.accepted { Exit::Done } else { Exit::Failed }
}
