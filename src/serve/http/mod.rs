//! The administration API on the Unix socket.
