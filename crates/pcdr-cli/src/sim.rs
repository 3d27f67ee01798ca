//! `pcdr sim`: serves the stand-ins of a topology and takes faults as commands on standard input.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pcdr_core::observe::observe;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run;
use pcdr_core::status::judge;
use pcdr_core::{DatabaseName, InstanceName, Intent};
use pcdr_sql::{TcpDialer, Trace, quote};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::args::{Global, Sim};
use crate::connect::{self, Connected, Way};
use crate::failure::Failure;
use crate::output;
use crate::plan;
use crate::status;
use crate::topology_file::TopologyFile;
use crate::views::{SimDocument, SimInstance};
use crate::watch::Watch;
use crate::workload::{self, Reach, Workload};
use crate::world::{self, StandIn};

const HELP: &str = "\
lose instance NAME            the instance stops, as in a power failure
return instance NAME          it starts again
lose site NAME                every instance, share and chat server of the site
return site NAME
cut NAME NAME [one-way]       the link between two sites; `controller` is pcdr itself
heal NAME NAME
lose share NAME               nobody reaches the share (name in the topology)
return share NAME
kill connections NAME         every client's session on an instance
corrupt FILE                  changes a byte of a backup file: UNC path, or name in a share
truncate FILE N               cuts a backup file to N bytes
run job INSTANCE JOB          starts an Agent job
sql INSTANCE BATCH            sends one line of T-SQL to an instance, to change or break something
databases                     creates the databases and nothing else
prepare                       creates the databases, configures mirroring and log shipping
write N                       writes N chat records
backup                        runs backup, copy and restore jobs to their ends
status                        what pcdr sees
quit                          ends, as Ctrl-C does
";

/// A token file and a command that reaches a served Management Shell with it.
#[derive(Debug)]
pub struct ShellDoor {
    listener: TcpListener,
    token: String,
    /// Program and arguments.
    pub command: Vec<String>,
}

impl ShellDoor {
    /// Takes a port and writes the token.
    ///
    /// # Errors
    ///
    /// The port, the file, or the place of this program.
    pub async fn open(folder: &Path) -> Result<ShellDoor, Failure> {
        let failed = |error: std::io::Error| {
            Failure::failed(
                "listen",
                format!("a port for the Management Shell was needed, but: {error}"),
                "Free some ports.",
            )
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        let token_file = folder.join("shell-token");
        world::write_secret(&token_file, &token)?;
        let program = std::env::current_exe().map_err(failed)?;
        let command = [
            program.display().to_string(),
            "sim-shell".to_owned(),
            "--connect".to_owned(),
            address.to_string(),
            "--token-file".to_owned(),
            token_file.display().to_string(),
        ];
        Ok(ShellDoor { listener, token, command: command.to_vec() })
    }

    /// Serves the stand-in's shell for as long as the runtime lives.
    pub fn serve(self, stand_in: &StandIn) {
        if let Some(shell) = &stand_in.shell {
            let shell = Arc::clone(shell);
            tokio::spawn(pcdr_sim::shell::serve(self.listener, shell, self.token));
        }
    }
}

/// Serves until Ctrl-C, `quit`, or, where there is no terminal, a signal.
///
/// # Errors
///
/// Building the stand-in, or its first line of output.
pub async fn run(arguments: &Sim, global: &Global) -> Result<u8, Failure> {
    let designed = TopologyFile::named(global.topology.as_deref())?;
    let (folder, _temporary) = world::folder(arguments.keep.as_deref())?;
    let door = ShellDoor::open(&folder).await?;
    let plan = world::Plan {
        folder: folder.clone(),
        seed: arguments.seed,
        begins_at: None,
        in_flight: None,
        meter: None,
        shell_command: door.command.clone(),
    };
    let stand_in = StandIn::build(&designed, plan).await?;
    door.serve(&stand_in);
    first_line(&stand_in)?;

    let session = Session::new(stand_in, &folder, connect::trace(global)?)?;
    let mut lines = lines_of_stdin();
    let mut reads = true;
    let stopped = stopped();
    tokio::pin!(stopped);
    loop {
        let line = tokio::select! {
            stopped = &mut stopped => {
                return stopped.map(|()| 0).map_err(|error| {
                    Failure::failed("signal", format!("Ctrl-C was needed, but: {error}"), "Use quit.")
                });
            }
            line = lines.recv(), if reads => line,
        };
        let Some(line) = line else {
            // Standard input has ended; the stand-ins serve on.
            reads = false;
            continue;
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] || words == ["exit"] {
            return Ok(0);
        }
        if words.is_empty() {
            continue;
        }
        match session.obey(&line, &words).await {
            Ok(answer) => output::print(&format!("{}\n", answer.trim_end()))?,
            Err(why) => output::print(&format!("error: {why}\n"))?,
        }
    }
}

/// Ctrl-C, or the signal that service managers send: both let the temporary folder be removed.
async fn stopped() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

fn first_line(stand_in: &StandIn) -> Result<(), Failure> {
    let topology = &stand_in.file.topology;
    let instances = topology.instances().filter_map(|instance| {
        let address = stand_in.address(&instance.name)?;
        Some(SimInstance {
            name: instance.name.to_string(),
            site: instance.site.to_string(),
            host: address.ip().to_string(),
            port: address.port(),
        })
    });
    let document = SimDocument {
        instances: instances.collect(),
        ca_file: stand_in.ca_file.clone(),
        login: world::LOGIN.to_owned(),
        password_file: stand_in.password_file.clone(),
        topology_file: stand_in.file.path.clone(),
    };
    let line = serde_json::to_string(&document).map_err(|error| {
        Failure::failed(
            "output",
            format!("the first line cannot be written: {error}"),
            "Report it.",
        )
    })?;
    output::print(&format!("{line}\n"))
}

/// Lines as they are typed; the channel closes when standard input ends.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A served stand-in with pcdr's own connections to it.
pub struct Session {
    /// What is served.
    pub stand_in: StandIn,
    /// How pcdr reaches it: its Management Shell inside this process, its time.
    pub way: Way,
    connected: Connected,
    workload: Workload,
}

impl Session {
    /// Connects to a stand-in; lock and journal go into `folder`. Opens nothing yet.
    ///
    /// # Errors
    ///
    /// The folder, or the stand-in's secret files.
    pub fn new(stand_in: StandIn, folder: &Path, trace: Option<Trace>) -> Result<Session, Failure> {
        let way = Way {
            dialer: Arc::new(TcpDialer),
            shell: stand_in.shell_transport(),
            clock: stand_in.clock(),
            trace,
            folder: folder.join("state"),
        };
        let topology = &stand_in.file.topology;
        let connected = connect::connect(topology, &way)?;
        let workload = Workload::new(topology, &way.dialer, way.trace.as_ref())?;
        Ok(Session { stand_in, way, connected, workload })
    }

    fn ports(&self) -> &Ports {
        &self.connected.ports
    }

    /// Carries out one command; its answer, or why not.
    async fn obey(&self, line: &str, words: &[&str]) -> Result<String, String> {
        let stand_in = &self.stand_in;
        let told = |failure: Failure| failure.message();
        let done = |()| "ok".to_owned();
        match words {
            ["help"] => Ok(HELP.to_owned()),
            ["lose", "instance", name] => stand_in.lose_instance(name).await.map(done),
            ["return", "instance", name] => stand_in.return_instance(name).await.map(done),
            ["lose", "site", name] => stand_in.lose_site(name).await.map(done),
            ["return", "site", name] => stand_in.return_site(name).await.map(done),
            ["cut", one, other] => stand_in.cut(one, other, false).await.map(done),
            ["cut", one, other, "one-way"] => stand_in.cut(one, other, true).await.map(done),
            ["heal", one, other] => stand_in.heal(one, other).await.map(done),
            ["lose", "share", name] => stand_in.lose_share(name).await.map(done),
            ["return", "share", name] => stand_in.return_share(name).await.map(done),
            ["kill", "connections", name] => {
                let ended = self.kill_connections(name).map_err(told)?;
                Ok(format!("{ended} sessions ended"))
            }
            ["corrupt", ..] => self.corrupt(rest(line, 1)).map(done).map_err(told),
            ["truncate", _, .., bytes] => {
                let bytes: u64 = bytes.parse().map_err(|_| format!("{bytes:?} is no number"))?;
                let file = rest(line, 1);
                let file = file.rsplit_once(char::is_whitespace).map_or(file, |(file, _)| file);
                self.truncate(file.trim_end(), bytes).map(done).map_err(told)
            }
            ["run", "job", instance, _, ..] => {
                let started = self.run_job(instance, rest(line, 3)).await;
                started.map(|()| "started".to_owned()).map_err(told)
            }
            ["sql", instance, _, ..] => {
                self.sql(instance, rest(line, 2)).await.map(done).map_err(told)
            }
            ["databases"] => self.databases().await.map(done).map_err(told),
            ["prepare"] => {
                let steps = self.prepare().await.map_err(|failure| failure.text(false))?;
                Ok(format!("configured in {steps} steps"))
            }
            ["write", count] => {
                let count: u64 = count.parse().map_err(|_| format!("{count:?} is no number"))?;
                let total = self.write(count).await.map_err(told)?;
                Ok(format!("{total} records written"))
            }
            ["backup"] => self.back_up().await.map(done).map_err(told),
            ["status"] => {
                let topology = &stand_in.file.topology;
                let seen = observe(topology, self.ports(), &plan::who(), None).await;
                let now = self.ports().clock.now();
                let judged = judge(topology, &seen, now);
                Ok(status::render(
                    &status::document(topology, &judged, seen, Ok(Vec::new())),
                    &judged,
                ))
            }
            _ => Err(format!("{line:?} is no command; try help")),
        }
    }

    /// Ends every client's session on an instance; how many there were.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] when there is no such instance.
    pub fn kill_connections(&self, name: &str) -> Result<usize, Failure> {
        let server = self.stand_in.server_name(name);
        let server = server.ok_or_else(|| no_such(format!("there is no instance {name:?}")))?;
        let world = &self.stand_in.world;
        let sessions: Vec<u16> = {
            let state = world.lock();
            let instance = state.instances.get(&server.to_lowercase());
            instance
                .into_iter()
                .flat_map(|instance| instance.sessions.values())
                .filter(|session| session.is_user)
                .map(|session| session.id)
                .collect()
        };
        for session in &sessions {
            world.kill_connection(server, *session);
        }
        Ok(sessions.len())
    }

    /// Changes a byte of a backup file, named by its UNC path or by its name in a share.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] when there is no such file.
    pub fn corrupt(&self, file: &str) -> Result<(), Failure> {
        let (server, path) = self.backup_file(file)?;
        let corrupted = self.stand_in.world.corrupt_file(&server, &path);
        corrupted.map_err(|error| no_such(format!("{path}: {error}")))
    }

    /// Cuts a backup file, named as for [`corrupt`](Self::corrupt), to so many bytes.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] when there is no such file.
    pub fn truncate(&self, file: &str, bytes: u64) -> Result<(), Failure> {
        let (server, path) = self.backup_file(file)?;
        let cut = self.stand_in.world.truncate_file(&server, &path, bytes);
        cut.map_err(|error| no_such(format!("{path}: {error}")))
    }

    /// The path of a backup file as the secondary sees it, and the secondary.
    fn backup_file(&self, name: &str) -> Result<(String, String), Failure> {
        let topology = &self.stand_in.file.topology;
        let server = topology.secondary().server_name.clone();
        if name.starts_with("\\\\") {
            return Ok((server, name.to_owned()));
        }
        if name.contains(['\\', '/']) {
            return Err(no_such(format!("{name:?} is neither a UNC path nor a file name")));
        }
        let found = topology.shares().find(|share| {
            share.mount.as_ref().is_some_and(|mount| PathBuf::from(mount).join(name).is_file())
        });
        match found {
            Some(share) => Ok((server, format!("{}\\{name}", share.unc))),
            None => Err(no_such(format!("no share holds a file {name:?}"))),
        }
    }

    /// Starts an Agent job and does not wait for its end.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn run_job(&self, instance: &str, job: &str) -> Result<(), Failure> {
        let job = quote::name(job).map_err(|error| no_such(error.to_string()))?;
        let batch = format!("EXEC msdb.dbo.sp_start_job @job_name = {job};");
        self.sql(instance, &batch).await
    }

    /// Sends one batch of T-SQL to an instance.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn sql(&self, instance: &str, batch: &str) -> Result<(), Failure> {
        self.workload.send(&InstanceName::from(instance), batch.to_owned()).await?;
        Ok(())
    }

    /// Creates the application's databases on the primary and nothing else.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn databases(&self) -> Result<(), Failure> {
        Ok(self.workload.create_databases().await?)
    }

    /// Creates the databases and configures mirroring and log shipping; in how many steps.
    ///
    /// # Errors
    ///
    /// The refusal, or what stopped the run.
    pub async fn prepare(&self) -> Result<usize, Failure> {
        self.databases().await?;
        let topology = &self.stand_in.file.topology;
        let (plan, _) = plan::make(Intent::Configure, topology, self.ports(), &[]).await?;
        let owner = Owner { who: plan::who(), run: plan::new_run() };
        let watch = Watch::new(Arc::clone(&self.ports().clock), true);
        match run::apply(&plan, topology, self.ports(), &owner, &watch).await {
            Ok(report) => Ok(report.steps.len()),
            Err(error) => Err(plan::stopped(error, topology, plan.steps.len())),
        }
    }

    /// Writes so many chat records into each database, where it takes writes; how many in all.
    ///
    /// # Errors
    ///
    /// The server's, or [`Failure::Failed`] when not exactly one copy takes writes.
    pub async fn write(&self, count: u64) -> Result<u64, Failure> {
        let mut total = 0;
        for (database, serving) in self.serving().await? {
            let known = self.workload.read(&serving, &database).await?;
            let next = known.last().map_or(1, |last| last + 1);
            let now = self.ports().clock.now().unix_millis();
            self.workload.write(&serving, &database, next..next + count, now).await?;
            total += count;
        }
        Ok(total)
    }

    /// The numbers of the chat records in a copy of a database.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn records(&self, instance: &str, database: &str) -> Result<BTreeSet<u64>, Failure> {
        Ok(self.workload.read(&InstanceName::from(instance), &DatabaseName::from(database)).await?)
    }

    /// Runs the backup, copy and restore job of each database to their ends.
    ///
    /// # Errors
    ///
    /// The job's, or [`Failure::Failed`] when not exactly one copy takes writes.
    pub async fn back_up(&self) -> Result<(), Failure> {
        let topology = &self.stand_in.file.topology;
        for (database, serving) in self.serving().await? {
            workload::ship(topology, self.ports(), &serving, &database, Reach::Restored).await?;
        }
        Ok(())
    }

    /// Where each database takes writes now.
    async fn serving(&self) -> Result<Vec<(DatabaseName, InstanceName)>, Failure> {
        let topology = &self.stand_in.file.topology;
        let seen = observe(topology, self.ports(), &plan::who(), None).await;
        let serving = |database: &DatabaseName| {
            let found = workload::writable(topology, &seen, database);
            match found.as_slice() {
                [serving] => Ok((database.clone(), serving.clone())),
                _ => Err(Failure::failed(
                    "writable_copies",
                    format!("{} copies of {database} take writes", found.len()),
                    "Bring the stand-ins into a state in which exactly one does.",
                )),
            }
        };
        topology.databases().iter().map(serving).collect()
    }
}

fn no_such(why: String) -> Failure {
    Failure::usage("no_such_thing", why, "Name what the topology of the stand-ins has.")
}

/// What follows the first `words` words of a line: names may hold spaces.
fn rest(line: &str, words: usize) -> &str {
    let mut rest = line.trim();
    for _ in 0..words {
        rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    }
    rest
}
