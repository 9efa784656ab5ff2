//! Who people are: domains, mailboxes, credentials.
