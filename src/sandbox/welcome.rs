//! What a person who has just started a sandbox is told: how to point Thunderbird at it, and two lines to try.

use super::cast::{Operator, PASSWORD, Special};
use super::describe::Running;
use super::layout::Layout;
use super::pki::Pki;
use std::path::Path;

/// The whole text.
pub(super) fn text(layout: &Layout, pki: &Pki, running: &[Running<'_>]) -> String {
    let mut text = format!("\n  The sandbox is ready in {}\n\n", layout.dir().display());
    for one in running {
        text.push_str(&framed(&settings(one, pki)));
        text.push('\n');
    }
    if let [a, b] = running {
        text.push_str(&commands(layout, pki, a, b));
    }
    text.push_str(
        "\n  Everything a program wants to know is in sandbox.json. Ctrl-C stops the sandbox; the mail stays.\n",
    );
    text
}

fn settings(running: &Running<'_>, pki: &Pki) -> Vec<String> {
    let mut lines = vec![
        format!("Thunderbird: {}", running.operator.name),
        String::new(),
        format!("authority     {}", pki.root().display()),
        "server        IMAP, localhost".to_owned(),
        format!("port          {} (SSL/TLS), or {} (STARTTLS)", running.ports.imaps, running.ports.imap),
        "              SMTP, localhost".to_owned(),
        format!("port          {} (SSL/TLS), or {} (STARTTLS)", running.ports.submissions, running.ports.submission),
        format!("portal        https://localhost:{}/", running.ports.https),
        "method        normal password".to_owned(),
        format!("password      {PASSWORD}"),
        "user name     one of".to_owned(),
    ];
    for resident in running.operator.residents.iter().filter(|r| r.password && r.special == Special::No) {
        let test = if resident.test { ", test" } else { "" };
        lines.push(format!("  {}  ({}{test})", running.operator.address(resident), resident.kind));
    }
    lines
}

/// Lines in a box; the width is that of the longest line.
fn framed(lines: &[String]) -> String {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let rule = "─".repeat(width + 2);
    let mut text = format!("  ┌{rule}┐\n");
    for line in lines {
        let padding = " ".repeat(width - line.chars().count());
        text.push_str(&format!("  │ {line}{padding} │\n"));
    }
    text + &format!("  └{rule}┘\n")
}

/// Commands that work as they stand, from any directory.
fn commands(layout: &Layout, pki: &Pki, a: &Running<'_>, b: &Running<'_>) -> String {
    let first = |operator: &Operator| operator.first("PER", false).map(|r| operator.address(r)).unwrap_or_default();
    let (from, to) = (first(b.operator), first(a.operator));
    let peer = pki.identity(b.operator.id);
    let quoted = |path: &Path| shell_quoted(&path.display().to_string());
    let program = std::env::current_exe().map_or_else(|_| "caducee".to_owned(), |path| quoted(&path));
    let (cert, key, root) = (quoted(&peer.cert), quoted(&peer.key), quoted(&pki.root()));
    format!(
        "  Deliver as the other operator, over mutual TLS:\n\n\
         swaks --server 127.0.0.1:{smtp} --tls --tls-verify --tls-ca-path {root} \\\n      \
         --tls-cert {cert} --tls-key {key} \\\n      \
         --from {from} --to {to} --header 'Subject: Bonjour'\n\n  \
         Read it:\n\n\
         curl --cacert {root} --user '{to}:{PASSWORD}' \\\n      \
         'imaps://localhost:{imaps}/INBOX;MAILINDEX=*'\n\n  \
         The same with a Pro Santé Connect token in place of the password:\n\n\
         curl --cacert {root} --user '{to}:' --sasl-ir \\\n      \
         --oauth2-bearer \"$({program} sandbox token {to} --dir {dir})\" \\\n      \
         'imaps://localhost:{imaps}/INBOX;MAILINDEX=*'\n\n  \
         Administer:\n\n\
         {program} mailbox list --socket {socket}\n",
        smtp = a.ports.smtp,
        imaps = a.ports.imaps,
        dir = quoted(layout.dir()),
        socket = quoted(&layout.path(a.operator.id).join("admin.sock")),
    )
}

/// A word of a shell command.
fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_the_shell() {
        assert_eq!(shell_quoted("/tmp/a-b_c.pem"), "/tmp/a-b_c.pem");
        assert_eq!(shell_quoted("/tmp/l'été $HOME"), r"'/tmp/l'\''été $HOME'");
    }

    #[test]
    fn a_frame_is_as_wide_as_its_longest_line() {
        let text = framed(&["é".to_owned(), "abc".to_owned()]);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [9, 9, 9, 9]);
    }
}
