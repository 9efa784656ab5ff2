//! Runs every fuzz check over its committed corpus, on the stable toolchain.
//!
//! A check is `fuzz/checks/<name>.rs` with `pub fn check(data: &[u8])`; cargo-fuzz drives it from
//! `fuzz/fuzz_targets/<name>.rs`, this file from the seeds in `fuzz/corpus/<name>/`. A new check adds three lines here:
//! its `#[path]`, its `mod`, and its name in the list; a test below fails when one is forgotten.

#![allow(unreachable_pub, reason = "the checks are also cargo-fuzz's, where they are public")]

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/checks/dn.rs"]
mod dn;
#[path = "../fuzz/checks/imap.rs"]
mod imap;
#[path = "../fuzz/checks/log.rs"]
mod log;
#[path = "../fuzz/checks/mime.rs"]
mod mime;
#[path = "../fuzz/checks/record.rs"]
mod record;
#[path = "../fuzz/checks/reply.rs"]
mod reply;
#[path = "../fuzz/checks/report.rs"]
mod report;
#[path = "../fuzz/checks/sasl.rs"]
mod sasl;
#[path = "../fuzz/checks/smtp.rs"]
mod smtp;
#[path = "../fuzz/checks/traces.rs"]
mod traces;
#[path = "../fuzz/checks/whitelist.rs"]
mod whitelist;

/// A check and its name.
type Named = (&'static str, fn(&[u8]));

/// Every check by its name.
const CHECKS: &[Named] = &[
    ("dn", dn::check),
    ("imap", imap::check),
    ("log", log::check),
    ("mime", mime::check),
    ("record", record::check),
    ("reply", reply::check),
    ("report", report::check),
    ("sasl", sasl::check),
    ("smtp", smtp::check),
    ("traces", traces::check),
    ("whitelist", whitelist::check),
];

fn fuzz_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn every_seed_passes_its_check() {
    for (name, check) in CHECKS {
        let seeds = files_in(&fuzz_directory().join("corpus").join(name));
        assert!(!seeds.is_empty(), "fuzz/corpus/{name} has no seed");
        for seed in seeds {
            let data = fs::read(&seed).unwrap_or_else(|error| panic!("{}: {error}", seed.display()));
            let outcome = std::panic::catch_unwind(|| check(&data));
            assert!(outcome.is_ok(), "{} makes the check `{name}` panic", seed.display());
        }
    }
}

#[test]
fn seeds_cut_short_or_with_a_flipped_bit_pass_too() {
    for (name, check) in CHECKS {
        for seed in files_in(&fuzz_directory().join("corpus").join(name)) {
            let data = fs::read(&seed).unwrap_or_else(|error| panic!("{}: {error}", seed.display()));
            let step = data.len() / 64 + 1;
            for at in (0..data.len()).step_by(step) {
                check(&data[..at]);
                let mut flipped = data.clone();
                flipped[at] ^= 1 << (at % 8);
                check(&flipped);
            }
        }
    }
}

#[test]
fn every_check_is_listed_and_has_its_fuzz_target() {
    let listed: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    for file in files_in(&fuzz_directory().join("checks")) {
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        assert!(listed.contains(&name.as_str()), "fuzz/checks/{name}.rs is not in the list of tests/corpora.rs");
        let target = fuzz_directory().join("fuzz_targets").join(format!("{name}.rs"));
        assert!(target.exists(), "fuzz/fuzz_targets/{name}.rs is missing");
    }
}
