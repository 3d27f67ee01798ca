//! Another tool implements a port: the application around the database is not Persistent Chat but a
//! REST service with a switch. The planner, the run and the journal stay pcdr's.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pcdr_core::known::Known;
use pcdr_core::mock::MockWorld;
use pcdr_core::observation::{PoolObservation, PoolState};
use pcdr_core::observe::observe;
use pcdr_core::ports::{Owner, PoolControl, Progress};
use pcdr_core::run::{Watcher, apply, plan};
use pcdr_core::step::{PoolAction, Step};
use pcdr_core::{Consent, InstanceError, Intent, Situation, Topology};

/// The service's switch. In a real tool, each method is one HTTP request.
struct RestService {
    inner: Arc<dyn PoolControl>,
    requests: Mutex<Vec<String>>,
}

#[async_trait]
impl PoolControl for RestService {
    async fn observe(&self) -> Result<PoolObservation, InstanceError> {
        Ok(PoolObservation {
            replicas_up_to_date: Known::Known(BTreeMap::new()),
            is_configuration_writable: Known::Known(true),
            ..self.inner.observe().await?
        })
    }

    async fn run(&self, action: &PoolAction, progress: &dyn Progress) -> Result<(), InstanceError> {
        let request = match action {
            PoolAction::SetState(PoolState::FailedOver) => "PUT /database {\"site\": \"backup\"}",
            PoolAction::SetState(PoolState::Normal) => "PUT /database {\"site\": \"home\"}",
            PoolAction::ClearActiveServers => "DELETE /servers",
            PoolAction::AddActiveServer(_) => "POST /servers",
            PoolAction::InstallMirror { .. } => "POST /mirror",
            PoolAction::FailOverDatabase { .. } => "POST /mirror/failover",
            PoolAction::AwaitServers(_) => "GET /servers",
        };
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.to_owned());
        self.inner.run(action, progress).await
    }
}

struct Print;

impl Watcher for Print {
    fn started(&self, step: &Step) {
        println!("{:>2}. {step}", step.id);
    }
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let topology = Topology::parse(pcdr_core::topology::EXAMPLE)?;
    let world = MockWorld::new(topology.clone());
    world.ship("mgc", 1000, 1100);
    for instance in ["sql-n1", "sql-n2", "sql-n3"] {
        world.lose_instance(instance);
    }

    let mut ports = world.ports();
    let inner = ports.pool.take().ok_or("the example topology has a pool")?;
    let service = Arc::new(RestService { inner, requests: Mutex::default() });
    ports.pool = Some(service.clone());

    let consents = BTreeMap::from([(Consent::PrimarySiteLost, ())]).into_keys().collect();
    let observation = observe(&topology, &ports, "custom_pool_control", None).await;
    let situation = Situation::new(&topology, &observation, &consents, world.now());
    let plan = plan(Intent::DisasterFailover, &situation)?;
    let owner = Owner { who: "custom_pool_control".into(), run: "example".into() };
    apply(&plan, &topology, &ports, &owner, &Print).await?;

    let requests = service.requests.lock().unwrap_or_else(PoisonError::into_inner);
    println!("\nrequests to the service:\n  {}", requests.join("\n  "));
    Ok(())
}
