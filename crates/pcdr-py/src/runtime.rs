//! The threads on which work goes on while the interpreter does something else.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

use crate::error::Trouble;

/// The runtime, and the process whose threads it has.
static RUNTIME: OnceLock<(u32, Runtime)> = OnceLock::new();

/// The process's runtime, started when first needed.
///
/// # Errors
///
/// [`Trouble::Usage`] in a process that was forked after the runtime started: threads are not forked.
pub(crate) fn runtime() -> Result<&'static Runtime, Trouble> {
    let (owner, runtime) = match RUNTIME.get() {
        Some(started) => started,
        None => {
            let runtime =
                Builder::new_multi_thread().thread_name("pcdr").enable_all().build().map_err(
                    |error| {
                        Trouble::failed(
                            "runtime",
                            format!("threads were needed, but: {error}"),
                            "Free some memory.",
                        )
                    },
                )?;
            RUNTIME.get_or_init(|| (std::process::id(), runtime))
        }
    };
    if *owner != std::process::id() {
        return Err(Trouble::usage(
            "forked",
            "a process that started pcdr itself was needed, but this one was forked from one that had \
             used it already, and threads are not forked",
            "Start processes with the method \"spawn\", or use pcdr only after the fork.",
        ));
    }
    Ok(runtime)
}
