//! How far a copy is behind, and whether that grows.

use std::time::Duration;

use serde::Serialize;

use crate::known::Known;
use crate::observation::RestoredLogBackup;
use crate::time::{Timestamp, readable};

/// How far a copy is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// When the newest log backup that it holds was taken: what was committed later, it does not hold.
    pub holds_until: Timestamp,
    /// How long ago that was, in seconds.
    pub seconds: u64,
    /// Whether that grows; unknown while too little is on record.
    pub trend: Known<Trend>,
}

/// How a lag develops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// It is longer than it used to be.
    Growing,
    /// It is as it used to be.
    Steady,
    /// It is shorter than it used to be.
    Shrinking,
}

impl Trend {
    /// As programs read it: `growing`, `steady`, `shrinking`.
    pub fn as_str(self) -> &'static str {
        match self {
            Trend::Growing => "growing",
            Trend::Steady => "steady",
            Trend::Shrinking => "shrinking",
        }
    }
}

/// Fewer restores than this say nothing about a trend.
const ENOUGH: usize = 4;

/// The lag of a copy by the restores on record, oldest first.
pub(super) fn of(restored: &Known<Vec<RestoredLogBackup>>, now: Timestamp) -> Known<Lag> {
    let restored = match restored {
        Known::Known(restored) => restored,
        Known::Unknown(reason) => return Known::Unknown(reason.clone()),
    };
    let Some(last) = restored.last() else {
        return Known::unknown(
            "no_restore_on_record",
            "the history in msdb holds no restore of a log backup into it",
        );
    };
    let holds_until = last.finished_at;
    let seconds = now.since(holds_until).as_secs();
    Known::Known(Lag { holds_until, seconds, trend: trend(restored, now) })
}

/// Between two restores a lag grows by itself, and falls with the restore: what counts is how long it was
/// just before each restore, and how long it is now. The longest of the later half is compared with the
/// longest of the earlier half; a quarter and a minute are no trend.
///
/// A run that restores several log backups counts once: within it, the lag only falls.
fn trend(restored: &[RestoredLogBackup], now: Timestamp) -> Known<Trend> {
    if restored.len() < ENOUGH {
        return Known::unknown(
            "too_few_restores",
            format!("{} restores are on record, {ENOUGH} are needed", restored.len()),
        );
    }
    let ends = restored.iter().skip(1).map(|one| one.restored_at).chain([now]);
    let before: Vec<Duration> =
        restored.iter().zip(ends).map(|(held, end)| end.since(held.finished_at)).collect();
    let (earlier, later) = before.split_at(before.len() / 2);
    let longest = |half: &[Duration]| half.iter().max().copied().unwrap_or_default();
    let (earlier, later) = (longest(earlier), longest(later));
    let is_longer = |a: Duration, b: Duration| a > b + b / 4 + Duration::from_secs(60);
    Known::Known(if is_longer(later, earlier) {
        Trend::Growing
    } else if is_longer(earlier, later) {
        Trend::Shrinking
    } else {
        Trend::Steady
    })
}

/// What a person is told of a lag that grows.
pub(super) fn told(lag: &Lag) -> String {
    readable(Duration::from_secs(lag.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::Lsn;

    const MINUTE: i64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_unix_millis(minute * MINUTE)
    }

    /// Restores of log backups: the minutes of the backup and of its restore.
    fn restores(all: &[(i64, i64)]) -> Vec<RestoredLogBackup> {
        all.iter()
            .map(|(finished, restored)| RestoredLogBackup {
                restored_at: at(*restored),
                finished_at: at(*finished),
                last_lsn: Lsn::new(1).unwrap(),
            })
            .collect()
    }

    fn trend_of(all: &[(i64, i64)], now: i64) -> Option<Trend> {
        match of(&Known::Known(restores(all)), at(now)) {
            Known::Known(lag) => lag.trend.known().copied(),
            Known::Unknown(_) => None,
        }
    }

    #[test]
    fn a_backup_every_quarter_restored_a_quarter_later_is_steady_until_restores_stop() {
        let all: Vec<(i64, i64)> = (0..8).map(|i| (i * 15, i * 15 + 15)).collect();
        assert_eq!(trend_of(&all, 8 * 15 + 14), Some(Trend::Steady));
        assert_eq!(trend_of(&all, 8 * 15 + 60), Some(Trend::Growing));
    }

    #[test]
    fn a_copy_that_catches_up_after_an_outage_shrinks() {
        // Two hours of nothing, then one backup every other minute.
        let all: Vec<(i64, i64)> = (0..8).map(|i| (i * 15, 240 + i * 2)).collect();
        assert_eq!(trend_of(&all, 256), Some(Trend::Shrinking));
    }

    #[test]
    fn many_log_backups_restored_in_one_run_are_no_trend() {
        let mut all = Vec::new();
        for run in 0..4 {
            all.extend((0..4).map(|i| (run * 60 + i * 15, run * 60 + 60)));
        }
        assert_eq!(trend_of(&all, 4 * 60 + 59), Some(Trend::Steady));
    }

    #[test]
    fn too_few_restores_are_no_trend_and_none_is_no_lag() {
        assert_eq!(trend_of(&[(0, 15), (15, 30), (30, 45)], 50), None);
        let none = of(&Known::Known(Vec::new()), at(0));
        assert_eq!(none.reason().unwrap().code, "no_restore_on_record");
    }

    #[test]
    fn the_lag_is_the_age_of_the_newest_log_that_the_copy_holds() {
        let lag = of(&Known::Known(restores(&[(0, 15), (15, 31)])), at(40));
        assert_eq!(lag.known().map(|lag| (lag.holds_until, lag.seconds)), Some((at(15), 25 * 60)));
    }
}
