//! Mail as other programs keep it in files: pure reading and writing, shared by import and export.

pub mod asctime;
pub mod flags;
pub mod mbox;
pub mod names;
