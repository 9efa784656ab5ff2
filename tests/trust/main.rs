//! The trust space: white list, names, admission, exchange, refresh.

mod mutations;
mod real_list;
mod signers;
mod support;
