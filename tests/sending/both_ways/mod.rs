//! Mail both ways between the two operators of a sandbox, by other people's programs: what arrives, what the sender is told,
//! what `caducee follow` and `caducee queue` show of it.

mod arrival;
mod citizens;
mod follow;
mod programs;
mod queue;
mod reports;
mod way;
