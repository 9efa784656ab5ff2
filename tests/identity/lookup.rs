//! Looking somebody up at the holders' page (`lookup.py`), in a sandbox whose directory these tests fill as they like.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::support::{Sandbox, Tool, have};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity");

fn scenario(name: &str) {
    static SANDBOX: OnceLock<Mutex<Sandbox>> = OnceLock::new();
    let sandbox = SANDBOX.get_or_init(|| Mutex::new(Sandbox::start()));
    let sandbox = sandbox.lock().unwrap_or_else(PoisonError::into_inner);
    let tool = Tool::new("python3").arg(format!("{HERE}/lookup.py")).arg(name).arg(&sandbox.dir);
    tool.arg(env!("CARGO_BIN_EXE_caducee")).limit(Duration::from_secs(120)).run().expect_ok(name);
}

#[test]
fn a_colleague_is_found_and_the_search_is_traced_without_its_words() {
    if have("python3") {
        scenario("a_colleague_is_found_and_the_search_is_traced_without_its_words");
    }
}

#[test]
fn who_is_on_the_red_list_by_now_is_shown_no_more() {
    if have("python3") {
        scenario("who_is_on_the_red_list_by_now_is_shown_no_more");
    }
}

#[test]
fn a_form_of_elsewhere_searches_nothing_and_strangers_find_no_form() {
    if have("python3") {
        scenario("a_form_of_elsewhere_searches_nothing_and_strangers_find_no_form");
    }
}

#[test]
fn who_searches_without_end_waits() {
    if have("python3") {
        scenario("who_searches_without_end_waits");
    }
}

#[test]
fn what_a_hostile_directory_says_is_text_in_a_real_browser() {
    if have("python3") && have("chromium") && have("chromedriver") {
        scenario("what_a_hostile_directory_says_is_text_in_a_real_browser");
    }
}
