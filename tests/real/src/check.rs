//! What a check is, and how one is run: opened, tried, cleaned up after, and looked at once more.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;

use crate::ground::Ground;
use crate::servers::Servers;
use crate::survey::Need;

/// Longest that a check may take, on the clock of its servers.
const LIMIT: Duration = Duration::from_secs(1800);

/// The running check.
pub type Trying<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// A sentence that can be false.
    pub name: &'static str,
    /// What the servers must be able to do.
    pub needs: &'static [Need],
    /// Assumptions of `docs/src/certainty.md` that it decides.
    pub decides: &'static [&'static str],
    /// Statement builders of `pcdr-sql` that it carries out.
    pub carries_out: &'static [&'static str],
    /// Panics when it does not hold.
    pub run: for<'a> fn(&'a Servers) -> Trying<'a>,
}

/// A check from the name of its function.
macro_rules! check {
    ($function:ident, needs: [$($need:ident),*], decides: [$($id:literal),*]) => {
        check!($function, needs: [$($need),*], decides: [$($id),*], carries_out: &[])
    };
    ($function:ident, needs: [$($need:ident),*], decides: [$($id:literal),*], carries_out: $builders:expr) => {
        $crate::check::Check {
            name: stringify!($function),
            needs: &[$($crate::survey::Need::$need),*],
            decides: &[$($id),*],
            carries_out: $builders,
            run: |servers| Box::pin($function(servers)),
        }
    };
}
pub(crate) use check;

impl Check {
    /// Runs the check, and cleans up after it whatever it came to.
    ///
    /// # Errors
    ///
    /// Why it does not hold, or what it left behind or changed besides.
    pub fn run_on(&self, ground: &Ground) -> Result<(), String> {
        ground.run(async {
            let with_mirror = self.needs.contains(&Need::Mirroring);
            let servers = Servers::open(ground, with_mirror).await?;
            let before = servers.surroundings().await?;
            let trying = AssertUnwindSafe((self.run)(&servers)).catch_unwind();
            let tried = match tokio::time::timeout(LIMIT, trying).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(panic)) => Err(said(&*panic)),
                Err(_) => Err(format!("it did not end within {} s", LIMIT.as_secs())),
            };
            let carried_out = servers.carried_out();
            let complete = self.carries_out.iter().all(|builder| carried_out.contains(*builder));
            let cleaned = servers.clean_up(&before).await;
            tried?;
            cleaned?;
            if !complete {
                return Err(format!(
                    "of {:?}, it only carried out {carried_out:?}",
                    self.carries_out
                ));
            }
            Ok(())
        })
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "it panicked".to_owned())
}
