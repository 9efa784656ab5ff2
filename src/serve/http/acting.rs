//! For whom the administration works: the user at the other end of the socket, whom the kernel names.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Administration;
use super::peer::Caller;
use crate::audit::{Actor, Asker, By, Origin};

/// The door's name in traces.
const DOOR: &str = "admin";

/// The administration, working for who asks: the traces of what is changed through its registry name them. Every handler
/// that changes something takes this one.
pub(super) struct Acting(pub(super) Arc<Administration>);

impl FromRequestParts<Arc<Administration>> for Acting {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, administration: &Arc<Administration>) -> Result<Self, Infallible> {
        let registry = administration.registry.acting_for(asker(parts));
        Ok(Self(Arc::new(Administration { registry, ..administration.as_ref().clone() })))
    }
}

/// Who asks, as traces name them.
pub(super) fn asker(parts: &Parts) -> Asker {
    let caller = parts.extensions.get::<Caller>();
    let login = caller.map(|caller| format!("uid {}", caller.uid));
    let actor = Actor { by: Some(By::Administrator), login, ..Actor::default() };
    let origin = Origin { door: DOOR.to_owned(), ..Origin::default() };
    Asker { actor, origin }
}
