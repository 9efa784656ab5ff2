//! The holders' page, as a browser without scripts sees it (`web.py`), and as Chromium does (`chromium.py`).

use crate::support::{Sandbox, Tool, have};
use std::time::Duration;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity");

/// Runs a scenario of a script against a sandbox.
fn scenario(sandbox: &Sandbox, script: &str, name: &str) {
    let tool = Tool::new("python3").arg(format!("{HERE}/{script}")).arg(name).arg(&sandbox.dir);
    // A scenario with an application for codes waits for the next one, up to 30 s.
    tool.arg(env!("CARGO_BIN_EXE_caducee")).limit(Duration::from_secs(120)).run().expect_ok(name);
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                if have("python3") && have("openssl") {
                    scenario(Sandbox::shared(), "portal.py", stringify!($name));
                }
            }
        )*

        #[test]
        fn every_scenario_of_the_script_is_run() {
            let script = std::fs::read_to_string(format!("{HERE}/portal.py")).unwrap();
            let written = script.split("# ---- scenarios ----").nth(1).unwrap().lines();
            let written = written.filter_map(|line| line.strip_prefix("def ")?.strip_suffix("():"));
            let run = [$(stringify!($name)),*];
            let missing: Vec<&str> = written.filter(|name| !run.contains(name)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

scenarios! {
    a_password_and_a_mailed_code_enrol_a_workstation_that_opens_imap
    pro_sante_connect_enrols_renews_and_takes_a_certificate_request
    an_application_for_codes_is_set_up_and_used_and_recovery_codes_are_good_once
    a_form_without_its_own_token_changes_nothing
    each_step_of_a_login_has_a_cookie_of_its_own_and_old_ones_open_nothing
    every_answer_forbids_scripts_frames_and_keeping_and_leads_to_no_other_site
    who_guesses_waits_and_learns_nothing
    who_hangs_up_before_the_answer_has_guessed_all_the_same
    a_mailed_code_is_good_for_its_own_login_once_and_for_five_tries
    the_password_is_changed_and_the_old_one_opens_nothing
    a_return_from_pro_sante_connect_fits_only_the_browser_that_left
    who_holds_nothing_is_told_and_who_has_several_mailboxes_chooses
    who_manages_a_professionals_mailbox_is_never_taken_for_the_professional
    a_login_half_made_ends_with_the_password_and_with_the_mailboxs_state
    a_practices_password_and_code_name_nobody_and_enrol_nothing
    a_suspended_mailbox_and_an_ended_session_end_at_the_next_page
    mail_programs_find_their_settings_at_the_same_door
    a_mailbox_without_a_second_factor_opens_by_no_password
}

#[test]
fn pro_sante_connect_that_fails_is_told_from_one_that_refuses_and_the_other_way_stays() {
    if have("python3") {
        let name = "pro_sante_connect_that_fails_is_told_from_one_that_refuses_and_the_other_way_stays";
        scenario(&Sandbox::start(), "portal.py", name);
    }
}

#[test]
fn a_real_browser_enrols_from_the_login_page_to_a_file_that_opens_imap() {
    if have("python3") && have("openssl") && have("chromium") && have("chromedriver") {
        scenario(Sandbox::shared(), "chromium.py", "enrol");
    }
}
