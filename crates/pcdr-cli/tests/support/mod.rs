//! Runs the `pcdr` binary and checks what it prints.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// Commands that were given, for the names of their traces.
static COMMANDS: AtomicU32 = AtomicU32::new(0);

/// The binary with a clean environment.
pub fn pcdr(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pcdr"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["PCDR_TOPOLOGY", "PCDR_STATE", "PCDR_PASSWORD", "PCDR_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    pcdr(arguments).output().unwrap()
}

/// Exit status.
pub fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard output as one JSON object.
pub fn json(output: &Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text:?}; {}", stderr(output)))
}

/// The example topology.
pub fn stretched() -> String {
    pcdr_core::topology::EXAMPLE.to_owned()
}

/// Writes a topology into a folder.
pub fn topology(folder: &Path, text: &str) -> String {
    let path = folder.join("designed.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The first place where a value breaks a schema, in the part of JSON Schema that pcdr's schemas use.
pub fn violation(schema: &Value, value: &Value) -> Option<String> {
    check(schema, schema, value, "$")
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = reference.trim_start_matches('#');
        let found = root.pointer(pointer);
        return match found {
            Some(found) => check(root, found, value, at),
            None => Some(format!("{at}: no {reference} in the schema")),
        };
    }
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let fits = any.iter().any(|schema| check(root, schema, value, at).is_none());
        return (!fits).then(|| format!("{at}: fits no alternative: {value}"));
    }
    if let Some(kind) = schema.get("type") {
        let kinds: Vec<&str> = match kind {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            kind => kind.as_str().into_iter().collect(),
        };
        let fits = kinds.iter().any(|kind| match *kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            _ => false,
        });
        if !fits {
            return Some(format!("{at}: {kinds:?} was needed, found {value}"));
        }
    }
    if let Value::Object(members) = value {
        let properties = schema.get("properties").and_then(Value::as_object);
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = required.as_str().unwrap_or_default();
            if !members.contains_key(name) {
                return Some(format!("{at}: {name} is missing"));
            }
        }
        for (name, member) in members {
            let at = format!("{at}.{name}");
            match properties.and_then(|properties| properties.get(name)) {
                Some(schema) => {
                    if let Some(found) = check(root, schema, member, &at) {
                        return Some(found);
                    }
                }
                // What a program is not told of, it cannot rely on.
                None if properties.is_some() => return Some(format!("{at}: not in the schema")),
                None => {}
            }
        }
    }
    if let (Value::Array(items), Some(schema)) = (value, schema.get("items")) {
        let mut numbered = items.iter().enumerate();
        return numbered.find_map(|(i, item)| check(root, schema, item, &format!("{at}[{i}]")));
    }
    None
}

/// Checks a document against `pcdr schema WHAT`.
pub fn assert_schema(what: &str, value: &Value) {
    let schema = json(&run(&["schema", what]));
    assert_eq!(violation(&schema, value), None, "{what}: {value}");
}

/// A running `pcdr sim`.
pub struct Sim {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Its first line.
    pub first_line: Value,
    /// The topology file for the other commands.
    pub topology: String,
    folder: tempfile::TempDir,
}

impl Sim {
    /// Starts one for a designed topology.
    pub fn start(designed: &str) -> Sim {
        let folder = tempfile::tempdir().unwrap();
        let designed = topology(folder.path(), designed);
        let keep = folder.path().join("sim");
        let mut child = pcdr(&["sim", "--topology", &designed, "--keep", keep.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let first_line: Value = serde_json::from_str(&line).unwrap();
        let topology = first_line["topology_file"].as_str().unwrap().to_owned();
        Sim { child, stdin, stdout, first_line, topology, folder }
    }

    /// One that is prepared: configured, 30 records shipped, one more log backup not copied, and 12
    /// records in no backup.
    pub fn prepared() -> Sim {
        Sim::prepared_from(&stretched())
    }

    /// The same of a designed topology.
    pub fn prepared_from(designed: &str) -> Sim {
        // What is in which folder is the tests' business, not that of a schedule on the wall's clock.
        let mut sim = Sim::start(&designed.replace("= \"15m\"", "= \"23h\""));
        sim.tell("prepare", "configured in 27 steps");
        for command in ["write 30", "write 12"] {
            if command == "write 12" {
                sim.tell("backup", "ok");
                sim.tell("write 5", "5 records written");
                sim.tell("run job sql-n1 LSBackup_mgc", "started");
                sim.wait_for_backups(3);
            }
            let count = command.split(' ').next_back().unwrap();
            sim.tell(command, &format!("{count} records written"));
        }
        sim
    }

    /// Waits until that many log backups lie in the share.
    pub fn wait_for_backups(&self, wanted: usize) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let seen = json(&self.pcdr(&["status", "--json"]));
            if seen["log_backups"][0]["in_share"].as_u64().unwrap_or(0) >= wanted as u64 {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "no log backup came: {seen}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Gives a command and expects this answer.
    pub fn tell(&mut self, command: &str, expected: &str) {
        assert_eq!(self.ask(command), expected, "{command}");
    }

    /// Gives a command; the first line of its answer.
    pub fn ask(&mut self, command: &str) -> String {
        writeln!(self.stdin, "{command}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// A file beside the stand-in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command against the stand-in.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = pcdr(arguments);
        command.env("PCDR_TOPOLOGY", &self.topology).env("PCDR_STATE", self.path("state"));
        // What is sent is kept for the vendor's own parser, where cargo xtask test asks for it; unless the
        // test looks at the trace itself.
        let is_traced = arguments.contains(&"--trace-sql");
        if let Some(folder) = std::env::var_os("PCDR_TRACES").filter(|_| !is_traced) {
            let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
            let name = format!("command-{}-{number}.sql", std::process::id());
            command.arg("--trace-sql").arg(Path::new(&folder).join(name));
        }
        command
    }

    /// Runs a command against the stand-in to its end.
    pub fn pcdr(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The folder of a share.
    pub fn mount(&self, share: &str) -> PathBuf {
        let text = std::fs::read_to_string(&self.topology).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let shares = table["shares"].as_array().unwrap();
        let found = shares.iter().find(|s| s["name"].as_str() == Some(share)).unwrap();
        PathBuf::from(found["mount"].as_str().unwrap())
    }

    /// The names of the files in a share, in order.
    pub fn files(&self, share: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.mount(share)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // Only the process that this test started.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
