//! The home of the workspace's benches: each is a file `NAME.rs` beside this crate's manifest.
//!
//! Run them with `cargo xtask bench`. The library holds what they measure with.

pub mod handover;
pub mod many;
pub mod raw;
pub mod recovery;

/// Runs something in virtual time, on one thread.
#[allow(clippy::missing_panics_doc, reason = "only without a runtime")]
pub fn virtually<F: Future>(measured: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing but memory and a poll of the system");
    runtime.block_on(measured)
}
