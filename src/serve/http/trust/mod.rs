//! The trust space: how the white list and the CRLs stand, what they say, and why the rules decide as they do.

pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};

use self::types::{
    Answer, CertificateAnswer, CertificateQuestion, CrlInForce, CrlSource, Entries, Entry, EntryQuery, ExchangeAnswer,
    ExchangeQuestion, ListInForce, RefreshOrder, Refreshed, TrustStatus, WhiteListStatus, date,
};
use super::blocking;
use super::errors::{of_account, sentence};
use super::extract::{Json, Query};
use super::problem::{Problem, Rule};
use crate::accounts::Registry;
use crate::jobs::crl::{CrlJob, CrlStatus};
use crate::jobs::trust::TrustJob;
use crate::mail::{MailError, conversation};
use crate::mss::exchange::{Origin, OwnMailbox, Party};
use crate::mss::trust::TrustHandle;
use crate::mss::{Address, Conversation, Domain, TrustSpace, WhiteList, exchange, whitelist};
use crate::serve::Shared;

/// The most entries in one answer.
const MOST_ENTRIES: u64 = 20_000;

/// What these handlers work with.
#[derive(Clone)]
pub struct TrustAdministration {
    /// What is in force.
    pub space: TrustHandle,
    /// The white list's job.
    pub trust: Arc<TrustJob>,
    /// The job of the CRLs of the operators' authorities.
    pub operator_crls: Arc<CrlJob>,
    /// The job of the CRLs of the mailbox doors' authorities.
    pub mailbox_crls: Arc<CrlJob>,
    /// Who is here.
    pub registry: Registry,
}

/// The endpoints under `/v1/trust`.
pub fn router(administration: TrustAdministration) -> Router {
    Router::new()
        .route("/v1/trust", get(status))
        .route("/v1/trust/refresh", post(refresh))
        .route("/v1/trust/entries", get(entries))
        .route("/v1/trust/explain/certificate", post(explain_certificate))
        .route("/v1/trust/explain/exchange", post(explain_exchange))
        .with_state(administration)
}

/// `GET /v1/trust`.
async fn status(State(trust): State<TrustAdministration>) -> axum::Json<TrustStatus> {
    axum::Json(trust.status())
}

/// `POST /v1/trust/refresh`.
async fn refresh(
    State(trust): State<TrustAdministration>,
    Json(order): Json<Option<RefreshOrder>>,
) -> Result<axum::Json<Refreshed>, Problem> {
    let order = order.unwrap_or_default();
    if order.accept_shrink {
        tracing::warn!(event = "trust.accept-shrink", "the operator accepts a white list that lost many entries");
    }
    // The CRLs first: the white list's signer may be revoked.
    let (operators, mailboxes) = tokio::join!(trust.operator_crls.refresh(), trust.mailbox_crls.refresh());
    let result = trust.trust.refresh(order.accept_shrink).await;
    let refreshed = result.map_err(|error| {
        let detail = format!("{}; what was in force stays. ({})", sentence(&error).trim_end_matches('.'), error.name());
        Problem::new(Rule::TrustRefused, detail)
    })?;
    Ok(axum::Json(Refreshed {
        white_list: refreshed.name().to_owned(),
        failed_crl_sources: (operators + mailboxes) as u64,
        status: trust.status(),
    }))
}

/// `GET /v1/trust/entries`.
async fn entries(
    State(trust): State<TrustAdministration>,
    Query(query): Query<EntryQuery>,
) -> Result<axum::Json<Entries>, Problem> {
    let list = trust.list()?;
    let domain = query.domain.as_deref().map(|text| parse_domain(text, "?domain")).transpose()?;
    blocking(move || Ok(axum::Json(select(&list, domain.as_ref(), &query)))).await
}

fn select(list: &WhiteList, domain: Option<&Domain>, query: &EntryQuery) -> Entries {
    let search = query.search.as_deref().unwrap_or_default().to_lowercase();
    let fits = |entry: &&whitelist::Entry| {
        domain.is_none_or(|domain| entry.domain == *domain)
            && (search.is_empty()
                || entry.domain.as_str().contains(&search)
                || entry.dn.to_string().to_lowercase().contains(&search)
                || entry.description.to_lowercase().contains(&search))
    };
    let fitting: Vec<_> = list.entries().iter().filter(fits).collect();
    let skip = usize::try_from(query.offset.unwrap_or(0)).unwrap_or(usize::MAX);
    let take = query.limit.unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES) as usize;
    Entries {
        generated_at: date(list.generated_at()),
        total: fitting.len() as u64,
        entries: fitting.into_iter().skip(skip).take(take).map(Entry::from).collect(),
    }
}

/// `POST /v1/trust/explain/certificate`.
async fn explain_certificate(
    State(trust): State<TrustAdministration>,
    Json(question): Json<CertificateQuestion>,
) -> Result<axum::Json<CertificateAnswer>, Problem> {
    let domain = parse_domain(&question.domain, "domain")?;
    let now = jiff::Timestamp::now().as_second();
    CertificateAnswer::new(&trust.space.load(), &question.certificate, &domain, now)
        .map(axum::Json)
        .map_err(|problem| Problem::new(Rule::BadCertificate, sentence(&problem)).at("certificate"))
}

/// `POST /v1/trust/explain/exchange`.
async fn explain_exchange(
    State(trust): State<TrustAdministration>,
    Json(question): Json<ExchangeQuestion>,
) -> Result<axum::Json<ExchangeAnswer>, Problem> {
    blocking(move || {
        let to = trust.party(&question.to, "to")?;
        let from = match trust.party(&question.from, "from")? {
            // A report to a mailbox of ours comes from outside, one to another operator from here.
            Party::Null(_) if matches!(to, Party::Other { .. }) => Party::Null(Origin::Own),
            from => from,
        };
        let space = trust.space.load();
        let conversation = trust.conversation(&space, &from, &to)?;
        let decision = exchange::decide_in(&space, &from, &to, conversation.unwrap_or_default());
        Ok(axum::Json(ExchangeAnswer {
            from: from.to_string(),
            to: to.to_string(),
            conversation: conversation.map(|conversation| conversation.name().to_owned()),
            answer: Answer::from(&decision),
        }))
    })
    .await
}

impl TrustAdministration {
    /// That of the running server.
    pub fn of(shared: &Shared) -> Self {
        Self {
            space: Arc::clone(&shared.trust),
            trust: Arc::clone(&shared.jobs.trust),
            operator_crls: Arc::clone(&shared.jobs.operator_crls),
            mailbox_crls: Arc::clone(&shared.jobs.mailbox_crls),
            registry: shared.registry.clone(),
        }
    }

    fn list(&self) -> Result<Arc<WhiteList>, Problem> {
        let none = || Problem::new(Rule::Unavailable, "No white list is loaded.");
        self.space.load().list.clone().ok_or_else(none)
    }

    /// What an address is taken for: a mailbox of ours, another operator's, nobody. Blocks.
    fn party(&self, text: &str, field: &str) -> Result<Party, Problem> {
        if matches!(text, "" | "<>") {
            return Ok(Party::Null(Origin::Other));
        }
        let address = Address::parse(text).map_err(|problem| Problem::field(field, sentence(&problem)))?;
        if !self.registry.is_own(address.domain()).map_err(of_account)? {
            return Ok(Party::Other { address });
        }
        let Some(account) = self.registry.by_address(&address).map_err(of_account)? else {
            return Ok(Party::Unknown { address });
        };
        Ok(Party::Own(OwnMailbox {
            address,
            kind: account.kind,
            test: account.data.test,
            restricted: account.data.restricted,
            state: account.state,
        }))
    }

    /// How a mailbox of ours and a citizen stand, whichever of them writes. Blocks.
    fn conversation(&self, space: &TrustSpace, from: &Party, to: &Party) -> Result<Option<Conversation>, Problem> {
        let (own, address) = match (from, to) {
            (Party::Own(own), Party::Other { address }) | (Party::Other { address }, Party::Own(own))
                if space.citizens.is_citizen(address) =>
            {
                (own, address)
            }
            _ => return Ok(None),
        };
        let Some(account) = self.registry.by_address(&own.address).map_err(of_account)? else { return Ok(None) };
        match conversation::state(self.registry.room(), account.id, address) {
            Ok(state) => Ok(Some(state)),
            // With its key the mailbox has lost whom it wrote to.
            Err(MailError::Closed) => Ok(None),
            Err(error) => Err(of_account(error.into())),
        }
    }

    /// How everything stands.
    fn status(&self) -> TrustStatus {
        let white_list = white_list(self.trust.status());
        let mut crls: Vec<CrlSource> =
            self.operator_crls.status().into_iter().map(|status| crl_source("operators", status)).collect();
        // The same sources twice, where the mailbox doors have none of their own, say nothing new.
        let others = self.mailbox_crls.status().into_iter().map(|status| crl_source("mailboxes", status));
        let new: Vec<_> = others.filter(|other| !crls.iter().any(|known| known.source == other.source)).collect();
        crls.extend(new);
        let alarms = alarms(&white_list, &crls);
        TrustStatus { white_list, crls, alarms }
    }
}

fn white_list(status: crate::jobs::trust::TrustStatus) -> WhiteListStatus {
    WhiteListStatus {
        source: status.source,
        in_force: status.list.map(|list| ListInForce {
            generated_at: date(list.generated_at),
            entries: list.entries as u64,
            domains: list.domains as u64,
            peers: list.peers as u64,
            unreadable: list.unreadable as u64,
            from_cache: list.from_cache,
            stale: list.stale,
        }),
        last_attempt_at: status.last_attempt_at.map(date),
        last_success_at: status.last_success_at.map(date),
        last_result: status.last_result.map(str::to_owned),
        problem: status.problem,
        next_attempt_at: status.next_attempt_at.map(date),
    }
}

fn crl_source(side: &str, status: CrlStatus) -> CrlSource {
    let lists = status.lists.into_iter().map(|list| CrlInForce {
        issuer: list.issuer,
        this_update: date(list.this_update),
        next_update: date(list.next_update),
        revoked: list.revoked as u64,
        stale: list.stale,
    });
    CrlSource {
        side: side.to_owned(),
        source: status.source,
        lists: lists.collect(),
        last_success_at: status.last_success_at.map(date),
        last_result: status.last_result.map(str::to_owned),
        problem: status.problem,
    }
}

/// What an operator should look at.
fn alarms(white_list: &WhiteListStatus, crls: &[CrlSource]) -> Vec<String> {
    let mut alarms = Vec::new();
    match &white_list.in_force {
        None => alarms.push("There is no white list: other operators are refused for now.".to_owned()),
        Some(list) if list.stale => {
            alarms
                .push(format!("The white list of {} is older than trust.max_age; it still serves.", list.generated_at));
        }
        Some(_) => {}
    }
    alarms.extend(white_list.problem.as_ref().map(|problem| format!("White list not refreshed: {problem}.")));
    for source in crls {
        if source.lists.is_empty() {
            alarms.push(format!("No CRL from {} is loaded.", source.source));
        }
        alarms
            .extend(source.problem.as_ref().map(|problem| format!("CRL {} not refreshed: {problem}.", source.source)));
        let stale = source.lists.iter().filter(|list| list.stale);
        alarms.extend(
            stale.map(|list| format!("The CRL of {} is past its nextUpdate, {}.", list.issuer, list.next_update)),
        );
    }
    alarms
}

impl From<&whitelist::Entry> for Entry {
    fn from(entry: &whitelist::Entry) -> Self {
        Self {
            domain: entry.domain.to_string(),
            dn: entry.dn.to_string(),
            description: entry.description.clone(),
            responsible: entry.responsible.clone(),
            support: entry.support.clone(),
            updated_at: entry.updated_at.map(date),
        }
    }
}

fn parse_domain(text: &str, field: &str) -> Result<Domain, Problem> {
    Domain::parse(text).map_err(|problem| Problem::field(field, sentence(&problem)))
}
