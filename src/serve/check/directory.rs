//! What the national directory is asked with: our key, our certificate, its authorities. It is not asked itself.

use super::Look;
use super::certificates::{Keys, identity};
use super::psc::{secret, without_key_name};
use crate::jobs::directory::anchors;

const KEYS: Keys = Keys {
    certificate: "directory.client_certificate",
    key: "directory.client_key",
    anchors: "directory.anchors",
    crls: "",
};

pub(super) fn check(look: &mut Look<'_>) {
    let config = look.examined.config.directory.clone();
    if !config.is_on() {
        return;
    }
    secret(look, "directory.api_key", &config.api_key);
    if !config.client_certificate.as_os_str().is_empty() && !config.client_key.as_os_str().is_empty() {
        identity(look, &KEYS, &config.client_certificate, &config.client_key);
    }
    if look.is_readable(KEYS.anchors)
        && let Err(error) = anchors(&config.anchors)
    {
        without_key_name(look, KEYS.anchors, &error.to_string());
    }
}
