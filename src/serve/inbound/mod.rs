//! The door of the other operators: SMTP over mutual TLS.
