//! What the national directory is asked with: our key, our certificate, its authorities; and its extraction, where that is a
//! file. The directory itself is not asked.

use super::Look;
use super::certificates::{Keys, identity};
use super::psc::{secret, without_key_name};
use crate::config::directory::Directory;
use crate::config::{human, is_address};
use crate::jobs::directory::anchors;
use crate::jobs::directory::extraction::{self, PUBLISHED};
use std::path::Path;

const KEYS: Keys = Keys {
    certificate: "directory.client_certificate",
    key: "directory.client_key",
    anchors: "directory.anchors",
    crls: "",
};
const EXTRACTION: &str = "directory.extraction";

pub(super) fn check(look: &mut Look<'_>) {
    let config = look.examined.config.directory.clone();
    if config.is_on() {
        secret(look, "directory.api_key", &config.api_key);
        if !config.client_certificate.as_os_str().is_empty() && !config.client_key.as_os_str().is_empty() {
            identity(look, &KEYS, &config.client_certificate, &config.client_key);
        }
    }
    // The directory and where its extraction is fetched are believed by the same authorities.
    let is_asked = config.is_on() || is_address(&config.extraction);
    if is_asked
        && look.is_readable(KEYS.anchors)
        && let Err(error) = anchors(&config.anchors)
    {
        without_key_name(look, KEYS.anchors, &error.to_string());
    }
    source_of_the_copy(look, &config);
}

/// The extraction that a copy would be held of.
fn source_of_the_copy(look: &mut Look<'_>, config: &Directory) {
    let source = &config.extraction;
    if source.is_empty() || !look.is_readable(EXTRACTION) {
        return;
    }
    if is_address(source) {
        return look.note(EXTRACTION, format!("{source} is fetched by the running server; not looked at here"));
    }
    let path = Path::new(source);
    let told = |error: extraction::ExtractionError| format!("{source}: {error}");
    let Some(file) = look.value(EXTRACTION, extraction::open(path).map_err(told)) else { return };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    if size > config.extraction_max {
        let [size, most] = [size, config.extraction_max].map(human::show_size);
        return look
            .problem(EXTRACTION, format!("{source}: {size}; expected at most {most} (directory.extraction_max)"));
    }
    match look.value(EXTRACTION, extraction::columns(file).map_err(told)) {
        Some(count) if count != PUBLISHED => look.note(
            EXTRACTION,
            format!("{source}: {count} columns; published are {PUBLISHED}, and those that are read are among them"),
        ),
        _ => {}
    }
}
