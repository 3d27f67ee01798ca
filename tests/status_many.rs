//! `pcdr status` of many instances: one round trip each, one screen, nobody waited for.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the value")]

use std::time::Duration;

use pcdr_benches::many::{CHECK, Pairs, Time};
use pcdr_cli::overview::look;
use pcdr_tests::virtually;

const PAIRS: usize = 25;

#[test]
fn fifty_instances_cost_fifty_round_trips_and_one_screen_whatever_happens_to_some() {
    virtually(async {
        let served = Pairs::served(PAIRS, 1, Time::Virtual).await;
        let limit = Duration::from_secs(5);
        let observations = || served.round_trips().get("observation").copied().unwrap_or_default();
        // A connection that was idle for half a minute is asked whether it works, before it is trusted.
        let total = || {
            let all = served.round_trips();
            all.iter().filter(|(kind, _)| **kind != CHECK).map(|(_, count)| count).sum::<u64>()
        };

        let (before, all_before) = (observations(), total());
        let fine = look(served.watched(), limit).await;
        let document = fine.document();
        assert_eq!(document.verdict, "ready", "{}", fine.render(usize::MAX));
        assert_eq!((document.instances_asked, document.instances_answered), (50, 50));
        assert_eq!((observations() - before, total() - all_before), (50, 50));
        // What is fine is folded away.
        let screen = fine.render(24);
        assert_eq!(screen.lines().count(), 2, "{screen}");
        assert!(screen.contains("0 unknown, 0 attention, 25 ready"), "{screen}");

        let world = |pair: usize| served.stand_in(pair).world.clone();
        served.stand_in(3).lose_instance("sql-s003").await.unwrap();
        world(8).delay_next_request("sql-n008", Duration::from_secs(3600));
        served.send(11, "sql-s011", "RESTORE DATABASE [db000] WITH RECOVERY;").await;
        served.fail_backup_job(19).await;
        let (before, all_before) = (observations(), total());
        let began = tokio::time::Instant::now();
        let seen = look(served.watched(), limit).await;
        let took = began.elapsed();
        assert!((limit..limit * 2).contains(&took), "{took:?}");
        let document = seen.document();
        assert_eq!((document.instances_asked, document.instances_answered), (50, 48));
        // The lost one refuses the connection, the one that hangs was asked and not waited for.
        let asked = observations() - before;
        assert!((48..=49).contains(&asked), "{asked}");
        assert_eq!(total() - all_before, asked, "{:?}", served.round_trips());
        let screen = seen.render(24);
        let lines: Vec<&str> = screen.lines().collect();
        assert!(lines.len() <= 24, "{screen}");
        let of = |pair: &str| lines.iter().position(|line| line.contains(pair)).unwrap();
        let (alarm, failed) = (of("pair-011"), of("pair-019"));
        assert!(lines[alarm].contains("alarm") && lines[alarm].contains("two_writable_copies"));
        assert!(lines[failed].contains("attention") && lines[failed].contains("job_failed"));
        assert!(lines[of("pair-003")].contains("unknown"));
        assert!(lines[of("pair-008")].contains("unknown"));
        assert!(alarm < of("pair-003") && of("pair-003") < failed, "worst first: {screen}");
        assert!(screen.contains("21 ready"), "{screen}");
        assert!(!screen.contains("pair-000"), "{screen}");
        // A small screen keeps the worst.
        let small = seen.render(10);
        assert!(small.lines().count() <= 10 && small.contains("pair-011"), "{small}");
        assert!(small.contains("more lines: --all"), "{small}");
    });
}
