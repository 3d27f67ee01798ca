//! placeholder
use super::msdb::{Arguments, Outcome, Procedure};
use crate::message::SqlFailure;
/// x
pub async fn run(_s: &super::world::SessionRef, _p: Procedure, _a: Arguments<'_>) -> Result<Outcome, SqlFailure> { Ok(Outcome::ok()) }
