//! What was given and answered, looked at from one place, with what there is to tell of it.

use std::collections::BTreeMap;

use super::finding::{Code, Finding, Kind};
use super::{Given, GivenInstance, Partnership, Survey};
use crate::known::Known;
use crate::lsn::Guid;
use crate::name::DatabaseName;
use crate::observation::{LogShippingPrimary, LogShippingSecondary};
use crate::topology::Violation;

/// Whether two names of servers, hosts or databases mean the same, as SQL Server compares them in its usual
/// collations.
pub(super) fn same(a: &str, b: &str) -> bool {
    folded(a) == folded(b)
}

/// The part of a name that is compared.
pub(super) fn folded(text: &str) -> String {
    text.trim_end().to_lowercase()
}

/// An entry of a log-shipped database, with the instance that has it.
pub(super) type Entry<'a, T> = (usize, &'a DatabaseName, &'a T);

pub(super) struct Look<'a> {
    pub(super) given: &'a Given,
    pub(super) findings: Vec<Finding>,
    pub(super) is_nothing_there: bool,
    /// Instances by `@@SERVERNAME`, folded; the first one of a name.
    servers: BTreeMap<String, usize>,
    /// Mirroring sessions by instance and database, folded.
    sessions: BTreeMap<(usize, String), &'a Partnership>,
    /// Partners by session.
    partners: BTreeMap<Guid, Vec<usize>>,
}

impl<'a> Look<'a> {
    /// Takes note of everything that did not answer or cannot be read.
    pub(super) fn at(given: &'a Given) -> Look<'a> {
        let mut look = Look {
            given,
            findings: Vec::new(),
            is_nothing_there: false,
            servers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            partners: BTreeMap::new(),
        };
        for (index, _) in look.instances() {
            let Some(server) = look.server(index) else { continue };
            look.servers.entry(folded(server)).or_insert(index);
            let all = look.survey(index).and_then(|survey| survey.partnerships.known());
            for session in all.into_iter().flatten() {
                let key = (index, folded(session.database.as_str()));
                look.sessions.entry(key).or_insert(session);
                look.partners.entry(session.guid).or_default().push(index);
            }
        }
        for (index, instance) in given.instances.iter().enumerate() {
            match &instance.survey {
                Known::Known(survey) => look.unreadable(index, instance, survey),
                Known::Unknown(reason) => look.note(
                    Code::NotObserved,
                    Some(&instance.address),
                    None,
                    format!("it did not answer: {reason}"),
                    "Run pcdr discover again when it can be reached, or complete its part by hand.",
                ),
            }
        }
        look
    }

    fn unreadable(&mut self, index: usize, instance: &'a GivenInstance, survey: &'a Survey) {
        let seen = &survey.seen;
        if seen.server_name.is_none() {
            self.note(
                Code::NoServerName,
                Some(&instance.address),
                None,
                "@@SERVERNAME is NULL, and log shipping goes by it".to_owned(),
                "Run sp_addserver with the name and 'local', restart the instance, then discover again.",
            );
        } else if let Some(earlier) = self.server(index).and_then(|name| self.by_server(name))
            && earlier != index
        {
            let found =
                format!("it is the same instance as {}", self.given.instances[earlier].address);
            let remedy = "Give every instance once; two instances cannot have one @@SERVERNAME.";
            self.note(Code::SameServerName, Some(&instance.address), None, found, remedy);
        }
        let sections = [
            ("the databases (sys.databases)", seen.databases.reason()),
            ("the log shipping primaries", seen.log_shipping_primary.reason()),
            ("the log shipping secondaries", seen.log_shipping_secondary.reason()),
            ("what is registered without a database", seen.log_shipping_unfinished.reason()),
            ("the alert job", seen.alert_job.reason()),
            ("the mirroring endpoint", seen.mirroring_endpoint.reason()),
            ("mirroring sessions (sys.database_mirroring)", survey.partnerships.reason()),
            ("witnessed sessions (sys.database_mirroring_witnesses)", survey.witnessed.reason()),
        ];
        for (what, reason) in sections {
            let Some(reason) = reason else { continue };
            let found = format!("{what} could not be read: {reason}");
            let remedy = "Give the login the right that is missing and discover again, or complete by hand \
                          what depends on it.";
            let server = self.shown(index);
            self.note(Code::Unreadable, Some(&server), None, found, remedy);
        }
    }

    pub(super) fn note(
        &mut self,
        code: Code,
        instance: Option<&str>,
        database: Option<&DatabaseName>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let finding = Finding {
            code,
            instance: instance.map(str::to_owned),
            database: database.cloned(),
            found: found.into(),
            remedy: remedy.into(),
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// A rule that the draft breaks, unless the draft itself leaves that open and says so.
    pub(super) fn breaks_rule(&mut self, violation: &Violation, is_explained: bool) {
        let is_left_open = violation.code == "to_be_completed" || violation.code == "missing_key";
        if !(is_left_open && is_explained) {
            let found = format!("{} [{}]", violation.message, violation.code);
            self.note(Code::BreaksRule, None, None, found, violation.remedy.clone());
        }
    }

    pub(super) fn has_questions(&self) -> bool {
        self.findings.iter().any(|finding| finding.code.kind() == Kind::Question)
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = (usize, &'a GivenInstance)> + use<'a> {
        self.given.instances.iter().enumerate()
    }

    pub(super) fn survey(&self, index: usize) -> Option<&'a Survey> {
        self.given.instances.get(index)?.survey.known()
    }

    /// `@@SERVERNAME`.
    pub(super) fn server(&self, index: usize) -> Option<&'a str> {
        self.survey(index)?.seen.server_name.as_deref()
    }

    /// An instance for messages: by its name, or by the address as given.
    pub(super) fn shown(&self, index: usize) -> String {
        let address = &self.given.instances[index].address;
        self.server(index).unwrap_or(address).to_owned()
    }

    /// The instance of an `@@SERVERNAME`.
    pub(super) fn by_server(&self, name: &str) -> Option<usize> {
        self.servers.get(&folded(name)).copied()
    }

    /// Why a server that others name is of no help: it is not here, or it does not know of it.
    pub(super) fn absence(&self, server: &str) -> String {
        if self.by_server(server).is_some() {
            return "which has no log shipping entry of it".to_owned();
        }
        let answered: Vec<&str> = self.instances().filter_map(|(i, _)| self.server(i)).collect();
        format!("which is none of the instances that answered ({})", answered.join(", "))
    }

    /// The instance that a person means by a text: `@@SERVERNAME`, the address, or a host that only one has.
    pub(super) fn by_text(&self, text: &str) -> Option<usize> {
        let exact = self.instances().find(|(index, given)| {
            self.server(*index).is_some_and(|server| same(server, text))
                || same(&given.address, text)
        });
        if let Some((index, _)) = exact {
            return Some(index);
        }
        let mut hosts = self.instances().filter(|(index, given)| {
            let hosts = [given.host.as_deref(), Some(given.connect_host.as_str())];
            let is_host = |host: &str| same(host, text) || same(label(host), text);
            // The full name of a machine is not known here yet, its first label is.
            let machine = self.server(*index).and_then(|server| server.split('\\').next());
            hosts.into_iter().flatten().any(is_host)
                || machine.is_some_and(|machine| same(machine, label(text)))
        });
        match (hosts.next(), hosts.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    }

    pub(super) fn primaries(
        &self,
    ) -> impl Iterator<Item = Entry<'a, LogShippingPrimary>> + use<'a> {
        let all = self.given.instances.iter().enumerate();
        all.filter_map(|(index, given)| Some((index, given.survey.known()?)))
            .filter_map(|(index, survey)| Some((index, survey.seen.log_shipping_primary.known()?)))
            .flat_map(|(index, all)| all.iter().map(move |(name, entry)| (index, name, entry)))
    }

    pub(super) fn secondaries(
        &self,
    ) -> impl Iterator<Item = Entry<'a, LogShippingSecondary>> + use<'a> {
        let all = self.given.instances.iter().enumerate();
        all.filter_map(|(index, given)| Some((index, given.survey.known()?)))
            .filter_map(|(index, survey)| {
                Some((index, survey.seen.log_shipping_secondary.known()?))
            })
            .flat_map(|(index, all)| all.iter().map(move |(name, entry)| (index, name, entry)))
    }

    /// An instance's mirroring session of a database.
    pub(super) fn partnership(
        &self,
        index: usize,
        database: &DatabaseName,
    ) -> Option<&'a Partnership> {
        self.sessions.get(&(index, folded(database.as_str()))).copied()
    }

    /// The given instance at the other end of a session.
    pub(super) fn partner(&self, of: usize, session: &Partnership) -> Option<usize> {
        let by_guid = self.partners.get(&session.guid).into_iter().flatten().copied();
        // A mirror shows its session to sysadmin only; its name is told by the principal, too.
        by_guid.into_iter().find(|index| *index != of).or_else(|| {
            let index = self.by_server(session.partner_instance.as_deref()?)?;
            (index != of).then_some(index)
        })
    }
}

/// A host's first label; an address as it is.
pub(super) fn label(host: &str) -> &str {
    let is_address = host.parse::<core::net::IpAddr>().is_ok();
    if is_address { host } else { host.split('.').next().unwrap_or(host) }
}
