//! The device authorities of the registry, put into the TLS contexts: at the start, and whenever they change.

use std::sync::Arc;

use super::Shared;
use super::tls::TlsError;

/// Puts the authorities of now in force, and those of later whenever there are others.
///
/// # Errors
/// One of them cannot be an authority's.
pub(super) fn follow(shared: &Arc<Shared>) -> Result<(), TlsError> {
    let mut believed = shared.registry.device_authorities();
    let now = believed.borrow_and_update().clone();
    shared.tls.replace_device_authorities(&now)?;
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shared.shutdown.begun() => return,
                changed = believed.changed() => if changed.is_err() { return },
            }
            let now = believed.borrow_and_update().clone();
            if let Err(error) = shared.tls.replace_device_authorities(&now) {
                tracing::error!(%error, "the device authorities cannot be used; those of before stay in force");
            }
        }
    });
    Ok(())
}
