//! Who asks for something, and from where.

use std::sync::Arc;

use super::{Action, Actor, Origin, Trace};

/// Who asks for something, and from where: what the traces of one session have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// Who.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
}

impl Asker {
    /// The server itself.
    pub fn server() -> Self {
        Actor::server().into()
    }

    /// The trace of what they do, on a mailbox where there is one.
    pub fn trace(&self, mailbox: Option<&str>, action: Action) -> Trace {
        let Self { actor, origin } = self.clone();
        Trace { actor, origin, mailbox: mailbox.map(str::to_owned), ..Trace::of(action) }
    }
}

impl From<Actor> for Asker {
    fn from(actor: Actor) -> Self {
        Self { actor, origin: Origin::default() }
    }
}

impl From<Actor> for Arc<Asker> {
    fn from(actor: Actor) -> Self {
        Arc::new(actor.into())
    }
}
