//! Topologies drawn from a seed: every setting of the wizard off its default, roles there or not.

use std::fmt::Write as _;

use pcdr_core::Topology;
use pcdr_tests::Random;

/// Names that are legal and hostile.
const DATABASES: [&str; 6] = ["mgc", "m]gc", "o'brien", "ü中 [x]] ‘y’", "-- '; DROP", "mgc_2"];

fn one<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.index(of.len())]
}

fn chance(random: &mut Random, of: u64) -> bool {
    random.below(of) == 0
}

/// A topology that keeps every rule.
pub(super) fn topology(random: &mut Random) -> String {
    for _ in 0..1_000 {
        let text = attempt(random);
        if Topology::parse(&text).is_ok() {
            return text;
        }
    }
    panic!("a thousand draws break a rule each: the drawing is wrong");
}

struct Instance {
    server_name: String,
    text: String,
}

/// An instance. Where it gets no endpoint, nothing keeps the port that was designed for one.
fn instance(
    random: &mut Random,
    label: &str,
    site: &str,
    role: &str,
    has_endpoint: bool,
) -> Instance {
    let named = chance(random, 3);
    let instance = if named { "\\CHAT" } else { "" };
    let server_name = format!("{label}{instance}");
    let name = server_name.to_lowercase().replace('\\', "-");
    let mut text = format!(
        "[[instances]]\nname = \"{name}\"\nsite = \"{site}\"\nrole = \"{role}\"\nhost = \"{label}.example.net\"\n"
    );
    if named {
        text.push_str("instance = \"CHAT\"\n");
    }
    if has_endpoint && chance(random, 2) {
        let _infallible = writeln!(text, "mirroring_port = {}", 5_000 + random.below(2_000));
    }
    if chance(random, 2) {
        text.push_str("service_account = 'EXAMPLE\\sql-service'\n");
    }
    if role.ends_with("secondary") && chance(random, 2) {
        text.push_str("data_directory = 'E:\\data of mgc'\n");
    }
    Instance { server_name, text }
}

fn schedule(random: &mut Random, text: &mut String, what: &str) {
    let every = one(random, &["10s", "45s", "7m", "1h30m", "2h", "23h"]);
    let _infallible = writeln!(text, "{what}_every = \"{every}\"");
    if chance(random, 3) {
        let _infallible = writeln!(text, "{what}_days = \"{}\"", one(random, &["sun", "mon, fri"]));
    }
    if chance(random, 3) {
        let (from, until) = [("22:00", "05:59:59"), ("00:00:01", "12:34:56")][random.index(2)];
        let _infallible = writeln!(text, "{what}_from = \"{from}\"\n{what}_until = \"{until}\"");
    }
}

fn restore(random: &mut Random, text: &mut String) {
    let _infallible = writeln!(text, "restore_delay_minutes = {}", random.below(300));
    let standby = chance(random, 2);
    let mode = if standby { "standby" } else { "norecovery" };
    let disconnects = standby && !chance(random, 3);
    let _infallible = writeln!(text, "restore_mode = \"{mode}\"\ndisconnect_users = {disconnects}");
}

fn share(name: &str, site: &str, unc: &str) -> String {
    // The stand-in has its own mounts; without any, a local folder is no share.
    let mount = if unc.starts_with('D') { "mount = '/mnt/copies'\n" } else { "" };
    format!("[[shares]]\nname = \"{name}\"\nsite = \"{site}\"\nunc = '{unc}'\n{mount}")
}

fn attempt(random: &mut Random) -> String {
    let mut text = String::from("[[sites]]\nname = \"north\"\n[[sites]]\nname = \"south\"\n");
    let has_mirror = !chance(random, 3);
    text.push_str(&instance(random, "SQL-N1", "north", "primary", has_mirror).text);
    if has_mirror {
        text.push_str(&instance(random, "sql-n2", "north", "primary-mirror", true).text);
        if chance(random, 2) {
            text.push_str(&instance(random, "sql-n3", "north", "primary-witness", true).text);
        }
    }
    text.push_str(&instance(random, "sql-s1", "south", "secondary", has_mirror).text);
    if chance(random, 3) {
        text.push_str(&instance(random, "sql-m", "north", "monitor", false).text);
    }
    let mut further = String::new();
    if chance(random, 2) {
        text.push_str("[[sites]]\nname = \"the 'third' [site] ü\"\n");
        let found = instance(random, "sql-t1", "the 'third' [site] ü", "further-secondary", false);
        let name = found.server_name.to_lowercase().replace('\\', "-");
        text.push_str(&found.text);
        let unc = r"\\sql-t1.example.net\log copies$\further";
        text.push_str(&share(&format!("log-copies-{name}"), "the 'third' [site] ü", unc));
        let _infallible = write!(
            further,
            "[[log_shipping.further_secondaries]]\ninstance = \"{name}\"\ncopy_share = \"log-copies-{name}\"\n"
        );
        restore(random, &mut further);
    }
    for number in 0..=random.below(3) {
        let at =
            (random.index(DATABASES.len()) + usize::try_from(number).unwrap()) % DATABASES.len();
        let name = toml::Value::from(DATABASES[at]);
        let _infallible = writeln!(text, "[[databases]]\nname = {name}");
    }
    // A local path of the backup folder is one server's: not for two partners.
    let is_local = !has_mirror && chance(random, 2);
    let (site, unc) = match is_local {
        true => ("north", r"\\SQL-N1.example.net\logbackups"),
        false => ("south", r"\\files-s.example.net\log backups\o`brien ü中"),
    };
    text.push_str(&share("log-backups", site, unc));
    let copies = one(random, &[r"\\sql-s1.example.net\logcopies", r"D:\log copies\of o`brien"]);
    text.push_str(&share("log-copies", "south", copies));
    text.push_str("[log_shipping]\nbackup_share = \"log-backups\"\ncopy_share = \"log-copies\"\n");
    if is_local {
        text.push_str("backup_directory = 'D:\\shares\\logbackups'\n");
    }
    for key in ["backup_retention", "file_retention", "history_retention"] {
        let _infallible = writeln!(text, "{key}_minutes = {}", 1_000 + random.below(9_000));
    }
    for key in ["backup_threshold", "restore_threshold"] {
        let _infallible = writeln!(text, "{key}_minutes = {}", 1 + random.below(500));
    }
    for key in ["backup_alert", "restore_alert"] {
        let _infallible = writeln!(text, "{key} = {}", chance(random, 2));
    }
    let compression = one(random, &["on", "off", "instance"]);
    let _infallible = writeln!(text, "backup_compression = \"{compression}\"");
    restore(random, &mut text);
    for what in ["backup", "copy", "restore"] {
        schedule(random, &mut text, what);
    }
    let _infallible = writeln!(text, "alert_every = \"{}\"", one(random, &["30s", "2m", "1h"]));
    text.push_str(&further);
    if has_mirror {
        let endpoint = one(random, &["Mirroring", "Mirr]or'ing; --"]);
        let _infallible = writeln!(text, "[mirroring]\nendpoint_name = \"{endpoint}\"");
    }
    text.push_str("[connection]\nlogin = \"pcdr\"\npassword_env = \"PCDR_PASSWORD\"\n");
    text
}
