//! The rights of a login as a script for an administrator.

use pcdr_core::rights::{InstanceRights, Need, Right};

use crate::quote::{self, QuoteError};
use crate::statement::{Statement, database, rights};

/// Who is given rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login<'a> {
    /// A Windows account or group; the script creates its login.
    Windows(&'a str),
    /// A SQL login, which has to be there: no script of pcdr has a password in it.
    Sql(&'a str),
}

impl<'a> Login<'a> {
    /// Its name.
    pub fn name(self) -> &'a str {
        match self {
            Login::Windows(name) | Login::Sql(name) => name,
        }
    }
}

/// The script for one instance, for `sqlcmd` or Management Studio, with `GO` after each batch. To be run
/// there by a member of sysadmin; run again, it changes nothing.
///
/// # Errors
///
/// A name that no statement can carry.
pub fn script(of: &InstanceRights, login: Login<'_>) -> Result<String, QuoteError> {
    let name = login.name();
    let mut text = String::new();
    line(&mut text, &format!("==== {} ({}) ====", of.instance, of.role.as_str()));
    let first = match login {
        Login::Windows(account) => database::create_login(account)?,
        Login::Sql(login) => rights::require_login(login)?,
    };
    batch(&mut text, &first);
    let is_given = |need: &&Need| !of.needs_sysadmin() || need.right == Right::SYSADMIN;
    for need in of.needs.iter().filter(is_given) {
        explain(&mut text, need);
        let statement = statement(&need.right, name)?;
        match need.only {
            None => batch(&mut text, &statement),
            Some(_) => line(&mut text, &statement.batch),
        }
    }
    for need in of.needs.iter().filter(|need| !is_given(need)) {
        line(&mut text, &format!("sysadmin includes {}: {}.", need.right, need.why.join("; ")));
    }
    for unknown in &of.stays_unknown {
        line(&mut text, &format!("Stays unknown ({}): {}.", unknown.fact, unknown.why));
        line(&mut text, &format!("  Source: {}", unknown.source));
    }
    Ok(text)
}

/// The statement that gives a right.
///
/// # Errors
///
/// A name that no statement can carry.
pub fn statement(right: &Right, login: &str) -> Result<Statement, QuoteError> {
    match right {
        Right::ServerRole(role) => rights::add_to_server_role(role, login),
        Right::Server(permission) => rights::grant_on_server(permission, login),
        Right::User(database) => rights::create_user(database.as_str(), login),
        Right::DatabaseRole(database, role) => rights::add_to_role(database.as_str(), role, login),
        Right::Database(database, permission) => {
            rights::grant_on_database(database.as_str(), permission, login)
        }
        Right::Select(database, table) => rights::grant_select(database.as_str(), table, login),
    }
}

fn explain(text: &mut String, need: &Need) {
    line(text, &format!("{}: {}.", need.right, need.why.join("; ")));
    for source in &need.sources {
        line(text, &format!("  Source: {source}"));
    }
    if let Some(what) = need.unconfirmed {
        line(text, &format!("  Unconfirmed: {what}."));
    }
    if let Some(only) = need.only {
        line(text, &format!("  Only {only}. Then, without the dashes:"));
    }
}

/// A comment of one line, in which `sqlcmd` finds no variable of its own.
fn line(text: &mut String, comment: &str) {
    text.push_str("-- ");
    text.push_str(&quote::comment(comment).replace("$(", "$ ("));
    text.push('\n');
}

fn batch(text: &mut String, statement: &Statement) {
    text.push_str(&quote::script(&statement.batch));
    text.push_str("\nGO\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcdr_core::Topology;
    use pcdr_core::rights::{Command, rights};

    fn scripts(command: Command, login: Login<'_>) -> String {
        let topology = Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
        let all = rights(command, &topology).instances;
        all.iter().map(|instance| script(instance, login).unwrap()).collect()
    }

    #[test]
    fn a_script_has_no_password_and_creates_no_sql_login() {
        for command in Command::ALL {
            let text = scripts(command, Login::Sql("pcdr"));
            assert!(!text.to_uppercase().contains("WITH PASSWORD"), "{text}");
            assert!(!text.contains("CREATE LOGIN [pcdr]"), "{text}");
            let text = scripts(command, Login::Windows("EXAMPLE\\pcdr"));
            assert!(text.contains("CREATE LOGIN [EXAMPLE\\pcdr] FROM WINDOWS"), "{text}");
        }
    }

    #[test]
    fn what_is_only_needed_at_times_is_written_behind_dashes() {
        let text = scripts(Command::Configure, Login::Sql("pcdr"));
        let those: Vec<&str> =
            text.lines().filter(|line| line.contains("GRANT ALTER ANY ENDPOINT")).collect();
        assert_eq!(those.len(), 2, "the witness and the secondary's mirror");
        assert!(those.iter().all(|line| line.starts_with("-- ")), "{those:?}");
    }

    #[test]
    fn a_hostile_login_starts_no_line_of_its_own() {
        let text = scripts(Command::Configure, Login::Sql("a]\nGO\nDROP DATABASE b; --$(x)"));
        assert!(!text.lines().any(|line| line.starts_with("DROP")), "{text}");
        assert!(!text.contains("$(x)"), "{text}");
    }
}
