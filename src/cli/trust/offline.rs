//! Explaining without a running server, from a list on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::super::client::{ClientError, ServerArguments};
use crate::config::Config;
use crate::jobs::fetch::Source;
use crate::jobs::trust::{TrustSettings, WHITE_LIST_COPY};
use crate::mss::exchange::{Origin, OwnMailbox, Party};
use crate::mss::whitelist::{SignerPolicy, verify_and_parse};
use crate::mss::{Address, Domain, Kind, MailboxState, TrustSpace, exchange};
use crate::serve::http::trust::types::{
    Answer, CertificateAnswer, CertificateQuestion, ExchangeAnswer, ExchangeQuestion,
};
use crate::serve::tls::read_certificates;

/// Where the list and its pinned signer come from.
#[derive(Args, Debug)]
pub(super) struct Offline {
    /// Ask this white list in place of the running server; its signer is the one that --config or --anchor pins
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Ask the last good copy (or the file) of the white list that --config names, in place of the running server
    #[arg(long, requires = "config")]
    offline: bool,
    /// With --list, a certificate that the list's signer must chain to, in PEM; may be said again
    #[arg(long = "anchor", value_name = "FILE", requires = "list", requires = "signer_cn")]
    anchors: Vec<PathBuf>,
    /// With --anchor, the common name of the list's signer
    #[arg(long, value_name = "NAME", requires = "anchors")]
    signer_cn: Option<String>,
    /// With FROM and TO, a domain of one's own; its mailboxes are taken to be open and unrestricted
    #[arg(long = "own", value_name = "DOMAIN")]
    own: Vec<String>,
}

impl Offline {
    pub(super) fn is_wanted(&self) -> bool {
        self.list.is_some() || self.offline
    }

    /// The trust space that the arguments name.
    fn space(&self, server: &ServerArguments) -> Result<TrustSpace, ClientError> {
        let (signer, rules, known_list) = match (&self.signer_cn, &server.config) {
            (Some(signer_cn), _) => (self.pinned(signer_cn)?, TrustSpace::default(), None),
            (None, Some(config)) => configured(config)?,
            (None, None) => {
                let problem =
                    "whose signature is to be believed? Say --config FILE, or --anchor FILE and --signer-cn NAME";
                return Err(ClientError::Local(problem.into()));
            }
        };
        let file = match (&self.list, known_list) {
            (Some(file), _) => file.clone(),
            (None, Some(file)) => file,
            (None, None) => {
                return Err(ClientError::Local("there is no copy of the white list on this machine".into()));
            }
        };
        let content = read(&file)?;
        let now = jiff::Timestamp::now().as_second();
        let list = verify_and_parse(&content, &signer, now).map_err(|problem| local(&file, problem))?;
        Ok(TrustSpace { list: Some(Arc::new(list)), ..rules })
    }

    fn pinned(&self, signer_cn: &str) -> Result<SignerPolicy, ClientError> {
        let mut anchors = Vec::new();
        for file in &self.anchors {
            let read = read_certificates(file).map_err(|problem| ClientError::Local(problem.to_string()))?;
            anchors.extend(read.into_iter().map(|der| der.to_vec()));
        }
        Ok(SignerPolicy { anchors, signer_cn: signer_cn.to_owned(), crls: Vec::new() })
    }

    fn party(&self, text: &str, space: &TrustSpace) -> Result<Party, ClientError> {
        if matches!(text, "" | "<>") {
            return Ok(Party::Null(Origin::Other));
        }
        let address = Address::parse(text).map_err(|problem| ClientError::Local(format!("{text}: {problem}")))?;
        for own in &self.own {
            if *address.domain() == domain(own)? {
                let test = space.test_rules.is_test(&address);
                let (kind, state) = (Kind::Per, MailboxState::Open);
                return Ok(Party::Own(OwnMailbox { address, kind, test, restricted: false, state }));
            }
        }
        Ok(Party::Other { address })
    }
}

/// What a configuration pins, the rules that it sets (no list yet), and where it keeps its list.
fn configured(config: &Path) -> Result<(SignerPolicy, TrustSpace, Option<PathBuf>), ClientError> {
    let config = Config::load(config).map_err(|problem| ClientError::Local(problem.to_string()))?;
    let settings = TrustSettings::from_config(&config).map_err(|problem| ClientError::Local(problem.to_string()))?;
    let copy = settings.cache.join(WHITE_LIST_COPY);
    let known_list = match settings.source {
        _ if copy.exists() => Some(copy),
        Source::File(file) => Some(file),
        Source::Web(_) => None,
    };
    let rules = TrustSpace {
        test_rules: Arc::new(settings.test_rules),
        citizens: Arc::new(settings.citizens),
        ..TrustSpace::default()
    };
    Ok((settings.signer, rules, known_list))
}

/// May this certificate speak for this domain?
pub(super) fn certificate(
    offline: &Offline,
    server: &ServerArguments,
    question: &CertificateQuestion,
) -> Result<CertificateAnswer, ClientError> {
    let domain = domain(&question.domain)?;
    let now = jiff::Timestamp::now().as_second();
    CertificateAnswer::new(&offline.space(server)?, &question.certificate, &domain, now)
        .map_err(|problem| ClientError::Local(problem.to_string()))
}

/// May A write to B?
pub(super) fn exchange(
    offline: &Offline,
    server: &ServerArguments,
    question: &ExchangeQuestion,
) -> Result<ExchangeAnswer, ClientError> {
    let space = offline.space(server)?;
    let to = offline.party(&question.to, &space)?;
    let from = match offline.party(&question.from, &space)? {
        // A report to a mailbox of ours comes from outside, one to another operator from here.
        Party::Null(_) if matches!(to, Party::Other { .. }) => Party::Null(Origin::Own),
        from => from,
    };
    let decision = exchange::decide(&space, &from, &to);
    // What a mailbox has said to a citizen is known to the running server only: here nothing has been said.
    Ok(ExchangeAnswer {
        from: from.to_string(),
        to: to.to_string(),
        conversation: None,
        answer: Answer::from(&decision),
    })
}

fn domain(text: &str) -> Result<Domain, ClientError> {
    Domain::parse(text).map_err(|problem| ClientError::Local(format!("{text}: {problem}")))
}

fn read(file: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(file).map_err(|problem| local(file, problem))
}

fn local(file: &Path, problem: impl std::fmt::Display) -> ClientError {
    ClientError::Local(format!("{}: {problem}", file.display()))
}
