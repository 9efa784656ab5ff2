//! The sections about strong authentication without a health card: enrolled devices, one-time codes.

use super::human;
use super::sections::{HOUR, MINUTE};
use super::validate::Found;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// `[devices]`: enrolled workstations and phones.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Devices {
    /// How long a device's certificate is good for.
    #[serde(with = "human::duration")]
    pub validity: Duration,
    /// Most valid devices of one person in one mailbox.
    pub most: usize,
    /// How long the old certificate of a renewed device goes on.
    #[serde(with = "human::duration")]
    pub grace: Duration,
    /// A device's certificate opens its mailbox without the password (SASL EXTERNAL).
    pub certificate_alone: bool,
    /// Common name of the authority that signs devices' certificates, when it is made; empty: `Postes de travail de` and
    /// `server.name`.
    pub authority_name: String,
    /// How long an authority is good for; it is replaced before its end.
    #[serde(with = "human::duration")]
    pub authority_validity: Duration,
}

impl Default for Devices {
    fn default() -> Self {
        Self {
            validity: 365 * DAY,
            most: 10,
            grace: 7 * DAY,
            certificate_alone: false,
            authority_name: String::new(),
            authority_validity: 3_650 * DAY,
        }
    }
}

/// `[codes]`: the codes that holders show beside their password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Codes {
    /// How long a mailed code is good for.
    #[serde(with = "human::duration")]
    pub lifetime: Duration,
    /// Wrong codes that a mailed code outlives; then each further one, of whatever kind, makes the next wait longer.
    pub tries: u32,
    /// Digits of a mailed code.
    pub digits: u32,
    /// Codes are mailed to notification addresses (it takes `[notices]`).
    pub by_mail: bool,
    /// Most codes mailed to one holder within an hour.
    pub by_mail_per_hour: usize,
    /// Recovery codes made at a time.
    pub recovery: usize,
}

impl Default for Codes {
    fn default() -> Self {
        Self { lifetime: 10 * MINUTE, tries: 5, digits: 6, by_mail: true, by_mail_per_hour: 5, recovery: 10 }
    }
}

/// Characters of a common name (X.520, ub-common-name).
const COMMON_NAME: usize = 64;

/// What is wrong with the two sections.
pub(super) fn problems(devices: &Devices, codes: &Codes, found: &mut Found<'_, '_>) {
    let durations = [
        ("devices.validity", devices.validity, HOUR, 3_650 * DAY),
        ("devices.grace", devices.grace, Duration::ZERO, 90 * DAY),
        // An authority that ends with its first certificate would be made anew at each enrolment.
        ("devices.authority_validity", devices.authority_validity, 2 * devices.validity, 7_300 * DAY),
        ("codes.lifetime", codes.lifetime, MINUTE, HOUR),
    ];
    for (key, value, least, most) in durations {
        found.check((least..=most).contains(&value), key, || {
            let [value, least, most] = [value, least, most].map(human::show_duration);
            format!("{value}; expected {least} to {most}")
        });
    }
    let counts = [
        ("devices.most", devices.most, 1, 1_000),
        ("codes.tries", codes.tries as usize, 1, 20),
        ("codes.digits", codes.digits as usize, 6, 8),
        ("codes.by_mail_per_hour", codes.by_mail_per_hour, 1, 100),
        ("codes.recovery", codes.recovery, 1, 50),
    ];
    for (key, value, least, most) in counts {
        found.check((least..=most).contains(&value), key, || format!("{value}; expected {least} to {most}"));
    }
    let name = &devices.authority_name;
    let is_name = name.chars().count() <= COMMON_NAME && !name.chars().any(char::is_control);
    found.check(is_name, "devices.authority_name", || {
        format!("expected at most {COMMON_NAME} characters, no control characters")
    });
}
