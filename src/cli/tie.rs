//! `--until-stdin-closes`: a process that ends with the one that started it.
//!
//! The starter keeps the writing end of a pipe and never writes. When it ends, even by SIGKILL, the system closes the
//! pipe, and reading standard input comes to its end. No signal is needed and no process id can be confused with
//! another's.

use std::io::Read;
use std::thread;
use tokio::sync::oneshot;

/// Resolves when standard input has come to its end; never, where `wanted` is false.
pub(super) async fn stdin_closed(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (closed, end) = oneshot::channel();
    // A thread of its own: tokio's reader would keep the runtime from shutting down.
    thread::spawn(move || {
        let mut ignored = [0u8; 512];
        while !matches!(std::io::stdin().read(&mut ignored), Ok(0) | Err(_)) {}
        let _ = closed.send(());
    });
    let _ = end.await;
}
