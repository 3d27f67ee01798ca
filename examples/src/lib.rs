//! The home of the workspace's examples: each is a file `NAME.rs` beside this crate's manifest.
//!
//! Run one with `cargo run -p pcdr-examples --example NAME`; `cargo xtask test` runs them all. The
//! library itself is empty.
