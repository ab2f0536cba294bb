use proptest::prelude::*;

use super::rows;
use crate::schedule::{MAX_TEMPO, Schedule, ScheduleError, beacon};

fn since(block: u64, tempo: u16) -> Schedule {
    Schedule {
        last_epoch: block,
        pending: 0,
        index: 0,
        tempo,
        since_step: 0,
        block,
    }
}

/// A chain, block by block, as its runtime goes about it.
mod chain {
    use super::{MAX_TEMPO, Schedule};

    fn due(of: &Schedule, block: u64) -> bool {
        let asked = of.pending > 0 && block >= of.pending;
        let by_tempo = block.saturating_sub(of.last_epoch) >= u64::from(of.tempo);
        of.tempo > 0 && (asked || by_tempo || of.since_step > MAX_TEMPO)
    }

    /// What the next block counts before it runs anything.
    pub(super) fn counts(of: &Schedule) -> u64 {
        of.index + u64::from(due(of, of.block + 1))
    }

    pub(super) fn step(of: &Schedule) -> Schedule {
        let mut next = *of;
        next.block += 1;
        next.since_step += 1;
        if due(&next, next.block) {
            next = Schedule {
                last_epoch: next.block,
                pending: 0,
                index: next.index + 1,
                since_step: 0,
                ..next
            };
        }
        next
    }

    pub(super) fn opens(of: &Schedule, period: u64) -> Option<u64> {
        let target = counts(of) + period;
        let mut at = *of;
        for _ in 0..=(period + 1) * MAX_TEMPO {
            if counts(&at) == target {
                return Some(at.block + 1);
            }
            at = step(&at);
        }
        None
    }
}

#[test]
fn commits_open_when_the_sdk_says() {
    let mut compared = 0;
    for row in rows("schedules") {
        let number = |name: &str| row["state"][name].as_u64().unwrap();
        let state = Schedule {
            last_epoch: number("last_epoch_block"),
            pending: number("pending_epoch_at"),
            index: number("subnet_epoch_index"),
            tempo: number("tempo") as u16,
            since_step: number("blocks_since_last_step"),
            block: number("current_block"),
        };
        let got = state.blocks_until_round(row["periods"].as_u64().unwrap());
        assert_eq!(got.ok(), row["blocks"].as_u64(), "{row}");
        compared += 1;
    }
    assert!(compared >= 100);
}

proptest! {
    #[test]
    fn epochs_are_the_chains(
        last in 0u64..500, more in 0u64..80, pending in prop_oneof![Just(0), 1u64..700], tempo in 1u16..90,
        steps in prop_oneof![0u64..90, MAX_TEMPO - 40..MAX_TEMPO + 3], period in 0u64..6,
    ) {
        let state = Schedule { last_epoch: last, pending, index: 7, tempo, since_step: steps, block: last + more };
        let mut at = chain::step(&state);
        while at.index == state.index {
            at = chain::step(&at);
        }
        prop_assert_eq!(state.after_epoch(), Some(at));
        prop_assert_eq!(state.next_epoch(), Some(at.block));
        prop_assert_eq!(state.opens(period).ok(), chain::opens(&state, period));
    }
}

#[test]
fn a_year_of_epochs_is_the_chains_block_by_block() {
    // 360 blocks are 72 minutes; the owner asks for an epoch now and then, and changes the tempo once.
    let year = 365 * 86_400 / 12;
    let mut slow = since(5_000_000, 360);
    let mut epochs = 0;
    let mut ahead = slow.after_epoch().unwrap();
    for block in slow.block + 1..=slow.block + year {
        slow = chain::step(&slow);
        if slow.last_epoch == block {
            assert_eq!(slow, ahead);
            epochs += 1;
            if epochs % 100 == 0 {
                slow.pending = block + 77;
            }
            if epochs == 5000 {
                slow.tempo = 720;
            }
            ahead = slow.after_epoch().unwrap();
        }
    }
    assert!(epochs > 6000, "{epochs}");
    // No remainder tells where an epoch is: after asked-for ones they are elsewhere.
    assert_ne!(slow.last_epoch % 360, 5_000_000 % 360);
}

#[test]
fn a_commit_opens_an_epoch_later() {
    // Epochs in blocks 160, 220, …; a commit in block 121 is of epoch 0, and epoch 1 is counted from block 160 on.
    let state = Schedule {
        block: 120,
        ..since(100, 60)
    };
    assert_eq!(state.next_epoch(), Some(160));
    assert_eq!(state.opens(1), Ok(160));
    assert_eq!(state.opens(2), Ok(220));
    // One that is made in the block that runs an epoch is of the next.
    let state = Schedule {
        block: 159,
        ..since(100, 60)
    };
    assert_eq!(state.opens(1), Ok(220));
}

#[test]
fn an_epoch_that_the_owner_asks_for_comes_sooner() {
    let state = Schedule {
        block: 120,
        pending: 130,
        ..since(100, 60)
    };
    assert_eq!(state.next_epoch(), Some(130));
    assert_eq!(state.after_epoch().and_then(|s| s.next_epoch()), Some(190));
    assert_eq!(state.opens(2), Ok(190));
}

#[test]
fn a_subnet_without_tempo_opens_nothing() {
    assert_eq!(since(100, 0).next_epoch(), None);
    assert_eq!(since(100, 0).opens(1), Err(ScheduleError::Tempo));
    assert_eq!(since(100, 360).opens(101), Err(ScheduleError::Period(101)));
}

#[test]
fn numbers_that_no_chain_has_end_all_the_same() {
    let state = Schedule {
        last_epoch: u64::MAX,
        pending: u64::MAX,
        index: u64::MAX,
        tempo: u16::MAX,
        since_step: u64::MAX,
        block: u64::MAX,
    };
    assert_eq!(state.next_epoch(), Some(u64::MAX));
    assert!(state.opens(100).is_ok() || state.opens(100).is_err());
}

#[test]
fn the_round_is_of_the_time_when_the_commit_opens() {
    let state = Schedule {
        block: 120,
        ..since(100, 60)
    };
    // Opens in block 160, and three blocks later its round is there: 43 blocks of 12 s are 172 rounds.
    assert_eq!(state.blocks_until_round(1), Ok(43));
    let now = beacon::GENESIS_MILLIS + 3_000_000;
    assert_eq!(state.round(1, now, 12_000), Ok(1172));
    assert_eq!(state.round(1, now + 2999, 12_000), Ok(1172));
    assert_eq!(state.round(1, 0, 12_000), Ok(1));
}
