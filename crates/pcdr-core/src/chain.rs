//! Log chain resolution: which log backups take a restoring copy how far, and what is missing.
//!
//! A log backup applies to a copy at position `p` on fork `f` when it starts on `f`, starts at or
//! before `p`, and ends after `p`. Positions of different forks do not compare, so files are grouped
//! by the fork they start on; restoring a log that spans two forks (the first one after a failover)
//! carries the copy to the second.
//!
//! The result is an answer about the files that are known. Nothing is guessed: a file whose header
//! could not be read is reported in [`Chain::unread`], and whoever plans decides what that means.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use crate::backup::{BackupFile, BackupHeader, BackupKind};
use crate::lsn::{Guid, Lsn};
use crate::time::Timestamp;

/// Where a copy stands and which files may carry it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The copy's database family.
    pub family: Guid,
    /// The fork on which it stands.
    pub fork: Guid,
    /// The log it needs next.
    pub lsn: Lsn,
}

/// The log backups to restore, in order, and where that leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Indices into the files given, in the order of restoring.
    pub restore: Vec<usize>,
    /// The position reached.
    pub reaches: Lsn,
    /// The fork reached.
    pub fork: Guid,
    /// Everything committed before this time is in the chain: the start of its last log backup.
    /// `None` when nothing is restored.
    pub complete_until: Option<Timestamp>,
    /// Files that are not restored, each with the reason.
    pub set_aside: Vec<(usize, SetAside)>,
    /// Files whose header is unknown: whether they belong to the chain cannot be said.
    pub unread: Vec<usize>,
}

/// Why a file is not part of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SetAside {
    /// A backup of another kind.
    NotALogBackup,
    /// A backup of another database family.
    OtherDatabase,
    /// It ends at or before the copy's position.
    AlreadyRestored,
    /// Another file with the same backup set, or one that reaches at least as far from the same
    /// position, is restored instead.
    Duplicate,
    /// It starts on a fork that the copy never reaches.
    OtherFork,
    /// It holds no log.
    Empty,
}

/// The chain is broken: restoring what there is would lose log that is known to exist, or would have
/// to choose between two histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Log is missing between two positions, although a later log backup exists.
    #[error("log from {needed} is needed, but the next known log backup starts at {found}")]
    Gap {
        /// Where the copy stands after everything that can be restored.
        needed: Lsn,
        /// Where the oldest later log backup starts.
        found: Lsn,
        /// Index of that log backup.
        next: usize,
        /// How many log backups can be restored before the gap.
        restorable: usize,
    },
    /// Two log backups carry the copy from the same position onto different forks.
    #[error("log backups from {at} lead onto two recovery forks, {one} and {other}")]
    Forked {
        /// The position.
        at: Lsn,
        /// A fork.
        one: Guid,
        /// The other fork.
        other: Guid,
    },
    /// A needed log backup is marked damaged.
    #[error("the log backup from {first} is marked damaged, and no other holds that log")]
    Damaged {
        /// Where it starts.
        first: Lsn,
        /// Its index.
        file: usize,
    },
}

/// Finds the log backups that carry a copy from `start` as far as possible.
///
/// Costs one sort of the usable files and one pass over them.
///
/// ```
/// use pcdr_core::chain::{resolve, Broken, Start};
/// use pcdr_core::mock::log_backup;
/// use pcdr_core::{Lsn, Timestamp};
///
/// let at = Timestamp::from_unix_millis(0);
/// let mut files = vec![log_backup("mgc", 200, 300, at), log_backup("mgc", 100, 200, at)];
/// let header = files[0].header.known().unwrap();
/// let lsn = Lsn::new(100).unwrap();
/// let start = Start { family: header.family, fork: header.first_fork, lsn };
/// assert_eq!(resolve(start, &files).unwrap().restore, [1, 0]);
///
/// files.push(log_backup("mgc", 400, 500, at));
/// assert!(matches!(resolve(start, &files), Err(Broken::Gap { restorable: 2, .. })));
/// ```
///
/// # Errors
///
/// [`Broken`] when a known later log backup cannot be reached, when two forks claim the same
/// position, or when the only file for a position is damaged.
pub fn resolve<F: Borrow<BackupFile>>(start: Start, files: &[F]) -> Result<Chain, Broken> {
    let mut chain = Chain {
        restore: Vec::new(),
        reaches: start.lsn,
        fork: start.fork,
        complete_until: None,
        set_aside: Vec::new(),
        unread: Vec::new(),
    };
    let mut search = Search { files, forks: candidates(start, files, &mut chain) };
    while let Some(next) = search.next(&chain)? {
        let (last_fork, fork_point) = match search.header(next.index) {
            Some(header) if !next.is_plain => {
                if header.is_damaged {
                    return Err(Broken::Damaged { first: next.first_lsn, file: next.index });
                }
                (header.last_fork, header.fork_point_lsn)
            }
            _ => (chain.fork, None),
        };
        if last_fork != chain.fork {
            let fork_point = fork_point.unwrap_or(chain.reaches);
            search.refuse_history_beyond(fork_point, &chain, last_fork)?;
        }
        chain.restore.push(next.index);
        chain.reaches = next.last_lsn;
        chain.fork = last_fork;
    }
    let last = chain.restore.last().and_then(|index| search.header(*index));
    chain.complete_until = last.map(|header| header.started_at);
    search.close(chain)
}

/// A usable log backup, reduced to what the search compares; small, because there may be millions.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    first_lsn: Lsn,
    last_lsn: Lsn,
    index: usize,
    /// Ends on the fork on which it starts, and is not damaged: its header need not be looked at.
    is_plain: bool,
}

/// The candidates that start on one fork, in LSN order, and how many were looked at.
#[derive(Default)]
struct Fork {
    candidates: Vec<Candidate>,
    seen: usize,
    passed_over: Vec<usize>,
}

/// Keeps the log backups of the family that hold something new, by fork and in LSN order, and says why
/// the others are not kept.
fn candidates<F: Borrow<BackupFile>>(
    start: Start,
    files: &[F],
    chain: &mut Chain,
) -> BTreeMap<Guid, Fork> {
    let mut forks: BTreeMap<Guid, Fork> = BTreeMap::new();
    // Nearly always there is one fork: it is filled without looking it up.
    let mut on_start = Fork { candidates: Vec::with_capacity(files.len()), ..Fork::default() };
    for (index, file) in files.iter().enumerate() {
        let Some(header) = file.borrow().header.known() else {
            chain.unread.push(index);
            continue;
        };
        if let Some(reason) = aside(start, header) {
            chain.set_aside.push((index, reason));
            continue;
        }
        let candidate = Candidate {
            first_lsn: header.first_lsn,
            last_lsn: header.last_lsn,
            index,
            is_plain: header.first_fork == header.last_fork && !header.is_damaged,
        };
        if header.first_fork == start.fork {
            on_start.candidates.push(candidate);
        } else {
            forks.entry(header.first_fork).or_default().candidates.push(candidate);
        }
    }
    forks.insert(start.fork, on_start);
    for fork in forks.values_mut() {
        fork.candidates.sort_unstable_by_key(|c| (c.first_lsn, c.last_lsn));
    }
    forks
}

/// Why a file is no candidate.
fn aside(start: Start, header: &BackupHeader) -> Option<SetAside> {
    if header.kind != BackupKind::Log {
        Some(SetAside::NotALogBackup)
    } else if header.family != start.family {
        Some(SetAside::OtherDatabase)
    } else if header.first_fork == start.fork && header.last_lsn <= start.lsn {
        let same = header.last_fork == start.fork;
        Some(if same { SetAside::AlreadyRestored } else { SetAside::OtherFork })
    } else if header.first_lsn >= header.last_lsn {
        Some(SetAside::Empty)
    } else {
        None
    }
}

struct Search<'a, F> {
    files: &'a [F],
    forks: BTreeMap<Guid, Fork>,
}

impl<F: Borrow<BackupFile>> Search<'_, F> {
    fn header(&self, index: usize) -> Option<&BackupHeader> {
        header(self.files, index)
    }

    /// The file to restore next: of those that apply at the chain's position, the one that reaches
    /// furthest, an undamaged one before a damaged one.
    fn next(&mut self, chain: &Chain) -> Result<Option<Candidate>, Broken> {
        let at = chain.reaches;
        let files = self.files;
        let Some(fork) = self.forks.get_mut(&chain.fork) else { return Ok(None) };
        let mut best: Option<Candidate> = None;
        while let Some(file) = fork.candidates.get(fork.seen).filter(|file| file.first_lsn <= at) {
            fork.seen += 1;
            let last_fork = |candidate: &Candidate| match header(files, candidate.index) {
                Some(header) if !candidate.is_plain => header.last_fork,
                _ => chain.fork,
            };
            if file.last_lsn <= at {
                if last_fork(file) != chain.fork {
                    return Err(Broken::Forked { at, one: chain.fork, other: last_fork(file) });
                }
                fork.passed_over.push(file.index);
                continue;
            }
            let Some(other) = best else {
                best = Some(*file);
                continue;
            };
            if last_fork(file) != last_fork(&other) {
                return Err(Broken::Forked { at, one: last_fork(&other), other: last_fork(file) });
            }
            let rank = |c: &Candidate| {
                let damaged = !c.is_plain && header(files, c.index).is_some_and(|h| h.is_damaged);
                (!damaged, c.last_lsn)
            };
            let better = rank(file) > rank(&other);
            fork.passed_over.push(if better { other.index } else { file.index });
            if better {
                best = Some(*file);
            }
        }
        Ok(best)
    }

    /// A copy that leaves its fork must not leave log behind there: a log backup that stays on the
    /// fork and goes beyond the fork point holds work of a database that went on by itself.
    fn refuse_history_beyond(
        &self,
        fork_point: Lsn,
        chain: &Chain,
        leaving_for: Guid,
    ) -> Result<(), Broken> {
        let stays = |file: &&Candidate| {
            let stays = self.header(file.index).is_some_and(|h| h.last_fork == chain.fork);
            stays && file.last_lsn > fork_point
        };
        let fork = self.forks.get(&chain.fork);
        match fork.and_then(|fork| fork.candidates.iter().find(stays)) {
            Some(_) => Err(Broken::Forked { at: fork_point, one: leaving_for, other: chain.fork }),
            None => Ok(()),
        }
    }

    /// Reports what was left over; a later log backup on the chain's fork means a gap.
    fn close(self, mut chain: Chain) -> Result<Chain, Broken> {
        for (id, fork) in self.forks {
            if let Some(next) = fork.candidates.get(fork.seen).filter(|_| id == chain.fork) {
                return Err(Broken::Gap {
                    needed: chain.reaches,
                    found: next.first_lsn,
                    next: next.index,
                    restorable: chain.restore.len(),
                });
            }
            let aside = fork.passed_over.into_iter().map(|index| (index, SetAside::Duplicate));
            chain.set_aside.extend(aside);
            let rest = fork.candidates.iter().skip(fork.seen);
            chain.set_aside.extend(rest.map(|file| (file.index, SetAside::OtherFork)));
        }
        chain.set_aside.sort_unstable();
        Ok(chain)
    }
}

fn header<F: Borrow<BackupFile>>(files: &[F], index: usize) -> Option<&BackupHeader> {
    files.get(index).and_then(|file| file.borrow().header.known())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::known::Known;

    const FAMILY: Guid = Guid(1);

    fn log(first: u128, last: u128, forks: (u128, u128)) -> BackupFile {
        let at = Timestamp::from_unix_millis(i64::try_from(last).unwrap() * 1000);
        let lsn = |n| Lsn::new(n).unwrap();
        BackupFile {
            name: format!("{first}.trn"),
            path: format!("D:\\{first}.trn"),
            size_bytes: 1,
            modified_at: None,
            header: Known::Known(BackupHeader {
                kind: BackupKind::Log,
                backup_set: Guid(first << 64 | last << 8 | forks.1),
                database: "mgc".into(),
                server: "A".into(),
                family: FAMILY,
                first_lsn: lsn(first),
                last_lsn: lsn(last),
                checkpoint_lsn: lsn(first),
                database_backup_lsn: lsn(1),
                first_fork: Guid(forks.0),
                last_fork: Guid(forks.1),
                fork_point_lsn: None,
                started_at: at,
                finished_at: at,
                backup_size_bytes: 1,
                is_copy_only: false,
                is_tail: false,
                is_damaged: false,
                has_bulk_logged_data: false,
                database_version: 904,
            }),
        }
    }

    fn start(lsn: u128) -> Start {
        Start { family: FAMILY, fork: Guid(7), lsn: Lsn::new(lsn).unwrap() }
    }

    #[test]
    fn files_are_restored_in_lsn_order_whatever_their_names_say() {
        let files = [log(300, 400, (7, 7)), log(100, 200, (7, 7)), log(200, 300, (7, 7))];
        let chain = resolve(start(100), &files).unwrap();
        assert_eq!(chain.restore, [1, 2, 0]);
        assert_eq!(chain.reaches.get(), 400);
        assert_eq!(chain.complete_until, Some(Timestamp::from_unix_millis(400_000)));
    }

    #[test]
    fn a_missing_log_backup_is_a_gap_by_position() {
        let files = [log(100, 200, (7, 7)), log(300, 400, (7, 7))];
        let Err(Broken::Gap { needed, found, next, restorable }) = resolve(start(100), &files)
        else {
            panic!("no gap")
        };
        assert_eq!((needed.get(), found.get(), next, restorable), (200, 300, 1, 1));
    }

    #[test]
    fn an_overlapping_log_backup_applies_when_it_reaches_further() {
        let files = [log(100, 250, (7, 7)), log(200, 300, (7, 7)), log(120, 220, (7, 7))];
        let chain = resolve(start(150), &files).unwrap();
        assert_eq!(chain.restore, [0, 1]);
        assert_eq!(chain.set_aside, [(2, SetAside::Duplicate)]);
    }

    #[test]
    fn the_first_log_after_a_failover_carries_the_copy_onto_the_new_fork() {
        let files = [log(200, 260, (7, 8)), log(260, 300, (8, 8)), log(100, 200, (7, 7))];
        let chain = resolve(start(100), &files).unwrap();
        assert_eq!(chain.restore, [2, 0, 1]);
        assert_eq!(chain.fork, Guid(8));
    }

    #[test]
    fn two_histories_from_one_position_are_a_fork_and_nothing_is_chosen() {
        let files = [log(200, 260, (7, 8)), log(200, 300, (7, 7)), log(100, 200, (7, 7))];
        assert!(matches!(resolve(start(100), &files), Err(Broken::Forked { .. })));
    }

    #[test]
    fn work_left_behind_on_the_old_fork_is_a_fork_even_where_no_position_is_shared() {
        let mut files = vec![log(100, 200, (7, 7)), log(200, 260, (7, 8)), log(260, 300, (8, 8))];
        assert!(resolve(start(100), &files).is_ok());
        files.push(log(210, 320, (7, 7)));
        assert!(matches!(resolve(start(100), &files), Err(Broken::Forked { .. })));
        let hidden = [log(100, 300, (7, 7)), log(150, 260, (7, 8))];
        assert!(matches!(resolve(start(100), &hidden), Err(Broken::Forked { .. })));
    }

    #[test]
    fn foreign_databases_other_kinds_and_old_files_are_set_aside_with_the_reason() {
        let mut foreign = log(100, 200, (7, 7));
        let mut full = log(100, 200, (7, 7));
        if let Known::Known(header) = &mut foreign.header {
            header.family = Guid(99);
        }
        if let Known::Known(header) = &mut full.header {
            header.kind = BackupKind::Full;
        }
        let mut truncated = log(200, 300, (7, 7));
        truncated.header = Known::unknown("backup_damaged", "unexpected end of file");
        let files = [
            foreign,
            full,
            log(50, 100, (7, 7)),
            log(150, 150, (7, 7)),
            log(5, 9, (3, 3)),
            truncated,
        ];
        let chain = resolve(start(100), &files).unwrap();
        assert_eq!(chain.restore, [0_usize; 0]);
        let reasons: Vec<SetAside> = chain.set_aside.iter().map(|(_, why)| *why).collect();
        assert_eq!(
            reasons,
            [
                SetAside::OtherDatabase,
                SetAside::NotALogBackup,
                SetAside::AlreadyRestored,
                SetAside::Empty,
                SetAside::OtherFork,
            ]
        );
        assert_eq!(chain.unread, [5]);
    }

    #[test]
    fn a_damaged_file_is_passed_over_when_an_intact_copy_exists() {
        let mut damaged = log(100, 200, (7, 7));
        if let Known::Known(header) = &mut damaged.header {
            header.is_damaged = true;
        }
        let alone = [damaged.clone()];
        assert!(matches!(resolve(start(100), &alone), Err(Broken::Damaged { .. })));
        let both = [damaged, log(100, 200, (7, 7))];
        assert_eq!(resolve(start(100), &both).unwrap().restore, [1]);
    }

    /// Slow and obvious: from every reachable (position, fork), try every file.
    fn reachable(start: Start, files: &[BackupFile]) -> Vec<(Lsn, Guid)> {
        let mut seen = vec![(start.lsn, start.fork)];
        let mut next = 0;
        while let Some(&(at, fork)) = seen.get(next) {
            next += 1;
            for header in files.iter().filter_map(|file| file.header.known()) {
                let applies =
                    header.first_fork == fork && header.first_lsn <= at && at < header.last_lsn;
                let to = (header.last_lsn, header.last_fork);
                if applies && !seen.contains(&to) {
                    seen.push(to);
                }
            }
        }
        seen
    }

    proptest! {
        /// On one fork, the chain reaches exactly as far as trying every order of restores does, and
        /// a gap is reported exactly when some file starts beyond that.
        #[test]
        fn reaches_exactly_as_far_as_trying_every_order_of_restores(
            ranges in prop::collection::vec((0_u128..40, 1_u128..12), 0..14),
            at in 0_u128..20,
        ) {
            let files: Vec<BackupFile> =
                ranges.iter().map(|(first, length)| log(*first, first + length, (7, 7))).collect();
            let start = start(at);
            let furthest = reachable(start, &files).into_iter().map(|(lsn, _)| lsn).max().unwrap();
            let beyond = ranges.iter().any(|(first, _)| *first > furthest.get());
            match resolve(start, &files) {
                Ok(chain) => {
                    prop_assert!(!beyond);
                    prop_assert_eq!(chain.reaches, furthest);
                    let mut position = start.lsn;
                    for index in chain.restore {
                        let header = files[index].header.known().unwrap();
                        prop_assert!(header.first_lsn <= position && position < header.last_lsn);
                        position = header.last_lsn;
                    }
                    prop_assert_eq!(position, furthest);
                }
                Err(Broken::Gap { needed, found, .. }) => {
                    prop_assert!(beyond);
                    prop_assert_eq!(needed, furthest);
                    prop_assert!(found > needed);
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
