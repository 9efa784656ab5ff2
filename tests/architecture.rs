//! The map of `src/lib.rs`, held against the source: who may call whom, what is pure, who may use which library, how much
//! we depend on, how long files are.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// Packages that the binary is built from, at most. Growth is a question to answer in the commit message.
const MOST_PACKAGES: usize = 277;

/// Lines of a source file, its tests not counted, from which it wants to be two. A note, not an error, up to half as
/// much again.
const LONG_FILE: usize = 500;

/// Libraries that belong to some rooms only.
const LIBRARIES: [(&str, &[&str]); 12] = [
    ("sled", &["store"]),
    ("crc32c", &["store"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("axum", &["serve", "sandbox"]),
    ("maud", &["serve"]),
    ("qrcodegen", &["serve"]),
    ("listenfd", &["serve"]),
    ("sd_notify", &["serve"]),
    ("hickory_resolver", &["serve"]),
    ("rcgen", &["accounts", "sandbox"]),
    ("prometheus_client", &["telemetry", "serve"]),
];

/// What a pure room may not name: the world, its clock, its tasks.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os",
    "std::thread",
    "std::process",
    "std::env",
    "tokio::",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "println!",
];

/// What the administration may be asked that changes no mailbox, no means of access and no setting: to look at something again.
const LOOKS: [&str; 5] = [
    "POST /v1/directory/copy/refresh",
    "POST /v1/traces/verify",
    "POST /v1/trust/explain/certificate",
    "POST /v1/trust/explain/exchange",
    "POST /v1/trust/refresh",
];

/// What the portal asks of the registry itself: who comes in is not in yet, and an authenticator that is begun is not set.
const PORTALS_OWN: [&str; 3] = ["begin_authenticator(", "let_in(", "mail_code("];

/// A source file without comments and without its tests.
struct Source {
    path: String,
    room: String,
    lines: Vec<(usize, String)>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

fn sources() -> Vec<Source> {
    let (src, mut files) = (root().join("src"), Vec::new());
    rust_files(&src, &mut files).expect("src can be read");
    // A room's unit tests: `tests.rs`, and what lies in a `tests` beside it.
    let is_test = |name: &OsStr| name == "tests.rs" || name == "tests";
    files.retain(|path| !path.strip_prefix(&src).expect("below src").iter().any(is_test));
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a source file can be read");
    let relative = path.strip_prefix(root().join("src")).expect("below src");
    let room = relative.components().next().expect("a name").as_os_str().to_string_lossy().replace(".rs", "");
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    let mut all = text.lines().enumerate().peekable();
    while let Some((number, line)) = all.next() {
        // Unit tests stand at a file's end; a test's helper may stand alone before them.
        let is_test = line.trim_start().starts_with("#[cfg(test)]");
        if is_test && all.peek().is_none_or(|(_, next)| next.trim_start().starts_with("mod tests {")) {
            break;
        }
        lines.push((number + 1, code(line)));
    }
    Source { path: relative.to_string_lossy().into_owned(), room, lines }
}

/// The rooms of the map, and what each may call: whole rooms (`mss`) or parts (`serve::tls`).
fn map() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    let row = |line: &str| {
        let (room, rest) = line.split_once("`]").expect("a room");
        let allowed = rest.trim_end_matches(" |").rsplit(" | ").next().expect("a last column");
        let names = allowed.split(", ").map(str::trim).filter(|name| *name != "–").map(str::to_owned);
        (room.to_owned(), names.collect())
    };
    rows.map(row).collect()
}

/// The paths into our own crate that a line names: `crate::mail::MailRoom` → `mail::MailRoom`.
fn calls(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("crate::") {
        let is_word = rest[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        rest = &rest[at + "crate::".len()..];
        if is_word {
            continue;
        }
        match rest.strip_prefix('{') {
            // use crate::{config::Config, mss::Domain};
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                found.extend(list.split(',').map(|path| path_of(path.trim())));
            }
            None => found.push(path_of(rest)),
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

fn path_of(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

fn is_allowed(allowed: &BTreeSet<String>, path: &str) -> bool {
    allowed
        .iter()
        .any(|name| path == name || path.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with("::")))
}

#[test]
fn no_room_calls_one_that_the_map_does_not_let_it() {
    let map = map();
    let mut breaches = String::new();
    for source in sources().iter().filter(|source| source.room != "lib" && source.room != "main") {
        let allowed = map.get(&source.room).unwrap_or_else(|| panic!("{} is not on the map of lib.rs", source.room));
        for (number, line) in &source.lines {
            for path in calls(line) {
                let room = path.split("::").next().unwrap_or_default();
                if room != source.room && map.contains_key(room) && !is_allowed(allowed, &path) {
                    let _ = writeln!(breaches, "src/{}:{number}: {} may not call {path}", source.path, source.room);
                }
            }
        }
    }
    assert!(breaches.is_empty(), "\n{breaches}");
}

#[test]
fn the_map_names_every_room_once_and_no_other() {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let modules: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect();
    let rooms: BTreeSet<String> = map().into_keys().collect();
    assert_eq!(modules, rooms);
}

#[test]
fn pure_rooms_have_no_world_no_clock_and_no_tasks() {
    let mut breaches = String::new();
    for source in sources().iter().filter(|source| source.room == "mss" || source.room == "wire") {
        for (number, line) in &source.lines {
            for name in IMPURE.iter().filter(|name| line.contains(**name)) {
                let _ = writeln!(breaches, "src/{}:{number}: {name} in a pure room", source.path);
            }
        }
    }
    assert!(breaches.is_empty(), "\n{breaches}");
}

#[test]
fn libraries_stay_in_their_rooms() {
    let mut breaches = String::new();
    for source in sources() {
        for (number, line) in &source.lines {
            for (library, rooms) in LIBRARIES {
                let used = line.match_indices(library).any(|(at, _)| {
                    let before =
                        line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
                    !before && line[at + library.len()..].starts_with("::")
                });
                if used && !rooms.contains(&source.room.as_str()) {
                    let _ = writeln!(breaches, "src/{}:{number}: {library} belongs to {rooms:?}", source.path);
                }
            }
        }
    }
    assert!(breaches.is_empty(), "\n{breaches}");
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    let mut breaches = String::new();
    for source in sources() {
        for (number, line) in &source.lines {
            if [".unwrap()", "todo!(", "unimplemented!("].iter().any(|word| line.contains(word)) {
                let _ = writeln!(breaches, "src/{}:{number}: {}", source.path, line.trim());
            }
        }
    }
    assert!(breaches.is_empty(), "\n{breaches}");
}

/// MSSanté §11: traces say who did it. A handler is known by its first comment, "`POST /v1/…`".
#[test]
fn handlers_that_change_something_work_for_who_asks() {
    let (mut breaches, mut handlers) = (String::new(), 0);
    for source in sources().iter().filter(|source| source.path.starts_with("serve/http/")) {
        let text = fs::read_to_string(root().join("src").join(&source.path)).expect("a source file can be read");
        for (at, mark) in text.match_indices("\n/// `").filter(|_| !source.path.contains("types")) {
            let (endpoint, rest) = text[at + mark.len()..].split_once('`').expect("an end");
            let changes = ["POST ", "PUT ", "PATCH ", "DELETE "].iter().any(|method| endpoint.starts_with(method));
            if changes && !LOOKS.contains(&endpoint) {
                handlers += 1;
                let signature = rest.split(") ->").next().unwrap_or_default();
                if !signature.contains("Acting") {
                    let _ = writeln!(breaches, "src/{}: {endpoint} works for the server", source.path);
                }
            }
        }
    }
    for source in sources().iter().filter(|source| source.path.starts_with("serve/portal/")) {
        for (number, line) in &source.lines {
            let waits =
                line.ends_with(".await") || [".await?", ".await;", ".await "].iter().any(|end| line.contains(end));
            let is_change = line.contains("shared.registry.") && waits;
            if is_change && !PORTALS_OWN.iter().any(|own| line.contains(own)) {
                let _ = writeln!(breaches, "src/{}:{number}: for whom? registry_for says", source.path);
            }
        }
    }
    assert!(breaches.is_empty(), "\n{breaches}");
    assert!(handlers > 30, "they are found no more: {handlers}");
}

#[test]
fn files_are_short() {
    for source in sources() {
        let length = source.lines.len();
        assert!(length <= LONG_FILE * 3 / 2, "src/{} has {length} lines: make two subjects of it", source.path);
        if length > LONG_FILE {
            println!("note: src/{} has {length} lines", source.path);
        }
    }
}

#[test]
fn the_dependency_tree_stays_small() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--no-dedupe"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().expect("cargo tree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let name_and_version = |line: &str| line.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
    let packages: BTreeSet<Vec<String>> = text.lines().filter(|line| !line.is_empty()).map(name_and_version).collect();
    println!("{} packages", packages.len());
    assert!(packages.len() <= MOST_PACKAGES, "{} packages, at most {MOST_PACKAGES}", packages.len());
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    assert!(!lock.contains("source = \"git+"), "nothing is fetched by git");
}

#[test]
fn no_committed_text_names_the_place_it_was_made_at() {
    // Written apart, so that this file does not name it.
    let workplace = format!("/{}/", "work");
    let mut files = Vec::new();
    for directory in ["src", "tests", "fuzz", "benches"] {
        let directory = root().join(directory);
        if directory.is_dir() {
            rust_files(&directory, &mut files).expect("readable");
        }
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let line = text.lines().find(|line| line.contains(&workplace));
        assert!(line.is_none(), "{}: {}", file.display(), line.unwrap_or_default());
    }
}

#[test]
fn calls_are_found_in_every_form() {
    assert_eq!(calls("use crate::mail::{self, MailRoom};"), ["mail"]);
    assert_eq!(calls("use crate::{config::Config, mss};"), ["config::Config", "mss"]);
    assert_eq!(
        calls("let x = crate::serve::tls::accept(crate::store::Store::in_memory());"),
        ["serve::tls::accept", "store::Store::in_memory"]
    );
    assert!(calls("pub(crate) fn f() {} // mycrate::x").is_empty());
}
