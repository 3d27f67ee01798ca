//! `pcdr sim`: serves the stand-ins of a topology and takes faults as commands on standard input.

use std::io::BufRead;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pcdr_core::observe::observe;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run;
use pcdr_core::status::judge;
use pcdr_core::{InstanceName, Intent};
use pcdr_sql::{Dialer, TcpDialer, quote};
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

    let session = Session::new(stand_in, &folder, global)?;
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
struct Session {
    stand_in: StandIn,
    connected: Connected,
    workload: Workload,
}

impl Session {
    fn new(stand_in: StandIn, folder: &Path, global: &Global) -> Result<Session, Failure> {
        let trace = connect::trace(global)?;
        let dialer: Arc<dyn Dialer> = Arc::new(TcpDialer);
        let way = Way {
            dialer: Arc::clone(&dialer),
            shell: stand_in.shell_transport(),
            clock: stand_in.clock(),
            trace: trace.clone(),
            folder: folder.join("state"),
        };
        let connected = connect::connect(&stand_in.file.topology, &way)?;
        let workload = Workload::new(&stand_in.file.topology, &dialer, trace.as_ref())?;
        Ok(Session { stand_in, connected, workload })
    }

    fn ports(&self) -> &Ports {
        &self.connected.ports
    }

    /// Carries out one command; its answer, or why not.
    async fn obey(&self, line: &str, words: &[&str]) -> Result<String, String> {
        let stand_in = &self.stand_in;
        let world = &stand_in.world;
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
            ["kill", "connections", name] => self.kill_connections(name),
            ["corrupt", ..] => {
                let file = rest(line, 1);
                let (server, path) = self.backup_file(file)?;
                let corrupted = world.corrupt_file(&server, &path);
                corrupted.map(done).map_err(|error| format!("{path}: {error}"))
            }
            ["truncate", _, .., bytes] => {
                let bytes: u64 = bytes.parse().map_err(|_| format!("{bytes:?} is no number"))?;
                let file = rest(line, 1);
                let file = file.rsplit_once(char::is_whitespace).map_or(file, |(file, _)| file);
                let (server, path) = self.backup_file(file.trim_end())?;
                let cut = world.truncate_file(&server, &path, bytes);
                cut.map(done).map_err(|error| format!("{path}: {error}"))
            }
            ["run", "job", instance, _, ..] => self.run_job(instance, rest(line, 3)).await,
            ["sql", instance, _, ..] => self.sql(instance, rest(line, 2)).await,
            ["databases"] => self.databases().await,
            ["prepare"] => self.prepare().await,
            ["write", count] => {
                let count: u64 = count.parse().map_err(|_| format!("{count:?} is no number"))?;
                self.write(count).await
            }
            ["backup"] => self.back_up().await,
            ["status"] => {
                let topology = &stand_in.file.topology;
                let seen = observe(topology, self.ports(), &plan::who(), None).await;
                let now = self.ports().clock.now();
                let judged = judge(topology, &seen, now);
                Ok(status::render(&status::document(topology, &judged, seen), &judged))
            }
            _ => Err(format!("{line:?} is no command; try help")),
        }
    }

    fn kill_connections(&self, name: &str) -> Result<String, String> {
        let server = self
            .stand_in
            .server_name(name)
            .ok_or_else(|| format!("there is no instance {name:?}"))?;
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
        Ok(format!("{} sessions ended", sessions.len()))
    }

    /// The path of a backup file as the secondary sees it, and the secondary.
    fn backup_file(&self, name: &str) -> Result<(String, String), String> {
        let topology = &self.stand_in.file.topology;
        let server = topology.secondary().server_name.clone();
        if name.starts_with("\\\\") {
            return Ok((server, name.to_owned()));
        }
        if name.contains(['\\', '/']) {
            return Err(format!("{name:?} is neither a UNC path nor a file name"));
        }
        let found = topology.shares().find(|share| {
            share.mount.as_ref().is_some_and(|mount| PathBuf::from(mount).join(name).is_file())
        });
        match found {
            Some(share) => Ok((server, format!("{}\\{name}", share.unc))),
            None => Err(format!("no share holds a file {name:?}")),
        }
    }

    async fn run_job(&self, instance: &str, job: &str) -> Result<String, String> {
        let job = quote::name(job).map_err(|error| error.to_string())?;
        let batch = format!("EXEC msdb.dbo.sp_start_job @job_name = {job};");
        let sent = self.workload.send(&InstanceName::from(instance), batch).await;
        sent.map(|_| "started".to_owned()).map_err(|error| error.to_string())
    }

    async fn sql(&self, instance: &str, batch: &str) -> Result<String, String> {
        let sent = self.workload.send(&InstanceName::from(instance), batch.to_owned()).await;
        sent.map(|_| "ok".to_owned()).map_err(|error| error.to_string())
    }

    async fn databases(&self) -> Result<String, String> {
        let created = self.workload.create_databases().await;
        created.map(|()| "ok".to_owned()).map_err(|error| error.to_string())
    }

    async fn prepare(&self) -> Result<String, String> {
        self.workload.create_databases().await.map_err(|error| error.to_string())?;
        let topology = &self.stand_in.file.topology;
        let made = plan::make(Intent::Configure, topology, self.ports(), &[]).await;
        let (plan, _) = made.map_err(|failure| failure.text(false))?;
        let owner = Owner { who: plan::who(), run: plan::new_run() };
        let watch = Watch::new(Arc::clone(&self.ports().clock), true);
        let report = run::apply(&plan, topology, self.ports(), &owner, &watch).await;
        let report = report.map_err(|error| error.to_string())?;
        Ok(format!("configured in {} steps", report.steps.len()))
    }

    async fn write(&self, count: u64) -> Result<String, String> {
        let topology = &self.stand_in.file.topology;
        let seen = observe(topology, self.ports(), &plan::who(), None).await;
        let mut total = 0;
        for database in topology.databases() {
            let serving = workload::writable(topology, &seen, database);
            let [serving] = serving.as_slice() else {
                return Err(format!("{} copies of {database} take writes", serving.len()));
            };
            let known = self.workload.read(serving, database).await;
            let next = known.map_err(|e| e.to_string())?.last().map_or(1, |last| last + 1);
            let now = self.ports().clock.now().unix_millis();
            let written = self.workload.write(serving, database, next..next + count, now).await;
            written.map_err(|error| error.to_string())?;
            total += count;
        }
        Ok(format!("{total} records written"))
    }

    async fn back_up(&self) -> Result<String, String> {
        let topology = &self.stand_in.file.topology;
        let seen = observe(topology, self.ports(), &plan::who(), None).await;
        for database in topology.databases() {
            let serving = workload::writable(topology, &seen, database);
            let [serving] = serving.as_slice() else {
                return Err(format!("{} copies of {database} take writes", serving.len()));
            };
            let shipped =
                workload::ship(topology, self.ports(), serving, database, Reach::Restored).await;
            shipped.map_err(|error| error.to_string())?;
        }
        Ok("ok".to_owned())
    }
}

/// What follows the first `words` words of a line: names may hold spaces.
fn rest(line: &str, words: usize) -> &str {
    let mut rest = line.trim();
    for _ in 0..words {
        rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    }
    rest
}
