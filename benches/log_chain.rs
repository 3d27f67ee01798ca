//! Log chain resolution against sorting the same LSNs, 1,000 to 1,000,000 log backups.
//!
//! Reach: at most twice the time of the sort. The ratio is printed after both were measured in the same
//! run, the two taking turns.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use pcdr_core::backup::BackupFile;
use pcdr_core::chain::{Start, resolve};
use pcdr_core::mock::log_backup;
use pcdr_core::{Guid, Lsn, Timestamp};

/// Log backups of one unbroken chain, in the order in which a folder lists hash-named files: none.
fn files(count: u128) -> Vec<BackupFile> {
    let at = Timestamp::from_unix_millis(1_800_000_000_000);
    let mut files: Vec<BackupFile> =
        (0..count).map(|i| log_backup("mgc", 1000 + i * 100, 1100 + i * 100, at)).collect();
    shuffle(&mut files, 42);
    files
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for i in (1..items.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
    }
}

fn start(files: &[BackupFile]) -> Start {
    let header = files[0].header.known().unwrap();
    Start { family: header.family, fork: header.first_fork, lsn: Lsn::new(1000).unwrap() }
}

/// What sorting the LSNs takes: the position, the fork and the index of each backup.
fn sort(files: &[BackupFile]) -> Vec<(Guid, Lsn, Lsn, usize)> {
    let mut lsns: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(i, file)| {
            let header = file.header.known().unwrap();
            (header.first_fork, header.first_lsn, header.last_lsn, i)
        })
        .collect();
    lsns.sort_unstable();
    lsns
}

fn log_chain(c: &mut Criterion) {
    for count in [1_000_u128, 10_000, 100_000, 1_000_000] {
        let files = files(count);
        let start = start(&files);
        let mut group = c.benchmark_group("log_chain");
        group.sample_size(10).measurement_time(Duration::from_secs(2));
        group.bench_function(BenchmarkId::new("sort", count), |b| {
            b.iter_batched(|| (), |()| black_box(sort(&files)), BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("resolve", count), |b| {
            b.iter_batched(|| (), |()| black_box(resolve(start, &files)), BatchSize::PerIteration);
        });
        group.finish();
        let (mut sorting, mut resolving) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..5 {
            let began = Instant::now();
            black_box(sort(&files));
            sorting += began.elapsed();
            let began = Instant::now();
            let chain = resolve(start, &files).unwrap();
            resolving += began.elapsed();
            assert_eq!(chain.restore.len(), files.len());
        }
        let ratio = resolving.as_secs_f64() / sorting.as_secs_f64();
        println!("log_chain/{count}: resolve takes {ratio:.2} x the sort (reach: 2)");
    }
}

criterion_group!(benches, log_chain);
criterion_main!(benches);
