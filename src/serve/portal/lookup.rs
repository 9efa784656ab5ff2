//! Looking somebody up in the national directory (MSSanté §9).
//!
//! A search is a form that is sent, never a link: its words stand in no address, so in no history; no other site has one made in
//! a holder's name; and none is made while it could not be traced (MSSanté §11). The trace says who looked, not for whom.
//! Nobody turns more pages than [`MOST_PAGES`] or searches oftener than `portal.searches`: the directory is not to be taken away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::form::Form;
use super::pages::lookup as page;
use super::refusal::Refusal;
use super::searches::Searcher;
use super::visit::Holder;
use super::{Desk, texts};
use crate::jobs::directory::copy::{Entry, Field, Query};
use crate::jobs::directory::search::{Hits, LookupError};
use crate::mss::{Address, MailboxState};

type Answer = Result<Response, Refusal>;

/// Mailboxes on a page.
const PAGE: usize = 20;

/// Pages that can be turned: who finds more has to say more.
const MOST_PAGES: usize = 10;

/// Characters of a field that are looked at.
const LONGEST: usize = 100;

/// Searches of all holders at once: the directory itself is asked at a pace that publication needs, too.
pub(super) const AT_ONCE: usize = 8;

/// What a search asks for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Search {
    pub(super) nom: String,
    pub(super) profession: String,
    pub(super) structure: String,
    pub(super) ville: String,
    pub(super) page: String,
}

impl Search {
    /// As much of it as is looked at, and shown again.
    fn cut(self) -> Self {
        let cut = |text: String| text.trim().chars().take(LONGEST).collect();
        let Self { nom, profession, structure, ville, page } = self;
        Self { nom: cut(nom), profession: cut(profession), structure: cut(structure), ville: cut(ville), page }
    }

    fn query(&self) -> Query {
        let fields = [
            (Field::Name, &self.nom),
            (Field::Profession, &self.profession),
            (Field::Structure, &self.structure),
            (Field::Town, &self.ville),
        ];
        fields.into_iter().fold(Query::default(), |query, (field, text)| query.with(Some(field), text))
    }

    /// Which page, from 1 on.
    fn page(&self) -> usize {
        self.page.parse().unwrap_or(1).clamp(1, MOST_PAGES)
    }
}

/// One page of what was found.
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    /// How many mailboxes there are.
    pub(super) total: usize,
    /// There are more than that.
    pub(super) is_cut: bool,
    /// When the copy was taken, Unix seconds; none: the directory itself was asked.
    pub(super) taken_at: Option<i64>,
    pub(super) page: usize,
    /// The last page that can be turned to.
    pub(super) last_page: usize,
}

impl Found {
    /// Whether there are more than can be turned to.
    pub(super) fn has_more(&self) -> bool {
        self.is_cut || self.total > self.last_page * PAGE
    }
}

/// The form, empty.
pub(super) async fn ask(State(desk): State<Arc<Desk>>, holder: Holder) -> Answer {
    desk.searches_a_minute().ok_or_else(Refusal::no_such_page)?;
    Ok(desk.search_page(&holder, StatusCode::OK, &Search::default(), None, None))
}

/// What is found.
pub(super) async fn search(State(desk): State<Arc<Desk>>, holder: Holder, Form(search): Form<Search>) -> Answer {
    let most = desk.searches_a_minute().ok_or_else(Refusal::no_such_page)?;
    let (search, unfit) = (search.cut(), StatusCode::UNPROCESSABLE_ENTITY);
    let query = search.query();
    if query.is_empty() {
        return Ok(desk.search_page(&holder, unfit, &search, Some(texts::LOOKUP_EMPTY), None));
    }
    let searcher = match holder.seat.person() {
        Some(person) => Searcher::Person(person.to_owned()),
        None => Searcher::Mailbox(holder.seat.login().account),
    };
    desk.searches.admit(searcher, most, Instant::now()).map_err(too_often)?;
    let Ok(_one_of_few) = desk.looking.try_acquire() else {
        return Err(Refusal::unavailable(texts::LATER, "many look somebody up at once"));
    };
    let mailbox = holder.seat.login().address.to_string();
    desk.registry_for(&holder.seat).note_deed_in(&mailbox, "directory-searched").await?;
    match desk.look_up(&query, search.page()).await {
        Ok((hits, page)) => {
            let found = desk.found(hits, page)?;
            Ok(desk.search_page(&holder, StatusCode::OK, &search, None, Some(&found)))
        }
        Err(LookupError::NotThere(_)) => {
            Ok(desk.search_page(&holder, unfit, &search, Some(texts::LOOKUP_NOT_THERE), None))
        }
        Err(error) => Err(Refusal::unavailable(texts::LOOKUP_AWAY, error)),
    }
}

/// The last page that can be turned to.
fn last_page(total: usize) -> usize {
    total.div_ceil(PAGE).clamp(1, MOST_PAGES)
}

fn too_often(wait: Duration) -> Refusal {
    let mut refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, texts::LOOKUP_TITLE, texts::too_many_searches(wait));
    refusal.again = Some(wait);
    refusal
}

impl Desk {
    /// How often a person may search within a minute; none: there is nothing to search in, or it is not offered here.
    pub(super) fn searches_a_minute(&self) -> Option<u32> {
        let most = self.shared.config.load().portal.searches;
        (most > 0 && self.shared.lookup.is_there()).then_some(most)
    }

    /// A page of what is found, or the last one where there are fewer by now.
    async fn look_up(&self, query: &Query, page: usize) -> Result<(Hits, usize), LookupError> {
        let lookup = &self.shared.lookup;
        let hits = lookup.search(query, None, (page - 1) * PAGE, PAGE).await?;
        let last = last_page(hits.total);
        if page <= last {
            return Ok((hits, page));
        }
        Ok((lookup.search(query, None, (last - 1) * PAGE, PAGE).await?, last))
    }

    fn search_page(
        &self,
        holder: &Holder,
        status: StatusCode,
        search: &Search,
        wrong: Option<&str>,
        found: Option<&Found>,
    ) -> Response {
        let body = page::search(search, &self.form_token(&holder.cookie), wrong, found);
        self.inner_page(holder, status, texts::LOOKUP_TITLE, &body)
    }

    /// What may be shown of it.
    fn found(&self, hits: Hits, page: usize) -> Result<Found, Refusal> {
        let Hits { taken_at, total, is_cut, entries, .. } = hits;
        let mut shown = Vec::with_capacity(entries.len());
        for entry in entries {
            if self.may_be_shown(&entry)? {
                shown.push(entry);
            }
        }
        Ok(Found { entries: shown, total, is_cut, taken_at, page, last_page: last_page(total) })
    }

    /// What is no address is nothing to write to. Of our own mailboxes we know more than a copy of last night: who is on the red
    /// list by now, or gone (MSSanté §4, §5).
    fn may_be_shown(&self, entry: &Entry) -> Result<bool, Refusal> {
        let Ok(address) = Address::parse(&entry.address) else { return Ok(false) };
        let own = self.shared.registry.by_address(&address)?;
        Ok(own.is_none_or(|own| !own.data.red_list && own.state != MailboxState::Closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_much_of_a_search_is_looked_at() {
        let long = Search { nom: format!("  {}", "é".repeat(5000)), page: "3".into(), ..Search::default() }.cut();
        assert_eq!(long.nom.chars().count(), LONGEST);
        assert_eq!(long.page(), 3);
        for (text, page) in [("", 1), ("0", 1), ("-4", 1), ("dix", 1), ("99999999999999999999", 1), ("11", MOST_PAGES)]
        {
            assert_eq!(Search { page: text.into(), ..Search::default() }.page(), page, "{text}");
        }
        assert_eq!([0, 1, 20, 21, 9999].map(last_page), [1, 1, 1, 2, MOST_PAGES]);
        assert!(Search { nom: " -- ".into(), ..Search::default() }.query().is_empty());
    }
}
