//! Planned failover and failback on stand-ins in virtual time, while clients write: how long pcdr took outside
//! of the servers' work, and how long nobody could write.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a measurement that fails says where"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pcdr_cli::meter::{MeteredClock, Span};
use pcdr_cli::plan;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::{DatabaseName, InstanceName, Intent};
use tokio::time::Instant;

use crate::many::{Many, Unseen, name};

/// Between two attempts of a client to write.
const PAUSE: Duration = Duration::from_millis(1);

/// Clients of each database on each side: together they notice sooner than each alone.
const CLIENTS: u64 = 3;

/// How a hand-over went.
#[derive(Debug, Clone, Copy)]
pub struct HandOver {
    /// From the start of the run to its end.
    pub took: Duration,
    /// What of it no server worked for pcdr: by the stand-in's clock and on the wall.
    pub own: Span,
    /// Of the databases that were written to, the longest time from the last record that the old primary
    /// took to the first that the new one took.
    pub blocked: Duration,
}

impl Many {
    /// Carries an intent out, while clients write to so many of the databases, first where they are and
    /// then where they come.
    pub async fn hand_over(&self, intent: Intent, written: usize) -> HandOver {
        let topology = &self.stand_in.file.topology;
        let meter = self.meter();
        let ports = self.ports_of_another_process();
        let clock = MeteredClock { meter: meter.clone(), clock: Arc::clone(&ports.clock) };
        let ports = Ports { clock: Arc::new(clock), ..ports };
        let made = plan::make(intent, topology, &ports, &[]).await;
        let (plan, _) = made.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let owner = Owner { who: "bench".into(), run: plan::new_run() };
        let (primary, secondary) = (&topology.primary().name, &topology.secondary().name);
        let (old, new) = match intent {
            Intent::Failback => (secondary, primary),
            _ => (primary, secondary),
        };
        let clients = (0..written).map(|number| self.written_during(number, old, new));
        let clients = futures_util::future::join_all(clients);
        let run = async {
            let (began, wall, worked) = (Instant::now(), std::time::Instant::now(), meter.worked());
            let report = pcdr_core::run::apply(&plan, topology, &ports, &owner, &Unseen).await;
            let report = report.unwrap_or_else(|error| panic!("{error}"));
            let took = Span { tokio: began.elapsed(), wall: wall.elapsed() };
            let mut own = took.without(meter.worked().without(worked));
            own.tokio += meter.overslept(&report.steps);
            (took.tokio, own)
        };
        let ((took, own), blocked) = tokio::join!(run, clients);
        let blocked = blocked.into_iter().max().unwrap_or_default();
        HandOver { took, own, blocked }
    }

    /// Clients at the old primary and at the new: the time between the last record that the former were
    /// acknowledged, and the first of the latter.
    async fn written_during(
        &self,
        number: usize,
        old: &InstanceName,
        new: &InstanceName,
    ) -> Duration {
        let database = DatabaseName::from(name(number).as_str());
        let over = AtomicBool::new(false);
        // Numbers of their own, every time.
        let begin = u64::try_from(Instant::now().duration_since(self.began()).as_nanos()).unwrap();
        let client = |on: &InstanceName, client: u64, stops_at_first: bool| {
            let (database, over, on) = (&database, &over, on.clone());
            async move {
                tokio::time::sleep(PAUSE * u32::try_from(client % CLIENTS).unwrap()).await;
                let (mut first, mut last) = (None, None);
                for record in (begin + client * 1_000_000..).take(1_000_000) {
                    let write = self.workload.write(&on, database, record..record + 1, 0).await;
                    if write.is_ok() {
                        last = Some(Instant::now());
                        first = first.or(last);
                        if stops_at_first {
                            over.store(true, Ordering::Relaxed);
                        }
                    }
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                first.zip(last)
            }
        };
        let before = (0..CLIENTS).map(|number| client(old, number, false));
        let after = (CLIENTS..2 * CLIENTS).map(|number| client(new, number, true));
        let (before, after) = tokio::join!(
            futures_util::future::join_all(before),
            futures_util::future::join_all(after)
        );
        let last = before.into_iter().flatten().map(|(_, last)| last).max();
        let first = after.into_iter().flatten().map(|(first, _)| first).min();
        let (last, first) = last.zip(first).expect("clients write before and after");
        first.duration_since(last)
    }

    /// The blocked writes of a failback that restores the whole database, of so many bytes: its old copy is
    /// gone.
    pub async fn failed_back_whole(&self, bytes: u64) -> HandOver {
        self.hand_over(Intent::PlannedFailover, 1).await;
        let topology = &self.stand_in.file.topology;
        let database = name(0);
        let drop = format!("DROP DATABASE [{database}];");
        self.workload.send(&topology.primary().name, drop).await.unwrap();
        let serves = &topology.secondary().server_name;
        self.stand_in.world.set_data_bytes(serves, &database, bytes);
        self.hand_over(Intent::Failback, 1).await
    }
}
