//! `caducee import`.

pub mod plan;
pub mod reader;
