//! The trust space: white list, names, admission, exchange, refresh.

mod admission;
mod exchange;
mod mutations;
mod names;
mod real_list;
mod signers;
mod support;
