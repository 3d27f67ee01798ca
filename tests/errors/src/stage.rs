//! A world of stand-ins on which scenarios are played, in virtual time.
//!
//! Two sites, in which instances are added as steps name them: `east` with SQL1, SQL2 and WIT and the share `\\FS1\backup`, `west` with SQL3 and
//! `\\FS2\backup`. What can go wrong (`fault …`):
//!
//! `lose instance X`, `return instance X`, `cut SITE SITE`, `heal SITE SITE`, `lose|return|fill|protect
//! share HOST NAME`, `fill|free drive X D`, `truncate X PATH BYTES`, `corrupt X PATH`, `delete X PATH`,
//! `copy X FROM TO`, `write X PATH TEXT`, `damage X DATABASE`, `lose log X DATABASE`,
//! `page X DATABASE`, `reads X DATABASE`, `log writes X DATABASE`, `log records X DATABASE`, `feature X
//! DATABASE compression|partitioning`, `admit X everyone|starting|nobody|upgrading|administrators|single`, `stop
//! instance X`, `lock X LOGIN`, `fail job X JOB`, `expire X LOGIN`, `slow`, `install X VERSION`, `size X DATABASE BYTES`,
//! `add X VERSION EDITION`. A negative number of bytes is cut from the end.

use std::collections::BTreeMap;
use std::time::Duration;

use pcdr_sim::engine::errors::OsError;
use pcdr_sim::engine::state::{Admission, Costs, Feature, InstanceConfig};
use pcdr_sim::engine::world::World;
use pcdr_sim::front::{Front as _, FrontSession, Login, Replies, Reply, Request};
use pcdr_sim::message::SqlMessage;
use pcdr_sim::value::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::scenario::Step;

const PASSWORD: &str = "Sa-Passw0rd!";

type Session = Box<dyn FrontSession>;

/// What a step was answered.
#[derive(Debug, Default)]
pub struct Heard {
    /// Errors and informational messages in order.
    pub messages: Vec<SqlMessage>,
    /// The first value of the last result, as text.
    pub value: Option<String>,
}

impl Heard {
    /// The numbers of the errors.
    pub fn errors(&self) -> Vec<i32> {
        self.messages.iter().filter(|m| m.is_error()).map(|m| m.number).collect()
    }

    fn text(&self) -> String {
        self.messages.iter().map(|message| format!("\n    {message}")).collect()
    }
}

struct Running {
    task: JoinHandle<(Session, Heard)>,
    cancel: CancellationToken,
    id: u16,
}

/// The world and its open sessions.
pub struct Stage {
    /// The world.
    pub world: World,
    sessions: BTreeMap<String, Session>,
    running: BTreeMap<String, Running>,
    _disks: tempfile::TempDir,
}

/// Runs `test` in virtual time on one thread.
pub fn virtually<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

impl Stage {
    /// A new world.
    pub fn new() -> Stage {
        let disks = tempfile::tempdir().unwrap();
        let epoch = "2026-03-01T08:00:00Z".parse().unwrap();
        let world = World::new(disks.path(), 7, epoch).unwrap();
        for site in ["east", "west"] {
            world.add_site(site);
        }
        world.add_share("FS1", "backup", "east").unwrap();
        world.add_share("FS2", "backup", "west").unwrap();
        Stage { world, sessions: BTreeMap::new(), running: BTreeMap::new(), _disks: disks }
    }

    /// An instance is there from the first step that names it.
    fn ensure(&self, text: &str) {
        let places = [("SQL1", "east"), ("SQL2", "east"), ("WIT", "east"), ("SQL3", "west")];
        for (name, site) in places {
            if text.contains(name) && self.world.instance(name).is_none() {
                self.world.add_instance(InstanceConfig::new(name, site)).unwrap();
            }
        }
    }

    /// Plays one step.
    pub async fn play(&mut self, step: &Step) -> Heard {
        let text = step.text.as_str();
        self.ensure(text);
        if let Some((session, batch)) = text.split_once("> ").filter(|(name, _)| is_session(name)) {
            return self.batch(session, batch).await;
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "start" => {
                let (session, batch) = rest.split_once("> ").expect("start SESSION> text");
                self.start(session, batch).await
            }
            "end" => {
                let running = self.running.remove(rest).expect("a running session");
                let (session, heard) = running.task.await.unwrap();
                self.keep(rest, session, &heard);
                heard
            }
            "cancel" => {
                self.running.get(rest).expect("a running session").cancel.cancel();
                Heard::default()
            }
            "wait" => {
                tokio::time::sleep(Duration::from_secs(rest.parse().unwrap())).await;
                Heard::default()
            }
            "leave" => {
                self.sessions.remove(rest).expect("a session");
                Heard::default()
            }
            "login" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let mut login = Login::sql(words[1], words[2]);
                login.database = words.get(3).map_or(String::new(), |name| (*name).to_owned());
                self.log_in(words[0], &login).await
            }
            "fault" => {
                self.fault(&rest.split_whitespace().collect::<Vec<_>>());
                tokio::time::sleep(Duration::from_millis(1)).await;
                Heard::default()
            }
            "log" => {
                let (instance, list) = rest.split_once(' ').expect("log INSTANCE numbers");
                let events = self
                    .world
                    .instance(instance)
                    .and_then(|instance| instance.with(|state| state.events.clone()))
                    .unwrap_or_default();
                let mut heard = Heard::default();
                for number in list.split_whitespace().map(|n| n.parse::<i32>().unwrap()) {
                    let event = events.iter().find(|(_, event)| event.number == number);
                    let (_, event) =
                        event.unwrap_or_else(|| panic!("{instance} did not log {number}"));
                    heard.messages.push(event.clone());
                }
                heard
            }
            _ => panic!("what is `{text}`?"),
        }
    }

    /// Plays a step and compares what is heard with what the step expects. Returns what was heard.
    ///
    /// # Errors
    ///
    /// What differs.
    pub async fn check(&mut self, step: &Step) -> Result<Heard, String> {
        let heard = self.play(step).await;
        let what = || format!("line {}: {}", step.line, step.text);
        let is_log = step.text.starts_with("log ");
        if !is_log && heard.errors() != step.fails {
            return Err(format!(
                "{}\n  expected errors {:?}, heard {:?}{}",
                what(),
                step.fails,
                heard.errors(),
                heard.text()
            ));
        }
        for number in &step.says {
            if !heard.messages.iter().any(|m| m.number == *number && !m.is_error()) {
                return Err(format!("{}\n  does not say {number}{}", what(), heard.text()));
            }
        }
        if step.gives.is_some() && heard.value != step.gives {
            return Err(format!("{}\n  gives {:?}, not {:?}", what(), heard.value, step.gives));
        }
        Ok(heard)
    }

    /// Runs a batch in a session, opening it as `sa` when there is none.
    pub async fn batch(&mut self, name: &str, batch: &str) -> Heard {
        let batch = self.with_ids(batch);
        let mut session = match self.take(name).await {
            Ok(session) => session,
            Err(heard) => return heard,
        };
        let heard = run(&mut session, batch, CancellationToken::new()).await;
        self.keep(name, session, &heard);
        heard
    }

    async fn take(&mut self, name: &str) -> Result<Session, Heard> {
        if let Some(session) = self.sessions.remove(name)
            && !session.ended().is_cancelled()
        {
            return Ok(session);
        }
        let heard = self.log_in(name, &Login::sql("sa", PASSWORD)).await;
        self.sessions.remove(name).ok_or(heard)
    }

    /// An error of severity 20 and above, and KILL, close the connection.
    fn keep(&mut self, name: &str, session: Session, heard: &Heard) {
        let closed = heard.messages.iter().any(|message| message.severity >= 20);
        if !closed && !session.ended().is_cancelled() {
            self.sessions.insert(name.to_owned(), session);
        }
    }

    async fn log_in(&mut self, name: &str, login: &Login) -> Heard {
        let instance = name.split('.').next().unwrap_or(name);
        let instance = self.world.instance(instance).unwrap_or_else(|| panic!("no {instance}"));
        match instance.login(login).await {
            Ok(session) => {
                self.sessions.insert(name.to_owned(), session);
                Heard::default()
            }
            Err(failure) => Heard { messages: failure.0, value: None },
        }
    }

    async fn start(&mut self, name: &str, batch: &str) -> Heard {
        let batch = self.with_ids(batch);
        let mut session = match self.take(name).await {
            Ok(session) => session,
            Err(heard) => return heard,
        };
        let id = session.session_id();
        let cancel = CancellationToken::new();
        let own = cancel.clone();
        let task = tokio::spawn(async move {
            let heard = run(&mut session, batch, own).await;
            (session, heard)
        });
        self.running.insert(name.to_owned(), Running { task, cancel, id });
        // Long enough for the statement to be under way.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Heard::default()
    }

    /// `{SQL1.b}` becomes that session's id.
    fn with_ids(&self, batch: &str) -> String {
        let ids = self.sessions.iter().map(|(name, session)| (name, session.session_id()));
        let ids = ids.chain(self.running.iter().map(|(name, running)| (name, running.id)));
        ids.fold(batch.to_owned(), |text, (name, id)| {
            text.replace(&format!("{{{name}}}"), &id.to_string())
        })
    }

    fn fault(&self, words: &[&str]) {
        let world = &self.world;
        let path = |instance: &str, path: &str| world.path(instance, path).unwrap();
        match words {
            ["lose", "instance", name] => world.lose_instance(name),
            ["return", "instance", name] => world.return_instance(name),
            ["cut", one, other] => world.cut_link(one, other, true),
            ["heal", one, other] => world.heal_link(one, other),
            ["lose", "share", host, name] => world.lose_share(host, name),
            ["return", "share", host, name] => world.return_share(host, name),
            ["fill", "share", host, name] => world.fill_share(host, name),
            ["protect", "share", host, name] => world.make_share_read_only(host, name),
            ["fill", "drive", instance, drive] => world.fill_drive(instance, drive, true),
            ["free", "drive", instance, drive] => world.fill_drive(instance, drive, false),
            ["truncate", instance, file, bytes] => {
                let size = std::fs::metadata(path(instance, file)).unwrap().len();
                let bytes: i64 = bytes.parse().unwrap();
                let keep =
                    if bytes < 0 { size - bytes.unsigned_abs() } else { bytes.unsigned_abs() };
                world.truncate_file(instance, file, keep).unwrap();
            }
            ["corrupt", instance, file] => world.corrupt_file(instance, file).unwrap(),
            ["delete", instance, file] => std::fs::remove_file(path(instance, file)).unwrap(),
            ["copy", instance, from, to] => {
                std::fs::copy(path(instance, from), path(instance, to)).unwrap();
            }
            ["write", instance, file, text @ ..] => {
                std::fs::write(path(instance, file), text.join(" ")).unwrap();
            }
            ["damage", instance, database] => world.damage_database(instance, database, false),
            ["lose", "log", instance, database] => world.lose_log(instance, database),
            ["page", instance, database] => world.damage_page(instance, database, true),
            ["reads", instance, database] => {
                world.fail_reads(instance, database, Some(OsError(23)));
            }
            ["log", "writes", instance, database] => world.fail_log(instance, database, true),
            ["log", "records", instance, database] => world.damage_log(instance, database),
            ["feature", instance, database, feature] => {
                let feature = match *feature {
                    "compression" => Feature::Compression,
                    "partitioning" => Feature::Partitioning,
                    other => panic!("what feature is {other}?"),
                };
                world.use_feature(instance, database, feature);
            }
            ["admit", instance, whom] => {
                let whom = match *whom {
                    "everyone" => Admission::Open,
                    "starting" => Admission::Starting,
                    "nobody" => Admission::Paused,
                    "upgrading" => Admission::Upgrading,
                    "administrators" => Admission::Administrators,
                    "single" => Admission::SingleUser,
                    other => panic!("who is {other}?"),
                };
                world.admit(instance, whom);
            }
            ["stop", "instance", name] => world.stop_instance(name),
            ["lock", instance, login] => world.lock_login(instance, login),
            ["fail", "job", instance, job] => world.fail_next_job(instance, job),
            ["expire", instance, login] => world.expire_login(instance, login),
            ["slow"] => world.set_costs(Costs {
                backup_rate: 100_000,
                restore_rate: 100_000,
                ..Costs::default()
            }),
            ["size", instance, database, bytes] => {
                world.set_data_bytes(instance, database, bytes.parse().unwrap());
            }
            ["install", instance, version] => world.install_version(instance, release(version)),
            ["add", name, version, edition @ ..] => {
                let mut config = InstanceConfig::new(name, "east");
                config.version = release(version);
                config.edition = edition.join(" ");
                world.add_instance(config).unwrap();
            }
            _ => panic!("what fault is `{}`?", words.join(" ")),
        }
    }
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::new()
    }
}

fn release(text: &str) -> (u8, u8, u16) {
    let mut parts = text.split('.');
    (
        parts.next().unwrap().parse().unwrap(),
        parts.next().unwrap().parse().unwrap(),
        parts.next().unwrap().parse().unwrap(),
    )
}

fn is_session(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

async fn run(session: &mut Session, batch: String, cancel: CancellationToken) -> Heard {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
    let work = session.run(Request::Batch(batch), Replies(sender), cancel);
    let watch = async {
        let mut heard = Heard::default();
        let mut first = false;
        while let Some(reply) = receiver.recv().await {
            match reply {
                Reply::Message(message) => heard.messages.push(message),
                Reply::Columns(_) => first = true,
                Reply::Row(row) if first => {
                    first = false;
                    heard.value = row.first().map(text_of);
                }
                _ => {}
            }
        }
        heard
    };
    tokio::join!(work, watch).1
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::TinyInt(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}
