//! SMTP: the engine by itself, the door in process, and foreign clients against a sandbox.

#[path = "../../fuzz/checks/smtp.rs"]
mod conversation;

mod engine;
mod engine_limits;
mod engine_properties;
mod two_engines;
