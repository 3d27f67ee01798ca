//! `pcdr status` of 200 instances: 100 pairs of stand-ins in this process, over real sockets in real time, some
//! of them in trouble. Prints the screen, the round trips, and how long it took.
//!
//! Reach: one round trip an instance, and one screen. `-- serve FOLDER` writes the topology files into the folder
//! and serves until it is ended, so that the command itself can be tried.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::time::Duration;

use pcdr_benches::many::{CHECK, Pairs, Time};
use pcdr_cli::overview::look;

/// Lines of a terminal.
const LINES: usize = 40;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let serves = arguments.first().is_some_and(|first| first == "serve");
    if !serves
        && !arguments.is_empty()
        && !arguments.iter().any(|name| "status_many".contains(name))
    {
        return;
    }
    let pairs = std::env::var("PCDR_PAIRS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let began = std::time::Instant::now();
        let served = Pairs::served(pairs, 2, Time::Real).await;
        println!("{pairs} pairs served and configured in {:.1} s", began.elapsed().as_secs_f64());
        trouble(&served, pairs).await;
        if serves {
            let folder = arguments.get(1).expect("serve needs a folder");
            std::fs::create_dir_all(folder).unwrap();
            served.write_topologies(Path::new(folder));
            println!("{folder}");
            tokio::signal::ctrl_c().await.unwrap();
            return;
        }
        let count = || {
            let all = served.round_trips();
            let checks = all.get(CHECK).copied().unwrap_or_default();
            (all.values().sum::<u64>() - checks, checks)
        };
        let before = count();
        let overview = look(served.watched(), Duration::from_secs(5)).await;
        let after = count();
        let document = overview.document();
        print!("{}", overview.render(LINES));
        println!(
            "status_many: {} instances asked, {} answered, {} round trips, and {} connections asked whether \
             they work after half a minute without use, {} ms",
            document.instances_asked,
            document.instances_answered,
            after.0 - before.0,
            after.1 - before.1,
            document.took_milliseconds
        );
    });
}

/// What a morning may bring: an instance lost, one that hangs, a failed job, a copy recovered by hand, a
/// stopped Agent.
async fn trouble(served: &Pairs, pairs: usize) {
    let at = |number: usize| number % pairs;
    let north = |number: usize| format!("sql-n{:03}", at(number));
    let south = |number: usize| format!("sql-s{:03}", at(number));
    served.stand_in(at(7)).lose_instance(&south(7)).await.unwrap();
    served.stand_in(at(42)).lose_instance(&north(42)).await.unwrap();
    let world = |number: usize| served.stand_in(at(number)).world.clone();
    world(13).delay_next_request(&north(13), Duration::from_secs(3600));
    served.fail_backup_job(at(21)).await;
    served.send(at(64), &south(64), "RESTORE DATABASE [db000] WITH RECOVERY;").await;
}
