//! A whole trust space on loopback.
