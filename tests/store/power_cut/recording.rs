//! What a process asked of the kernel, as strace has written it down (`strace -f -v -xx`): the calls that change files, when
//! each began and when it ended.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The calls that are understood, and those of the same kind that are not: one of these in a recording is a panic, for what
/// it did would be missing. Those that a machine does not have are passed over.
pub const CALLS: &str = "trace=?open,?openat,?openat2,?creat,?close,?dup,?dup2,?dup3,?fcntl,?lseek,?write,?pwrite64,?writev,\
    ?pwritev,?pwritev2,?ftruncate,?truncate,?fallocate,?fsync,?fdatasync,?sync,?syncfs,?msync,?rename,?renameat,?renameat2,\
    ?link,?linkat,?symlink,?symlinkat,?unlink,?unlinkat,?mkdir,?mkdirat,?rmdir,?copy_file_range,?sendfile,?splice,\
    ?io_uring_setup";

/// A call that changes files, names, or what a descriptor means.
#[derive(Debug)]
pub enum Call {
    Open { path: PathBuf, create: bool, truncate: bool, append: bool },
    Close { descriptor: i64 },
    Duplicate { descriptor: i64 },
    Seek { descriptor: i64 },
    Write { descriptor: i64, bytes: Vec<u8> },
    WriteAt { descriptor: i64, bytes: Vec<u8>, at: u64 },
    SetLength { descriptor: i64, length: u64 },
    Sync { descriptor: i64 },
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
    MakeDirectory { path: PathBuf },
}

/// A call is known by its number.
#[derive(Debug)]
pub enum Event {
    Begins(usize, Call),
    /// With what the kernel answered.
    Ends(usize, i64),
}

/// Reads a recording. Panics over what it does not understand.
pub fn events(recording: &str) -> Vec<Event> {
    let (mut events, mut under_way, mut next) = (Vec::new(), HashMap::new(), 0);
    for line in recording.lines() {
        let (process, line) = line.trim_start().split_once(' ').expect("a process and what it did");
        let line = line.trim_start();
        if line.starts_with("+++") || line.starts_with("---") {
            continue;
        }
        if line.starts_with("<...") {
            // One that changes nothing was not noted when it began.
            if let Some((call, answer)) = under_way.remove(process).zip(answer(line)) {
                events.push(Event::Ends(call, answer));
            }
            continue;
        }
        // A thread that the end of its process has caught in a call that strace could not look at any more.
        if line.starts_with("syscall_") && line.ends_with("= ?") {
            continue;
        }
        let Some(call) = call(line) else { continue };
        events.push(Event::Begins(next, call));
        if line.ends_with("<unfinished ...>") {
            under_way.insert(process, next);
        } else if let Some(answer) = answer(line) {
            events.push(Event::Ends(next, answer));
        }
        next += 1;
    }
    events
}

/// None: it was cut off by the end of the process.
fn answer(line: &str) -> Option<i64> {
    let (_, answer) = line.rsplit_once(" = ").expect("an answer");
    let word = answer.split(' ').next().unwrap_or_default();
    match word.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

fn call(line: &str) -> Option<Call> {
    let (name, arguments) = line.split_once('(').expect("a call");
    // Texts are in hexadecimal: no comma is in them.
    let words: Vec<&str> = arguments.split(", ").map(|word| word.trim_end_matches([' ', ')'])).collect();
    let number = |at: usize| {
        let word = words[at].split([' ', ')']).next().unwrap_or_default();
        word.parse::<i64>().unwrap_or_else(|_| panic!("no number: {word} in {}", short(line)))
    };
    let path = |at: usize| PathBuf::from(OsString::from_vec(texts(words[at])));
    let descriptor = || number(0);
    Some(match name {
        "open" | "openat" => {
            let at = usize::from(name == "openat");
            let has = |flag: &str| words[at + 1].split([' ', '|', ')']).any(|word| word == flag);
            let (create, truncate, append) = (has("O_CREAT"), has("O_TRUNC"), has("O_APPEND"));
            Call::Open { path: path(at), create, truncate, append }
        }
        "close" => Call::Close { descriptor: descriptor() },
        "fcntl" if words[1].starts_with("F_DUPFD") => Call::Duplicate { descriptor: descriptor() },
        "fcntl" => return None,
        "lseek" => Call::Seek { descriptor: descriptor() },
        "write" | "writev" => Call::Write { descriptor: descriptor(), bytes: texts(arguments) },
        "pwrite64" => Call::WriteAt { descriptor: descriptor(), bytes: texts(words[1]), at: number(3) as u64 },
        "ftruncate" => Call::SetLength { descriptor: descriptor(), length: number(1) as u64 },
        "fsync" | "fdatasync" => Call::Sync { descriptor: descriptor() },
        "rename" => Call::Rename { from: path(0), to: path(1) },
        "renameat" | "renameat2" if is_plain(&words) => Call::Rename { from: path(1), to: path(3) },
        "unlink" => Call::Unlink { path: path(0) },
        "unlinkat" if is_plain(&words) => Call::Unlink { path: path(1) },
        "mkdir" => Call::MakeDirectory { path: path(0) },
        "mkdirat" if is_plain(&words) => Call::MakeDirectory { path: path(1) },
        _ => panic!("the disk of the test does not know: {}", short(line)),
    })
}

/// No descriptor of a directory in it, and no way of doing it otherwise.
fn is_plain(words: &[&str]) -> bool {
    words[0] == "AT_FDCWD" && words.get(2).is_none_or(|word| matches!(*word, "AT_FDCWD" | "0") || word.starts_with('0'))
}

fn short(line: &str) -> &str {
    line.get(..200).unwrap_or(line)
}

/// All texts, one behind the other.
fn texts(arguments: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(arguments.len() / 4);
    let mut rest = arguments.as_bytes();
    while let [byte, after @ ..] = rest {
        match (byte, rest) {
            (b'\\', [_, b'x', high, low, after @ ..]) => {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => rest = after,
        }
    }
    assert!(!arguments.contains("\"..."), "strace has cut a text short");
    bytes
}

fn digit(hex: u8) -> u8 {
    (hex as char).to_digit(16).expect("a hexadecimal digit") as u8
}
