//! The device authorities, told to those who judge client certificates.

use super::{Shared, Shutdown};
use crate::accounts::devices::{AuthorityList, DeviceError};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::error;

/// Opens the authorities (makes the first one), and has their certificates believed from now on, whenever they change.
///
/// # Errors
/// There is no authority, and none can be made.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<(), DeviceError> {
    shared.registry.open_device_authorities().await?;
    // Listening begins before the list is read: what changes in between is seen, and what has not changed is not read again.
    let mut authorities = shared.registry.device_authorities();
    let list = authorities.borrow_and_update().clone();
    believe(shared, list).await;
    tokio::spawn(follow(Arc::clone(shared), authorities, shared.shutdown.clone()));
    Ok(())
}

async fn follow(shared: Arc<Shared>, mut authorities: watch::Receiver<AuthorityList>, shutdown: Shutdown) {
    loop {
        let list = tokio::select! {
            () = shutdown.begun() => return,
            changed = authorities.changed() => match changed {
                Ok(()) => authorities.borrow_and_update().clone(),
                Err(_) => return,
            },
        };
        believe(&shared, list).await;
    }
}

/// Contexts are made anew, with every revocation list in them: no work for a thread that answers connections.
async fn believe(shared: &Arc<Shared>, list: AuthorityList) {
    let shared = Arc::clone(shared);
    let replacing = tokio::task::spawn_blocking(move || shared.tls.replace_device_authorities(&list));
    // A thread that is gone takes the process's stop with it: nobody is there to believe anybody.
    if let Ok(Err(problem)) = replacing.await {
        error!(
            event = "devices.unusable",
            "the device authorities cannot be believed, the ones before stay: {problem}"
        );
    }
}
