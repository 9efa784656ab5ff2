//! What the trust space says about a destination (MSSanté §3, sending).

use crate::mss::{DistinguishedName, Domain, Rule, TrustSpace, WhiteList};

use super::{Settings, Trouble};

/// Whether mail for the domain may leave at all.
pub(super) fn domain(space: &TrustSpace, domain: &Domain, settings: &Settings, now: i64) -> Result<(), Trouble> {
    let list = usable_list(space, now)?;
    if list.contains_domain(domain) {
        return Ok(());
    }
    let text = format!("the domain {domain} is not in the trust space");
    Err(Trouble::new(Rule::RecipientDomainUnlisted.name(), status(list, settings, now), text))
}

/// Whether the peer with this subject may have mail for the domain, whatever its name in the DNS.
pub(super) fn peer(
    space: &TrustSpace,
    subject: &DistinguishedName,
    domain: &Domain,
    settings: &Settings,
    now: i64,
) -> Result<(), Trouble> {
    let list = usable_list(space, now)?;
    if list.speaks_for(subject, domain) {
        return Ok(());
    }
    let text = format!("the server's certificate ({subject}) is not listed for the domain {domain}");
    Err(Trouble::new("dn-not-listed", status(list, settings, now), text))
}

fn usable_list(space: &TrustSpace, now: i64) -> Result<&WhiteList, Trouble> {
    if !space.crl_state.is_usable(now) {
        let text = "revocation of certificates cannot be judged here at the moment";
        return Err(Trouble::new(Rule::RevocationUnknown.name(), "4.7.0", text).ours());
    }
    let no_list = || Trouble::new(Rule::ListNotLoaded.name(), "4.7.0", "this operator has no white list yet").ours();
    space.list.as_deref().ok_or_else(no_list)
}

/// MSSanté §3: that something is not in the list is the last word only while the list is fresh.
fn status(list: &WhiteList, settings: &Settings, now: i64) -> &'static str {
    let is_fresh = now.saturating_sub(list.generated_at()) <= settings.list_max_age;
    if is_fresh { "5.7.1" } else { "4.7.1" }
}
