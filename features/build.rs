//! Without a build script Cargo would not look at what build scripts and macros are made with.

fn main() {}
