//! `pcdr rights`: what pcdr's login needs, as a script for an administrator. Runs nothing.

use std::fmt::Write as _;

use pcdr_core::rights::{Need, Rights, rights};
use pcdr_core::topology::Topology;
use pcdr_sql::quote::{self, QuoteError};
use pcdr_sql::rights::{Login, script, statement};

use crate::args::{self, Global};
use crate::failure::Failure;
use crate::output::Output;
use crate::topology_file::TopologyFile;
use crate::views::{InstanceRightsView, NeedView, RightsDocument, UnknownView};

/// `pcdr rights`: writes the script, or its JSON form.
///
/// # Errors
///
/// A topology that cannot be read, a login that no statement can carry, output that nobody takes.
pub fn run(arguments: &args::Rights, global: &Global, output: Output) -> Result<u8, Failure> {
    let file = TopologyFile::named(global.topology.as_deref())?;
    let login = match (arguments.windows, arguments.login.as_str()) {
        (true, account) if !account.contains('\\') => {
            return Err(Failure::usage(
                "login",
                format!("a Windows account was needed as DOMAIN\\name, found {account:?}"),
                "Name domain and account, or leave --windows out for a SQL login.",
            ));
        }
        (true, account) => Login::Windows(account),
        (false, name) => Login::Sql(name),
    };
    let document = document(&file.topology, arguments.command, login).map_err(|error| {
        Failure::usage("login", error.to_string(), "Choose a login of at most 128 characters.")
    })?;
    output.result(&document, || document.script.clone())?;
    Ok(0)
}

/// The rights of a login with their script.
///
/// # Errors
///
/// A name that no statement can carry.
pub fn document(
    topology: &Topology,
    command: pcdr_core::rights::Command,
    login: Login<'_>,
) -> Result<RightsDocument, QuoteError> {
    let needed = rights(command, topology);
    let instances = needed.instances.iter().map(|of| {
        Ok(InstanceRightsView {
            instance: of.instance.to_string(),
            role: of.role.as_str().to_owned(),
            needs: of.needs.iter().map(|need| view(need, login)).collect::<Result<_, _>>()?,
            stays_unknown: of
                .stays_unknown
                .iter()
                .map(|unknown| UnknownView {
                    fact: unknown.fact.to_owned(),
                    why: unknown.why.to_owned(),
                    source: unknown.source.to_string(),
                })
                .collect(),
            script: script(of, login)?,
        })
    });
    let instances = instances.collect::<Result<Vec<_>, QuoteError>>()?;
    let script = whole(&needed, &instances, login);
    Ok(RightsDocument {
        command: command.as_str().to_owned(),
        login: login.name().to_owned(),
        instances,
        beside: needed.beside,
        script,
    })
}

fn view(need: &Need, login: Login<'_>) -> Result<NeedView, QuoteError> {
    Ok(NeedView {
        right: need.right.to_string(),
        why: need.why.iter().map(ToString::to_string).collect(),
        sources: need.sources.iter().map(ToString::to_string).collect(),
        unconfirmed: need.unconfirmed.map(str::to_owned),
        only: need.only.map(str::to_owned),
        statement: statement(&need.right, login.name())?.batch,
    })
}

/// The scripts of all instances behind a head that says what to do with them.
fn whole(needed: &Rights, instances: &[InstanceRightsView], login: Login<'_>) -> String {
    let mut text = String::new();
    let mut line = |comment: &str| {
        let comment = quote::comment(comment).replace("$(", "$ (");
        let _infallible = writeln!(text, "{}", format!("-- {comment}").trim_end());
    };
    line(&format!("What the login {} needs for: pcdr {}", login.name(), needed.command.as_str()));
    line("");
    line(
        "Written by pcdr, which sends none of it. For a member of sysadmin: run each part on the instance",
    );
    line("that it names, and stop at the first error (sqlcmd -b). Run again, it changes nothing.");
    line(
        "What is given in a database is given where the database is ONLINE: copies get it with the log.",
    );
    if matches!(login, Login::Sql(_)) {
        line(
            "A SQL login needs one SID on every instance, or the users in the copies are nobody's.",
        );
    }
    if !needed.beside.is_empty() {
        line("");
        line("Beside rights on instances:");
        needed.beside.iter().for_each(|what| line(&format!("- {what}")));
    }
    for instance in instances {
        text.push('\n');
        text.push_str(&instance.script);
    }
    text
}
