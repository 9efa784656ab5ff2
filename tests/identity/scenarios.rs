//! Scenarios in Python: who gets in by a token and who does not (`tokens.py`), who is in and how that ends (`sessions.py`), and
//! that nothing of it is written where it should not be (`secrets_kept.py`).

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::support::{Sandbox, Tool, have};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity");

/// What stands in a script above the scenarios for the sandbox that all tests share, and above those that take turns in one.
const MARKS: [&str; 2] = ["# ---- in the sandbox that the tests share ----", "# ---- in a sandbox"];

fn scenario(sandbox: &Sandbox, script: &str, name: &str) {
    let tool = Tool::new("python3").arg(format!("{HERE}/{script}")).arg(name).arg(&sandbox.dir);
    let ran = tool.arg(env!("CARGO_BIN_EXE_caducee")).limit(Duration::from_secs(120)).run().expect_ok(name);
    print!("{}", ran.stdout);
}

/// A scenario that turns knobs and changes the configuration: one after another, in a sandbox for them.
fn in_turn(script: &str, name: &str) {
    static SANDBOX: OnceLock<Mutex<Sandbox>> = OnceLock::new();
    let sandbox = SANDBOX.get_or_init(|| Mutex::new(Sandbox::start()));
    // Each scenario puts everything back first, whatever became of the one before.
    scenario(&sandbox.lock().unwrap_or_else(PoisonError::into_inner), script, name);
}

macro_rules! scenarios {
    ($module:ident $script:literal shared { $($shared:ident)* } in turn { $($turn:ident)* }) => {
        mod $module {
            use super::*;

            $(
                #[test]
                fn $shared() {
                    if have("python3") {
                        scenario(Sandbox::shared(), $script, stringify!($shared));
                    }
                }
            )*

            $(
                #[test]
                fn $turn() {
                    if have("python3") {
                        in_turn($script, stringify!($turn));
                    }
                }
            )*

            #[test]
            fn every_scenario_of_the_script_is_run() {
                let script = std::fs::read_to_string(format!("{HERE}/{}", $script)).unwrap();
                let (_, script) = script.split_once(MARKS[0]).unwrap();
                let (shared, turn) = script.split_once(MARKS[1]).unwrap();
                for (written, run) in [(shared, &[$(stringify!($shared)),*][..]), (turn, &[$(stringify!($turn)),*])] {
                    let names = written.lines().filter_map(|line| line.strip_prefix("def ")?.strip_suffix("():"));
                    assert_eq!(names.collect::<Vec<_>>(), run, "as in the script");
                }
            }
        }
    };
}

scenarios! {
    tokens "tokens.py"
    shared {
        pythons_clients_log_in_at_every_door_in_every_form
        a_person_opens_what_they_hold_and_what_lets_them_in
        whom_a_mailbox_does_not_let_in_is_told_why_and_may_go_on
        a_restricted_user_opens_by_token_and_stays_within_the_operator
        too_many_refusals_end_a_connection_aloud
        what_is_no_sasl_message_is_a_mistake_and_no_refusal
        a_login_on_a_phone_opens_the_mailbox
    }
    in turn {
        while_it_is_away_in_any_way_logins_are_put_off_and_its_return_is_seen
        after_a_reload_it_may_be_away_from_the_first_question_on
        each_bad_token_is_refused_for_its_own_reason
        the_national_id_comes_from_userinfo_where_the_token_has_none
        a_token_that_is_bound_to_a_certificate_comes_with_it
        by_signature_tokens_are_judged_without_asking
        new_keys_are_found_and_those_before_are_good_for_their_time
        a_session_outlives_its_token
        who_waits_for_pro_sante_connect_holds_up_nobody
    }
}

scenarios! {
    sessions "sessions.py"
    shared {
        the_list_shows_person_mailbox_means_and_door
        whatever_ends_a_session_says_so_within_a_second_in_idle_too
        a_colleagues_mailbox_on_the_list_opens_as_long_as_it_is_theirs
        two_people_in_one_mailbox_see_each_others_marks_at_once
        who_looks_in_from_their_own_mailbox_sees_the_same_marks
    }
    in turn {
        ending_a_persons_sessions_ends_them_in_every_mailbox
        a_session_that_has_lasted_long_enough_or_says_nothing_is_told_why
        the_end_of_a_sessions_life_comes_to_who_goes_on_talking_too
    }
}

#[test]
fn no_token_password_code_or_key_is_written_to_the_logs_at_their_loudest() {
    if have("python3") && have("openssl") {
        let loud = Sandbox::start_with(&[("CADUCEE_LOG", "trace")]);
        scenario(&loud, "secrets_kept.py", "nothing_secret_is_written");
    }
}
