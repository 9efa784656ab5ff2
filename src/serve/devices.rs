//! The device authorities, told to those who judge client certificates.

use super::{Shared, Shutdown};
use crate::accounts::devices::DeviceError;
use std::sync::Arc;
use tracing::error;

/// Opens the authorities (makes the first one), and has their certificates believed from now on, whenever they change.
///
/// # Errors
/// There is no authority, and none can be made.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<(), DeviceError> {
    shared.registry.open_device_authorities().await?;
    believe(shared);
    tokio::spawn(follow(Arc::clone(shared), shared.shutdown.clone()));
    Ok(())
}

async fn follow(shared: Arc<Shared>, shutdown: Shutdown) {
    let mut authorities = shared.registry.device_authorities();
    authorities.mark_changed();
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            changed = authorities.changed() => match changed {
                Ok(()) => drop(authorities.borrow_and_update()),
                Err(_) => return,
            },
        }
        believe(&shared);
    }
}

fn believe(shared: &Shared) {
    let list = shared.registry.device_authorities().borrow().clone();
    if let Err(problem) = shared.tls.replace_device_authorities(&list) {
        error!(
            event = "devices.unusable",
            "the device authorities cannot be believed, the ones before stay: {problem}"
        );
    }
}
