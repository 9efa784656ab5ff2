//! The white list and its signer's authorities.

use super::Look;
use crate::config::{human, is_address};
use crate::jobs::trust::TrustSettings;
use crate::mss::dn::DistinguishedName;
use crate::mss::whitelist::{SignerPolicy, WhiteList, verify_and_parse};
use crate::serve::tls::{read_anchors, read_certificates};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub(super) fn check(look: &mut Look<'_>) {
    let trust = look.examined.config.trust.clone();
    let mut anchors = Vec::new();
    for path in &trust.anchors {
        let certificates = look.value("trust.anchors", read_certificates(path));
        anchors.extend(certificates.into_iter().flatten().map(|der| der.to_vec()));
    }
    let https = look.value("trust.https_anchors", read_anchors(&trust.https_anchors));
    let settings_readable = !anchors.is_empty() && https.is_some() && look.examined.problems.is_empty();
    if settings_readable {
        look.value("trust.test_addresses", TrustSettings::from_config(&look.examined.config));
    }
    if !look.is_readable("trust.source") || anchors.is_empty() {
        return;
    }
    if is_address(&trust.source) {
        return look.note("trust.source", "the list is fetched by the running server; not looked at here");
    }
    let read = read_bounded(Path::new(&trust.source), trust.max_size);
    let Some(xml) = look.value("trust.source", read.map_err(|error| format!("{}: {error}", trust.source))) else {
        return;
    };
    let policy = SignerPolicy { anchors, signer_cn: trust.signer_cn, crls: Vec::new() };
    let verified = verify_and_parse(&xml, &policy, look.now).map_err(|error| format!("{}: {error}", trust.source));
    let Some(list) = look.value("trust.source", verified) else { return };
    let age = u64::try_from(look.now - list.generated_at()).unwrap_or(0);
    if age > trust.max_age.as_secs() {
        let hours = age / 3600;
        let most = human::show_duration(trust.max_age);
        look.problem(
            "trust.source",
            format!("{}: the list is {hours} h old; expected at most {most} (trust.max_age)", trust.source),
        );
    }
    are_we_listed(look, &list);
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::other(format!("larger than {} (trust.max_size)", human::show_size(most))));
    }
    Ok(content)
}

/// Other operators take mail from us, and give us theirs, when the list has our certificate's subject.
fn are_we_listed(look: &mut Look<'_>, list: &WhiteList) {
    let Ok(chain) = read_certificates(&look.examined.config.tls.certificate) else { return };
    let Some(subject) = chain.first().and_then(|leaf| DistinguishedName::from_der(leaf).ok()) else { return };
    if list.contains_peer(&subject) {
        return;
    }
    let nearest = match list.nearest_by_common_name(&subject) {
        Some(nearest) => format!("; the nearest entry is {nearest}"),
        None => String::new(),
    };
    look.note("tls.certificate", format!("the white list does not have our subject, {subject}{nearest}"));
}
