//! SQL Server Agent.

/// The Agent of an instance.
#[derive(Debug, Default)]
pub struct Agent {}

/// Called once when the service of an instance starts.
pub fn started(_world: &super::world::World, _instance: &str) {}
/// x
pub fn signalled(_w: &super::world::World, _i: &str, _s: &[super::msdb::Signal]) {}
