//! What no client sends, no server answers, no file holds and no operator writes: nothing panics, nothing
//! grows.
//!
//! Packets over a pipe into a served engine, statements into its sessions, answers into the driver and
//! into pcdr's cells, backup files into the reader, and documents into pcdr's own. A run is one seed; the
//! seed is printed, `PCDR_SEED` repeats it, `PCDR_FUZZ_CASES` says how many cases there are, and
//! `PCDR_FUZZ_EACH=1` names each before it runs. `cargo xtask fuzz` and every run of all tests do a
//! million, with every check for overflow on.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the seed and the figures of a run")]

mod answers;
mod bytes;
mod documents;
mod files;
mod grammar;
mod memory;
mod packets;
mod running;
mod statements;
mod tally;

use std::time::Instant;

use pcdr_tests::Random;

use crate::memory::Memory;
use crate::running::{case, guarded, panics, summary};
use crate::tally::{Layer, Tally};

/// Cases of a run that nobody sized.
const CASES: u64 = 1_000_000;
/// A run is cut into rounds; each builds its worlds anew, so that what a server keeps by right (its log,
/// its history) goes with the world that kept it.
const ROUNDS: usize = 48;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// One round of every layer.
fn round(seed: u64, cases: u64) -> Tally {
    let mut tally = Tally::default();
    let mut random = Random(seed);
    for layer in Layer::ALL {
        let share = (cases * layer.percent()).div_ceil(100 * ROUNDS as u64);
        let mut own = Random(random.below(u64::MAX));
        let began = Instant::now();
        match layer {
            Layer::Packets => packets::round(&mut own, share, &mut tally),
            Layer::Statements => statements::round(&mut own, share, &mut tally),
            Layer::Answers => answers::round(&mut own, share, &mut tally),
            Layer::Files => files::round(&mut own, share, &mut tally),
            Layer::Documents => documents::round(&mut own, share, &mut tally),
        }
        tally.took(layer, began.elapsed());
    }
    tally
}

#[test]
#[ignore = "a million cases take minutes: cargo xtask fuzz, and cargo xtask test"]
fn no_packet_statement_answer_file_or_document_panics_or_grows_the_process() {
    let seed = number("PCDR_SEED", 0x5EED);
    let cases = number("PCDR_FUZZ_CASES", CASES);
    let lanes = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    println!("fuzz: PCDR_SEED={seed} PCDR_FUZZ_CASES={cases}, {ROUNDS} rounds, {lanes} at a time");
    running::prepare();
    let began = Instant::now();
    // Every round's seed is drawn here, so that what it does is the same whatever runs beside it.
    let mut random = Random(seed);
    let seeds: Vec<u64> = (0..ROUNDS).map(|_| random.below(u64::MAX)).collect();
    let mut tally = Tally::default();
    let mut memory = Memory::default();
    let mut done = 0;
    for side_by_side in seeds.chunks(lanes) {
        std::thread::scope(|scope| {
            let rounds: Vec<_> =
                side_by_side.iter().map(|seed| scope.spawn(move || round(*seed, cases))).collect();
            for round in rounds {
                tally.add(round.join().unwrap());
            }
        });
        done += side_by_side.len();
        // Nothing of a world is left here: what is still held is kept by nobody's right.
        if let Some(line) = memory.look(done, ROUNDS) {
            println!(
                "fuzz: {} cases after {:.0} s, {line}",
                tally.cases(),
                began.elapsed().as_secs_f64()
            );
        }
    }
    let panics = panics();
    for line in tally.lines() {
        println!("fuzz: {line}");
    }
    println!(
        "fuzz: {} cases in {:.0} s, {} panics, {memory}",
        tally.cases(),
        began.elapsed().as_secs_f64(),
        panics.len()
    );
    assert!(panics.is_empty(), "PCDR_SEED={seed}\n{}", summary(&panics));
    assert!(!memory.grew(), "PCDR_SEED={seed}: {memory}");
    for (layer, what) in tally::SOMETIMES {
        assert!(tally.has(what), "{layer:?} never: {what}");
    }
}
