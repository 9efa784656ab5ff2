//! What happens to mail: delivery, folders, flags, changes.

pub mod summary;
