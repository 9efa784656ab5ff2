//! Cold records of who people are: the authorities of enrolled devices, and second factors. JSON behind the layout byte.

use serde::{Deserialize, Serialize};

use super::accounts::JsonRecord;
use super::{AccountId, AuthorityId, Table};
use crate::store::seal::SealedKey;

/// A certification authority of the operator's own that signs enrolled devices' certificates. The newest one signs; those
/// before it are believed as long as certificates of theirs may live.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceAuthority {
    /// Its common name: with it and its key the issuer is made again.
    pub name: String,
    /// Its certificate, DER (in base64).
    #[serde(with = "base64_bytes")]
    pub certificate: Vec<u8>,
    /// Its private key (PKCS#8), sealed under [`super::SecretKey::Devices`] for this authority's number.
    pub sealed_key: SealedKey,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds from which its certificate is not valid any more.
    pub expires_at: i64,
}

/// What a mailbox's holder shows beside the password. Secrets and codes lie here as values under the mailbox's key: they end
/// with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SecondFactor {
    /// The authenticator (TOTP, RFC 6238) in use.
    pub authenticator: Option<Authenticator>,
    /// One that is being set up: the first right code puts it in use.
    pub begun: Option<Authenticator>,
    /// Recovery codes that were not used yet, as keyed digests in hexadecimal.
    pub recovery: Vec<String>,
    /// Codes that were mailed and may still be used.
    pub mailed: Vec<MailedCode>,
    /// When codes were mailed within the last hour, Unix seconds.
    pub mailed_at: Vec<i64>,
    /// Wrong codes since the last right one.
    pub failures: u32,
    /// Unix seconds before which no code is looked at.
    pub locked_until: i64,
}

/// An authenticator's secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Authenticator {
    /// The shared secret, sealed under the mailbox's key.
    pub sealed: SealedKey,
    /// Unix seconds.
    pub since: i64,
    /// The last time step whose code was accepted: none is accepted twice (RFC 6238 §5.2).
    pub last_step: u64,
}

/// A code that was mailed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MailedCode {
    /// For which login it was asked, as a keyed digest in hexadecimal.
    pub attempt: String,
    /// The code with its login, as a keyed digest in hexadecimal.
    pub code: String,
    /// Unix seconds from which it is of no use.
    pub expires_at: i64,
    /// Tries that are left.
    pub tries: u32,
}

impl JsonRecord for DeviceAuthority {
    const TABLE: Table = Table::DeviceAuthority;
    type Key = AuthorityId;
}

impl JsonRecord for SecondFactor {
    const TABLE: Table = Table::SecondFactor;
    type Key = AccountId;
}

/// Bytes as base64 text.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::{DecodeError, Record};

    #[test]
    fn records_come_back_as_they_were_and_refuse_another_layout() {
        let authority = DeviceAuthority {
            name: "Postes de travail de mx.example".into(),
            certificate: vec![0x30, 0x82, 0, 255],
            sealed_key: SealedKey(vec![1, 2, 3]),
            created_at: 1,
            expires_at: 2,
        };
        let mut bytes = Vec::new();
        authority.encode(&mut bytes);
        assert_eq!(DeviceAuthority::decode(&bytes).unwrap(), authority);
        bytes[0] = 9;
        assert_eq!(DeviceAuthority::decode(&bytes), Err(DecodeError::UnknownLayout(9)));

        let code = MailedCode { attempt: "a".into(), code: "b".into(), expires_at: 5, tries: 4 };
        let factor = SecondFactor {
            authenticator: Some(Authenticator { sealed: SealedKey(vec![7]), since: 3, last_step: 41_152_263 }),
            mailed: vec![code],
            recovery: vec!["0f".into()],
            failures: 2,
            ..SecondFactor::default()
        };
        let mut bytes = Vec::new();
        factor.encode(&mut bytes);
        assert_eq!(SecondFactor::decode(&bytes).unwrap(), factor);
        // What an older version did not write has its default.
        assert_eq!(SecondFactor::decode(b"\x01{}").unwrap(), SecondFactor::default());
    }
}
