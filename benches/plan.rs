//! Planning and verifying a disaster failover: 1 and 100 databases with 200 log backups each.
//!
//! Reach: at most 10 ms for 100 databases.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pcdr_core::mock::MockWorld;
use pcdr_core::observe::observe;
use pcdr_core::run::plan;
use pcdr_core::{Consent, Intent, Observation, Situation, Topology};

const LOG_BACKUPS: u128 = 200;

fn observed(databases: usize) -> (Topology, Observation) {
    let mut text = pcdr_core::topology::EXAMPLE.to_owned();
    for i in 1..databases {
        write!(text, "\n[[databases]]\nname = \"db{i}\"\n").unwrap();
    }
    let topology = Topology::parse(&text).unwrap();
    let world = MockWorld::new(topology.clone());
    for database in topology.databases() {
        for i in 0..LOG_BACKUPS {
            world.ship(database.as_str(), 1000 + i * 100, 1100 + i * 100);
        }
    }
    ["sql-n1", "sql-n2", "sql-n3"].iter().for_each(|name| world.lose_instance(name));
    let observation = block_on(observe(&topology, &world.ports(), "bench", None));
    (topology, observation)
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn plan_and_verify(c: &mut Criterion) {
    let consents = BTreeSet::from([Consent::PrimarySiteLost]);
    let mut group = c.benchmark_group("plan_and_verify");
    for databases in [1, 100] {
        let (topology, observation) = observed(databases);
        let situation = Situation::new(&topology, &observation, &consents, observation.taken_at);
        group.bench_function(BenchmarkId::from_parameter(databases), |b| {
            // Freeing a plan is not part of making one.
            b.iter_with_large_drop(|| {
                plan(black_box(Intent::DisasterFailover), &situation).unwrap()
            });
        });
        let mut took: Vec<_> = (0..15)
            .map(|_| {
                let began = Instant::now();
                let plan = black_box(plan(Intent::DisasterFailover, &situation).unwrap());
                (began.elapsed(), plan.steps.len())
            })
            .collect();
        took.sort_unstable();
        let (median, steps) = took[took.len() / 2];
        println!("plan_and_verify/{databases}: {steps} steps in {median:?} (reach for 100: 10 ms)");
    }
    group.finish();
}

criterion_group!(benches, plan_and_verify);
criterion_main!(benches);
