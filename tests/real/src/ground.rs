//! Where the checks run: on the stand-in or on servers that the environment names.

use crate::environment::Settings;

/// Where the checks run.
#[derive(Debug, Clone)]
pub enum Ground {
    /// A stand-in of their own for each check, over the wire, in virtual time.
    StandIn,
    /// The servers that the environment names, shared by all checks.
    Named(Box<Settings>),
}

impl Ground {
    /// What the environment says.
    ///
    /// # Errors
    ///
    /// A mistake in the variables.
    pub fn from_environment() -> Result<Ground, String> {
        let settings = Settings::read(std::env::vars())?;
        Ok(settings.map_or(Ground::StandIn, |settings| Ground::Named(Box::new(settings))))
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        match self {
            Ground::StandIn => {
                "the stand-in, over the wire, in virtual time (no PCDR_TEST_ variable is set)"
                    .to_owned()
            }
            Ground::Named(settings) => format!("servers that the environment names\n{settings}"),
        }
    }

    /// Whether all checks use the same servers, so that only one at a time may run.
    pub fn is_shared(&self) -> bool {
        matches!(self, Ground::Named(_))
    }

    /// Runs to the end, on the clock of the servers.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(matches!(self, Ground::StandIn))
            .build()
            .unwrap();
        runtime.block_on(work)
    }
}
