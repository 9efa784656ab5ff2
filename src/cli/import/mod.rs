//! `caducee import`.

mod asctime;
mod flags;
pub mod mbox;
pub mod plan;
pub mod reader;
