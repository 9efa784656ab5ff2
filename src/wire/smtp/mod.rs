//! SMTP (RFC 5321) as pure engines.
