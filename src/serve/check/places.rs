//! The master key, the relay of notices, directories, and ports.

use super::Look;
use crate::serve::tls::read_anchors;
use crate::serve::{listen, master_key_path, read_master_key, read_secret};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

pub(super) fn check(look: &mut Look<'_>) {
    master_key(look);
    notices(look);
    let config = &look.examined.config;
    let (store, cache, socket) = (config.store.path.clone(), config.trust.cache.clone(), config.admin.socket.clone());
    directory(look, "store.path", &store);
    let traces = config.traces.directory(&store);
    directory(look, "traces.path", &traces);
    directory(look, "trust.cache", &cache);
    if socket.parent().is_some_and(|parent| !parent.is_dir()) {
        look.note("admin.socket", format!("{} is not there yet; RuntimeDirectory= makes it", socket.display()));
    }
    ports(look);
}

fn master_key(look: &mut Look<'_>) {
    let setting = look.examined.config.seal.master_key.clone();
    if !look.is_readable("seal.master_key") {
        return;
    }
    let is_credential = setting.starts_with("credential:");
    if is_credential && std::env::var_os("CREDENTIALS_DIRECTORY").is_none() {
        return look
            .note("seal.master_key", format!("{setting} is given by systemd to the service; not looked at here"));
    }
    if look.value("seal.master_key", read_master_key(&setting).map_err(|error| without_key_name(&error))).is_some()
        && !is_credential
        && let Ok(path) = master_key_path(&setting)
    {
        look.is_private("seal.master_key", &path);
    }
}

/// What `[notices]` names.
fn notices(look: &mut Look<'_>) {
    let notices = look.examined.config.notices.clone();
    if !notices.is_on() {
        return;
    }
    look.value("notices.anchors", read_anchors(&notices.anchors));
    let (key, setting) = ("notices.password", notices.password.as_str());
    let is_credential = setting.starts_with("credential:");
    if setting.is_empty() || !look.is_readable(key) {
        return;
    }
    if is_credential && std::env::var_os("CREDENTIALS_DIRECTORY").is_none() {
        return look.note(key, format!("{setting} is given by systemd to the service; not looked at here"));
    }
    // The error names its key for the start; here the key stands before it.
    let secret = read_secret(key, setting).map_err(|error| error.to_string().replacen(&format!("{key}: "), "", 1));
    if look.value(key, secret).is_some()
        && !is_credential
        && let Ok(path) = master_key_path(setting)
    {
        look.is_private(key, &path);
    }
}

/// The error names its key for the start; here the key stands before it.
fn without_key_name(error: &crate::serve::MasterKeyError) -> String {
    let text = error.to_string();
    text.strip_prefix("seal.master_key: ").map(str::to_owned).unwrap_or(text)
}

/// A directory that is there, or can be made.
fn directory(look: &mut Look<'_>, key: &str, path: &Path) {
    let Some(there) = path.ancestors().find(|ancestor| ancestor.exists()) else { return };
    if !there.is_dir() {
        look.problem(key, format!("{} is not a directory", there.display()));
    }
}

/// Every port can be had, unless the running server has it.
fn ports(look: &mut Look<'_>) {
    let config = look.examined.config.clone();
    let is_running = UnixStream::connect(&config.admin.socket).is_ok();
    let health = ("metrics.listen", config.metrics.listen.as_slice());
    let doors = listen::doors(&config).map(|(_, key, addresses)| (key, addresses));
    for (key, addresses) in doors.into_iter().chain([health]) {
        for address in addresses {
            port(look, key, *address, is_running);
        }
    }
}

fn port(look: &mut Look<'_>, key: &str, address: SocketAddr, is_running: bool) {
    use std::io::ErrorKind as Kind;
    let Err(error) = listen::bind(address) else { return };
    match error.kind() {
        Kind::AddrInUse if is_running => {
            look.note(key, format!("{address} is in use, as far as can be seen by the running server"));
        }
        Kind::PermissionDenied => {
            look.note(key, format!("{address} needs a privilege that systemd's socket unit does without: {error}"));
        }
        _ if address.is_ipv6() && listen::is_no_such_family(&error) => {
            look.note(key, format!("{address}: this machine has no IPv6"));
        }
        _ => look.problem(key, format!("cannot listen on {address}: {error}")),
    }
}
