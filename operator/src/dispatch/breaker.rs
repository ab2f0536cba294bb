//! A pool's breaker: whether it is given slices that others could take.
//!
//! Invariants: it opens on what the operator has seen end, never on what a miner says of itself; open it lets nothing
//! through until its pause is over, then one claim at a time, until one is delivered; each pause that a probe does not
//! end is twice the one before.
//!
//! To hand back without blame is free, so it is rationed: a pool begins with [`START`] hand-backs, gets one more every
//! 75 s and one for every two proofs that are verified. Who has none left is paused like one that fails, without being
//! blamed: a rollout is no fault, and a pool that gives everything back is of no use for now.

use std::collections::VecDeque;
use std::time::Duration;

/// The first pause, and the longest.
const PAUSE: Duration = Duration::from_secs(30);
pub(super) const LONGEST: Duration = Duration::from_secs(600);
/// Faults in a row that open it.
const IN_A_ROW: usize = 3;
/// So many ended claims are looked back at; a pool of which at least half are faults is paused too.
const RECENT: usize = 16;
const MIXED: usize = 4;
/// Hand-backs that a pool begins with, and the most that it has.
const START: u64 = 8;
const MOST: u64 = 32;
/// A thousandth of a hand-back comes back every 75 ms, 500 of them with each verified proof.
const HAND_BACK: u64 = 1000;
const REFILL_MILLIS: u64 = 75;
const EARNED: u64 = HAND_BACK / 2;

/// Why a pool is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseCause {
    /// Its claims ended by its own fault.
    Faults,
    /// It has handed back more than its ration.
    HandBacks,
}

/// A pool's pause, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub cause: PauseCause,
    /// How long it is before the pool is tried again.
    pub length: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    cause: PauseCause,
    until: Duration,
    length: Duration,
}

/// See the module. The time is the queue's.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    open: Option<Open>,
    /// The length of the next pause, and when the last one ended.
    next: Duration,
    last: Duration,
    /// The latest ends, oldest first; `true` is a fault.
    recent: VecDeque<bool>,
    /// Thousandths of hand-backs that are left, and when they were counted.
    ration: u64,
    counted: Duration,
}

impl Breaker {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            open: None,
            next: PAUSE,
            last: now,
            recent: VecDeque::with_capacity(RECENT),
            ration: START * HAND_BACK,
            counted: now,
        }
    }

    /// Whether a pool that holds so many claims may take one more.
    pub(super) fn lets(&self, held: u32, now: Duration) -> bool {
        self.open.is_none_or(|open| now >= open.until && held == 0)
    }

    /// When it will let a probe through.
    pub(super) fn wakeup(&self) -> Option<Duration> {
        self.open.map(|open| open.until)
    }

    pub(super) fn pause(&self) -> Option<Pause> {
        self.open.map(|open| Pause {
            cause: open.cause,
            length: open.length,
        })
    }

    fn trip(&mut self, cause: PauseCause, now: Duration) {
        // Who has done well for as long as the longest pause begins anew.
        if now.saturating_sub(self.last) >= LONGEST {
            self.next = PAUSE;
        }
        let length = self.next;
        self.next = (length * 2).min(LONGEST);
        self.last = now + length;
        self.open = Some(Open {
            cause,
            until: now + length,
            length,
        });
        self.recent.clear();
    }

    fn ended(&mut self, fault: bool) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(fault);
    }

    fn refill(&mut self, now: Duration) {
        let since = now.saturating_sub(self.counted).as_millis() as u64;
        let more = since / REFILL_MILLIS;
        self.ration = (self.ration + more).min(MOST * HAND_BACK);
        self.counted += Duration::from_millis(more * REFILL_MILLIS);
    }

    /// A proof that holds.
    pub(super) fn delivered(&mut self, now: Duration) {
        self.refill(now);
        self.ration = (self.ration + EARNED).min(MOST * HAND_BACK);
        if self.open.is_some_and(|open| now >= open.until) {
            self.open = None;
            self.last = now;
            self.ration = self.ration.max(HAND_BACK);
        }
        self.ended(false);
    }

    /// A claim that ended by the miner's fault.
    pub(super) fn fault(&mut self, now: Duration) {
        match self.open {
            // It was claimed before.
            Some(open) if now < open.until => return,
            Some(open) => return self.trip(open.cause, now),
            None => self.ended(true),
        }
        let last = self.recent.iter().rev().take(IN_A_ROW);
        let in_a_row = self.recent.len() >= IN_A_ROW && last.into_iter().all(|fault| *fault);
        let faults = self.recent.iter().filter(|fault| **fault).count();
        if in_a_row || (faults >= MIXED && faults * 2 >= self.recent.len()) {
            self.trip(PauseCause::Faults, now);
        }
    }

    /// A claim that was handed back without blame.
    pub(super) fn handed_back(&mut self, now: Duration) {
        self.refill(now);
        match self.open {
            Some(open) if now < open.until => {}
            Some(open) => self.trip(open.cause, now),
            None if self.ration < HAND_BACK => self.trip(PauseCause::HandBacks, now),
            None => self.ration -= HAND_BACK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_faults_in_a_row_pause_a_pool_and_one_delivery_after_the_pause_ends_it() {
        let mut breaker = Breaker::new(at(0));
        for _ in 0..2 {
            breaker.fault(at(1));
        }
        assert!(breaker.lets(5, at(1)));
        breaker.fault(at(1));
        assert_eq!(breaker.pause().map(|p| p.cause), Some(PauseCause::Faults));
        assert!(!breaker.lets(0, at(30)));
        breaker.delivered(at(30));
        assert!(!breaker.lets(0, at(30)), "claimed before the pause");
        assert!(
            breaker.lets(0, at(31)) && !breaker.lets(1, at(31)),
            "one at a time"
        );
        breaker.delivered(at(32));
        assert!(breaker.lets(7, at(32)) && breaker.pause().is_none());
    }

    #[test]
    fn a_pause_that_does_not_help_is_followed_by_one_twice_as_long_up_to_ten_minutes() {
        let mut breaker = Breaker::new(at(0));
        (0..3).for_each(|_| breaker.fault(at(0)));
        let mut now = at(30);
        for seconds in [60, 120, 240, 480, 600, 600] {
            assert!(breaker.lets(0, now));
            breaker.fault(now);
            now += at(seconds);
            assert!(!breaker.lets(0, now - at(1)) && breaker.lets(0, now), "{seconds}");
        }
    }

    #[test]
    fn a_pool_that_fails_every_other_time_is_paused_too_and_one_that_seldom_does_is_not() {
        let mut breaker = Breaker::new(at(0));
        for _ in 0..4 {
            assert!(breaker.pause().is_none());
            breaker.delivered(at(1));
            breaker.fault(at(1));
        }
        assert!(breaker.pause().is_some());
        let mut breaker = Breaker::new(at(0));
        for _ in 0..100 {
            (0..4).for_each(|_| breaker.delivered(at(1)));
            breaker.fault(at(1));
        }
        assert!(breaker.pause().is_none());
    }

    #[test]
    fn hand_backs_are_rationed_by_time_and_work() {
        let mut breaker = Breaker::new(at(0));
        for _ in 0..8 {
            breaker.handed_back(at(1));
        }
        assert!(breaker.pause().is_none());
        breaker.handed_back(at(1));
        assert_eq!(breaker.pause().map(|p| p.cause), Some(PauseCause::HandBacks));
        let mut breaker = Breaker::new(at(0));
        for n in 1..100 {
            breaker.handed_back(at(75 * n));
        }
        for _ in 0..100 {
            breaker.handed_back(at(7500));
            breaker.delivered(at(7500));
            breaker.delivered(at(7500));
        }
        assert!(breaker.pause().is_none());
    }
}
