//! What the tests of the trust space share.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use caducee::mss::whitelist::SignerPolicy;

/// A moment at which every list of the tests exists (2026-11-22).
pub(crate) const NOW: i64 = 1_795_305_600;

/// The real list, beside the repository or where `CADUCEE_REAL_LIST` says. Tests say "skipped" when it is absent.
pub(crate) fn real_list() -> Option<Vec<u8>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/listeblanche-2025-02-28.xml");
    let path = std::env::var_os("CADUCEE_REAL_LIST").map_or_else(beside, PathBuf::from);
    let list = std::fs::read(path).ok();
    if list.is_none() {
        println!("skipped: there is no real white list beside this repository");
    }
    list
}

/// The certificate in the list's `KeyInfo`, in DER. The real signer's issuer is not at hand, so tests pin the signer.
pub(crate) fn embedded_certificate(list: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(list).unwrap();
    let (_, rest) = text.split_once("<X509Certificate>").unwrap();
    let (base64, _) = rest.split_once("</X509Certificate>").unwrap();
    let base64: String = base64.replace("&#13;", "").split_whitespace().collect();
    STANDARD.decode(base64).unwrap()
}

/// The policy that the real list is judged by.
pub(crate) fn real_policy(list: &[u8]) -> SignerPolicy {
    SignerPolicy { anchors: vec![embedded_certificate(list)], signer_cn: "alb.mssante.fr".into(), crls: Vec::new() }
}
