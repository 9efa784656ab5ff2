//! What travels about devices and second factors. The rules of [`super::super::types`] hold here too.

use serde::{Deserialize, Serialize};

/// A device to be enrolled by the administrator, for the holder: `POST /v1/mailboxes/{address}/devices`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewDevice {
    /// What people call it.
    pub name: String,
    /// National id of the person it is for; absent: the mailbox's holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// A certification request (PKCS#10, PEM); absent: the key is made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The PKCS#12 file is for key stores that read only the old ciphers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compatible: bool,
}

/// A device to be renewed: `POST /v1/mailboxes/{address}/devices/{id}/renew`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RenewDevice {
    /// Its old certificate ends at once, with its sessions; else after `devices.grace`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
    /// A certification request (PKCS#10, PEM); absent: the key is made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The PKCS#12 file is for key stores that read only the old ciphers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compatible: bool,
}

/// A device, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its number within the mailbox.
    pub id: u64,
    /// What people call it.
    pub name: String,
    /// National id of the person whose device it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// `valid`, `replaced` (renewed; this certificate goes on until it ends), `expired`.
    pub state: String,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Its certificate's serial number.
    pub serial: String,
    /// When it was enrolled.
    pub created_at: String,
    /// When its certificate ends.
    pub expires_at: String,
    /// The day of its last use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
}

/// A mailbox's devices, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// The devices.
    pub devices: Vec<Device>,
}

/// A device that was enrolled or renewed, with what is put into it. It is answered once and kept nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledDevice {
    /// The device.
    pub device: Device,
    /// The PKCS#12 file in base64, where the key was made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs12: Option<String>,
    /// The file's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The certificate and its authority's in PEM, where a request was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
}

impl std::fmt::Debug for EnrolledDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolledDevice").field("device", &self.device).finish_non_exhaustive()
    }
}

/// The authorities that sign devices' certificates: `GET /v1/device-authority`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAuthorities {
    /// Their certificates in PEM, the one that signs first.
    pub pem: String,
}

/// What a mailbox's holder can show beside the password: `GET /v1/mailboxes/{address}/factors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors {
    /// Since when an authenticator is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator_since: Option<String>,
    /// Codes can be mailed to the notification address.
    pub by_mail: bool,
    /// Recovery codes that are left.
    pub recovery_codes: u64,
    /// Until when no code is looked at, because too many were wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<String>,
}
