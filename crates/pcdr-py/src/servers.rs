//! The stand-ins of a topology, served in this process.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pcdr_cli::failure::Failure;
use pcdr_cli::sim::Session;
use pcdr_cli::topology_file::TopologyFile;
use pcdr_cli::world::{self, StandIn};
use pyo3::prelude::*;

use crate::error::Trouble;
use crate::job::{Job, start};
use crate::topology::{Reach, Topology};

/// Stand-ins that are served until they are closed.
#[pyclass(frozen, module = "pcdr._pcdr")]
pub(crate) struct StandIns {
    topology: Topology,
    reach: Arc<Reach>,
    served: Mutex<Option<Arc<Served>>>,
}

struct Served {
    session: Session,
    /// Removed with what is in it.
    _folder: Option<tempfile::TempDir>,
}

impl StandIns {
    /// Builds the stand-ins of a topology and serves them.
    ///
    /// # Errors
    ///
    /// Folders, certificates or ports.
    pub(crate) async fn serve(
        designed: Arc<TopologyFile>,
        seed: u64,
        keep: Option<PathBuf>,
    ) -> Result<StandIns, Trouble> {
        let (folder, temporary) = world::folder(keep.as_deref())?;
        let plan = world::Plan {
            folder: folder.clone(),
            seed,
            begins_at: None,
            in_flight: None,
            meter: None,
            shell_command: Vec::new(),
        };
        let stand_in = StandIn::build(&designed, plan).await?;
        let session = Session::new(stand_in, &folder, None)?;
        let is_closed = AtomicBool::new(false);
        let reach = Arc::new(Reach { way: session.way.clone(), is_closed });
        let topology = Topology {
            file: Arc::new(session.stand_in.file.clone()),
            stand_ins: Some(Arc::clone(&reach)),
        };
        let served = Arc::new(Served { session, _folder: temporary });
        Ok(StandIns { topology, reach, served: Mutex::new(Some(served)) })
    }

    fn served(&self) -> Result<Arc<Served>, Trouble> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.clone().ok_or(Trouble::Closed("the stand-ins"))
    }

    /// Carries out one command of those that name something.
    fn obey<F, T>(&self, work: impl FnOnce(Arc<Served>) -> F) -> PyResult<Job>
    where
        F: Future<Output = Result<T, Trouble>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        let served = self.served()?;
        start(|_| work(served))
    }
}

/// What the stand-ins say of a name that they do not have.
fn unknown(why: String) -> Trouble {
    Failure::usage("no_such_thing", why, "Name what the topology of the stand-ins has.").into()
}

#[pymethods]
impl StandIns {
    #[getter]
    fn topology(&self) -> Topology {
        self.topology.clone()
    }

    fn lose_site(&self, name: String) -> PyResult<Job> {
        self.obey(async move |s| s.session.stand_in.lose_site(&name).await.map_err(unknown))
    }

    fn return_site(&self, name: String) -> PyResult<Job> {
        self.obey(async move |s| s.session.stand_in.return_site(&name).await.map_err(unknown))
    }

    fn lose_instance(&self, name: String) -> PyResult<Job> {
        self.obey(async move |s| s.session.stand_in.lose_instance(&name).await.map_err(unknown))
    }

    fn return_instance(&self, name: String) -> PyResult<Job> {
        self.obey(async move |s| s.session.stand_in.return_instance(&name).await.map_err(unknown))
    }

    fn lose_share(&self, name: String) -> PyResult<Job> {
        self.obey(async move |s| s.session.stand_in.lose_share(&name).await.map_err(unknown))
    }

    fn return_share(&self, name: String) -> PyResult<Job> {
        self.obey(async move |s| s.session.stand_in.return_share(&name).await.map_err(unknown))
    }

    fn cut(&self, one: String, other: String, one_way: bool) -> PyResult<Job> {
        self.obey(async move |s| {
            s.session.stand_in.cut(&one, &other, one_way).await.map_err(unknown)
        })
    }

    fn heal(&self, one: String, other: String) -> PyResult<Job> {
        self.obey(async move |s| s.session.stand_in.heal(&one, &other).await.map_err(unknown))
    }

    fn kill_connections(&self, instance: String) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.kill_connections(&instance)?))
    }

    fn corrupt(&self, file: String) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.corrupt(&file)?))
    }

    fn truncate(&self, file: String, size_bytes: u64) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.truncate(&file, size_bytes)?))
    }

    fn run_job(&self, instance: String, job: String) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.run_job(&instance, &job).await?))
    }

    fn sql(&self, instance: String, batch: String) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.sql(&instance, &batch).await?))
    }

    fn create_databases(&self) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.databases().await?))
    }

    fn prepare(&self) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.prepare().await?))
    }

    fn write(&self, count: u64) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.write(count).await?))
    }

    fn ship(&self) -> PyResult<Job> {
        self.obey(async move |s| Ok(s.session.back_up().await?))
    }

    fn records(&self, instance: String, database: String) -> PyResult<Job> {
        self.obey(async move |s| -> Result<BTreeSet<u64>, Trouble> {
            Ok(s.session.records(&instance, &database).await?)
        })
    }

    /// Closes them; what still runs on them fails. Closing twice does nothing.
    fn close(&self) -> PyResult<Job> {
        self.reach.is_closed.store(true, Ordering::Relaxed);
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner).take();
        start(|_| async move {
            drop(served);
            Ok(())
        })
    }

    fn __repr__(&self) -> String {
        format!("<pcdr._pcdr.StandIns of {}>", self.topology.file.path.display())
    }
}
