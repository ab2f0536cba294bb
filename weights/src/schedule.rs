//! When a subnet's epochs are, and when a commit of weights opens.
//!
//! An epoch runs in a block b in which one of these is so:
//!
//! ```text
//! b ≥ pending                       the owner has asked for one
//! b - last epoch ≥ tempo
//! blocks since the last step > 50400, as many as the longest tempo has
//! ```
//!
//! In each block what is to open is opened before epochs run: an epoch that this block will run counts for it already. A commit
//! of epoch n opens in the first block that counts n + period. Invariants: epochs follow from the state that the chain keeps,
//! and from nothing else: tempo changes and asked-for epochs shift all later ones, so that no remainder of a block's number says
//! where one is. No loop is longer than the reveal period has epochs.

/// The longest tempo, in blocks: a week.
pub const MAX_TEMPO: u64 = 50_400;
/// The most epochs between a commit and its opening.
pub const MAX_REVEAL_PERIOD: u64 = 100;
/// A block that is the next when a call is made.
const INCLUSION: u64 = 1;
/// Blocks after the opening one until the beacon's round is on the chain for sure.
const MARGIN: u64 = 3;

/// The beacon whose rounds open commits: drand's quicknet.
pub mod beacon {
    /// When round 0 would have been, in Unix milliseconds.
    pub const GENESIS_MILLIS: u64 = 1_692_803_367_000;
    /// Milliseconds from round to round.
    pub const PERIOD_MILLIS: u64 = 3000;
}

/// Why nothing opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The subnet runs no epochs.
    #[error("the subnet's tempo is 0: it runs no epochs")]
    Tempo,
    /// No chain has such a period.
    #[error("a reveal period of {0} epochs is more than {MAX_REVEAL_PERIOD}")]
    Period(u64),
    /// Numbers that no chain has.
    #[error("the epochs counted from block {0} lead past every block that a commit could open in")]
    Never(u64),
}

/// What the chain keeps of a subnet's epochs, after a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// `LastEpochBlock`.
    pub last_epoch: u64,
    /// `PendingEpochAt`; 0 for none.
    pub pending: u64,
    /// `SubnetEpochIndex`.
    pub index: u64,
    /// `Tempo`.
    pub tempo: u16,
    /// `BlocksSinceLastStep`.
    pub since_step: u64,
    /// The block.
    pub block: u64,
}

impl Schedule {
    /// The first block after this one in which an epoch runs; `None` if the subnet runs none.
    #[must_use]
    pub fn next_epoch(&self) -> Option<u64> {
        self.first(1)
    }

    /// The first block after this one that counts an epoch more before any runs: the steps are those of the block before then.
    fn counted(&self) -> Option<u64> {
        self.first(0)
    }

    /// `now`: whether the block itself is one of the blocks since the last step.
    fn first(&self, now: u64) -> Option<u64> {
        if self.tempo == 0 {
            return None;
        }
        let by_tempo = self.last_epoch.saturating_add(self.tempo.into());
        let missing = (MAX_TEMPO + 1).saturating_sub(self.since_step);
        let by_steps = self.block.saturating_add(1 - now).saturating_add(missing);
        let asked = if self.pending == 0 { u64::MAX } else { self.pending };
        let first = by_tempo.min(by_steps).min(asked);
        Some(first.max(self.block.saturating_add(1)))
    }

    /// After the next epoch.
    #[must_use]
    pub fn after_epoch(&self) -> Option<Self> {
        let block = self.next_epoch()?;
        Some(Self {
            last_epoch: block,
            pending: 0,
            index: self.index.saturating_add(1),
            since_step: 0,
            block,
            ..*self
        })
    }

    /// The first block in which a commit opens that is made in the next one.
    ///
    /// # Errors
    /// A subnet in which nothing opens.
    pub fn opens(&self, period: u64) -> Result<u64, ScheduleError> {
        if period > MAX_REVEAL_PERIOD {
            return Err(ScheduleError::Period(period));
        }
        let made = self.block.saturating_add(INCLUSION);
        let counted = self.counted().ok_or(ScheduleError::Tempo)?;
        let target = self
            .index
            .saturating_add(u64::from(counted == made))
            .saturating_add(period);
        let last = made.saturating_add((period + 1) * MAX_TEMPO);
        let mut at = *self;
        while at.block < last {
            let runs = at.next_epoch().ok_or(ScheduleError::Tempo)?;
            let first = at.block.saturating_add(1);
            let counted = at.counted().ok_or(ScheduleError::Tempo)?;
            // Blocks before the one that runs the epoch count what is past; that one counts itself, unless only its own step makes it.
            let opens = match target.checked_sub(at.index) {
                Some(0) if first < counted.min(runs + 1) => Some(first),
                Some(1) if counted == runs => Some(runs),
                None => break,
                _ => None,
            };
            if let Some(opens) = opens.filter(|opens| *opens <= last) {
                return Ok(opens);
            }
            at = at.after_epoch().ok_or(ScheduleError::Tempo)?;
        }
        Err(ScheduleError::Never(self.block))
    }

    /// Blocks from this one until the beacon's round for a commit is there.
    ///
    /// # Errors
    /// A subnet in which nothing opens.
    pub fn blocks_until_round(&self, period: u64) -> Result<u64, ScheduleError> {
        Ok(self.opens(period)?.saturating_add(MARGIN) - self.block)
    }

    /// The beacon's round that opens a commit made at `now`, with blocks of `block_millis`.
    ///
    /// # Errors
    /// A subnet in which nothing opens.
    pub fn round(&self, period: u64, now_millis: u64, block_millis: u64) -> Result<u64, ScheduleError> {
        let blocks = self.blocks_until_round(period)?;
        let at = now_millis.saturating_add(blocks.saturating_mul(block_millis));
        let since = at.saturating_sub(beacon::GENESIS_MILLIS);
        Ok((since / beacon::PERIOD_MILLIS).max(1))
    }
}
