//! The command line's arms, nothing else.

fn main() {}
