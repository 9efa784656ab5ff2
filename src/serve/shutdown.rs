//! Stopping, as the doors see it.

use tokio::sync::watch;

/// Tells every session when the server begins to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// The other end: held by the runtime, which begins the stop.
#[derive(Debug)]
pub struct ShutdownSwitch(watch::Sender<bool>);

/// A switch and what it switches.
pub fn shutdown() -> (ShutdownSwitch, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownSwitch(sender), Shutdown(receiver))
}

impl ShutdownSwitch {
    /// Begins the stop. Sessions end at their next quiet moment, and all are cut off after `server.drain`.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether the stop has begun: take no new work.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// For those that wait on a watch: becomes true when the stop begins.
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }

    /// Resolves when the stop begins (at once if it has). Cancel-safe.
    pub async fn begun(&self) {
        let mut receiver = self.0.clone();
        // An error means that the switch is gone, which is the end of the runtime: stop as well.
        let _ = receiver.wait_for(|begun| *begun).await;
    }
}
