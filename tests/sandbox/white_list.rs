//! The white list's signature, judged by Debian's xmlsec1, which shares no line of code with ours.

use crate::support::{Ran, Sandbox, ScratchDir, Tool, have};
use std::path::Path;

/// xmlsec1 takes one certificate from a file: the root is trusted, the intermediate only leads to it.
fn verify(list: &Path, root: &Path, intermediate: &Path) -> Ran {
    let tool = Tool::new("xmlsec1").args(["--verify", "--enabled-key-data", "x509,rsa", "--trusted-pem"]);
    tool.arg(root).arg("--untrusted-pem").arg(intermediate).arg(list).run()
}

#[test]
fn xmlsec1_verifies_the_list_and_refuses_it_with_one_changed_letter() {
    if !have("xmlsec1") {
        return;
    }
    let sandbox = Sandbox::shared();
    let list = &sandbox.description.white_list;
    let (root, intermediate) = (&sandbox.description.ca, sandbox.dir.join("pki/intermediate.pem"));
    verify(list, root, &intermediate).expect_ok("verifying the white list");
    let text = std::fs::read_to_string(list).unwrap();
    assert!(text.contains("<Nom>aura.mssante.example</Nom>") && text.contains("DNCertificatOperateur"));
    let scratch = ScratchDir::new();
    let changed = scratch.path().join("changed.xml");
    std::fs::write(&changed, text.replacen("aura.mssante", "aurb.mssante", 1)).unwrap();
    assert!(!verify(&changed, root, &intermediate).ok());
}

#[test]
fn xmlsec1_does_not_take_the_list_from_another_authority() {
    if !have("xmlsec1") {
        return;
    }
    let sandbox = Sandbox::shared();
    let (foreign, intermediate) = (sandbox.dir.join("pki/foreign-root.pem"), sandbox.dir.join("pki/intermediate.pem"));
    assert!(!verify(&sandbox.description.white_list, &foreign, &intermediate).ok());
}
