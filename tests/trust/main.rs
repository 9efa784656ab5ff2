//! The trust space: white list, names, admission, exchange, refresh.

mod real_list;
mod support;
