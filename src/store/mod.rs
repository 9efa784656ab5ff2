//! The store: the only room that touches disk.
