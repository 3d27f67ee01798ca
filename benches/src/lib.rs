//! The home of the workspace's benches: each is a file `NAME.rs` beside this crate's manifest.
//!
//! Run them with `cargo xtask bench`. The library holds what they measure with.

pub mod many;
pub mod raw;
