//! What a mailbox does with its mail by itself: forward and absence notice, as the API has them.

use super::errors::{of_mail, sentence};
use super::message_flags::{date, parse_date};
use super::problem::{Problem, Rule};
use super::{Administration, types};
use crate::accounts::Account;
use crate::mail::aftermath::{ForwardProblem, may_forward};
use crate::mss::{Address, decision};
use crate::store::{Absence, Forward};

/// A forward as the request asks for it. `since` is not the request's to say.
pub(super) fn forward(wanted: types::Forward, account: &Account) -> Forward {
    let types::Forward { to, keep_copy, .. } = wanted;
    // What does not change keeps its beginning.
    let since = account.data.forward.as_ref().filter(|old| old.to == to && old.keep_copy == keep_copy);
    let since = since.map_or_else(|| jiff::Timestamp::now().as_second(), |old| old.since);
    Forward { to, keep_copy, since }
}

/// An absence as the request asks for it.
pub(super) fn absence(wanted: types::Absence) -> Result<Absence, Problem> {
    Ok(Absence {
        from: parse_date(&wanted.from, "absence.from")?,
        until: parse_date(&wanted.until, "absence.until")?,
        text: wanted.text,
        citizens: wanted.citizens,
    })
}

impl Administration {
    /// Whether the mailbox may have its mail sent on to there (MSSanté §3). Blocks.
    pub(super) fn check_forward(&self, account: &Account, forward: &Forward) -> Result<(), Problem> {
        let (space, holder) = (self.trust.load(), account.as_own());
        for (index, text) in forward.to.iter().enumerate() {
            let field = format!("forward.to[{index}]");
            let address = Address::parse(text).map_err(|problem| Problem::field(&field, sentence(&problem)))?;
            let party = self.mail.party(&address).map_err(of_mail)?;
            may_forward(&space, &holder, &party).map_err(|problem| refused(&problem, &field))?;
        }
        Ok(())
    }
}

fn refused(problem: &ForwardProblem, field: &str) -> Problem {
    match problem {
        ForwardProblem::Refused(refusal) if refusal.rule == decision::Rule::ListNotLoaded => {
            Problem::new(Rule::Unavailable, sentence(problem)).at(field)
        }
        _ => Problem::field(field, format!("{} [rule {}]", sentence(problem), problem.rule())),
    }
}

/// A record's forward as the API shows it.
pub(super) fn shown_forward(forward: Forward) -> types::Forward {
    types::Forward { to: forward.to, keep_copy: forward.keep_copy, since: Some(date(forward.since)) }
}

/// A record's absence as the API shows it.
pub(super) fn shown_absence(absence: Absence) -> types::Absence {
    types::Absence {
        from: date(absence.from),
        until: date(absence.until),
        text: absence.text,
        citizens: absence.citizens,
    }
}
