//! The trust space: vocabulary and rules. Pure: no I/O, no clock of its own.
