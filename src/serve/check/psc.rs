//! What Pro Santé Connect is asked with: our secret, our certificate, its authorities. It is not asked itself.

use super::Look;
use super::certificates::{Keys, identity};
use crate::serve::{SecretError, psc, read_secret};
use std::path::Path;

const KEYS: Keys =
    Keys { certificate: "psc.client_certificate", key: "psc.client_key", anchors: "psc.anchors", crls: "" };

pub(super) fn check(look: &mut Look<'_>) {
    let config = look.examined.config.psc.clone();
    if !config.is_on() {
        return;
    }
    secret(look, "psc.client_secret", &config.client_secret);
    if !config.client_certificate.as_os_str().is_empty() && !config.client_key.as_os_str().is_empty() {
        identity(look, &KEYS, &config.client_certificate, &config.client_key);
    }
    if look.is_readable(KEYS.anchors)
        && let Err(error) = psc::anchors(&config.anchors)
    {
        without_key_name(look, KEYS.anchors, &error.to_string());
    }
}

/// The secret that the setting of `key` means.
pub(super) fn secret(look: &mut Look<'_>, key: &'static str, setting: &str) {
    if setting.is_empty() || !look.is_readable(key) {
        return;
    }
    match read_secret(key, setting) {
        Err(SecretError::NoCredentials { .. }) => {
            look.note(key, format!("{setting} is given by systemd to the service; not looked at here"));
        }
        Err(error) => without_key_name(look, key, &error.to_string()),
        Ok(_) if !setting.starts_with("credential:") => look.is_private(key, Path::new(setting)),
        Ok(_) => {}
    }
}

/// The error may name its key for the start; here the key stands before it.
pub(super) fn without_key_name(look: &mut Look<'_>, key: &str, error: &str) {
    let text = error.strip_prefix(&format!("{key}: ")).unwrap_or(error);
    look.problem(key, text);
}
