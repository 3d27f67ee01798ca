//! Plans a disaster failover from an observation that somebody wrote to JSON, without any server.
//!
//! Shows what the operator sees: first the refusal, because nobody has confirmed that the primary site
//! is lost; then, with the named consent, the verified plan with its predicted loss.

use std::collections::BTreeSet;
use std::error::Error;

use pcdr_core::run::plan;
use pcdr_core::{Consent, Intent, Observation, Situation, Topology};

fn main() -> Result<(), Box<dyn Error>> {
    let topology = Topology::parse(pcdr_core::topology::EXAMPLE)?;
    let observation: Observation = serde_json::from_str(include_str!("observation.json"))?;
    let now = observation.taken_at;

    let none = BTreeSet::new();
    let situation = Situation::new(&topology, &observation, &none, now);
    let refusal = plan(Intent::DisasterFailover, &situation).err().ok_or("a plan without proof")?;
    println!("refused [{}]: {refusal}", refusal.code());
    println!("what to do: {}", refusal.remedy());
    let (consent, price) = refusal.way_out().ok_or("no way out")?;
    println!("or consent to “{consent}”, at the price of: {price}\n");

    let consents = BTreeSet::from([Consent::PrimarySiteLost]);
    let situation = Situation { consents: &consents, ..situation };
    let plan = plan(Intent::DisasterFailover, &situation)?;
    for step in &plan.steps {
        println!("{:>2}. {step}\n      {}", step.id, step.source);
    }
    for loss in &plan.predicted_losses {
        println!("will lose {loss}");
    }
    Ok(())
}
