//! One look at the chain: whether weights are due, what has become of those that have left, and those that are due, on their way.
//!
//! Invariants: the chain and its runtime are the declared ones before anything else that it says is believed; what leaves is written
//! down before it does, and what was refused after; where it is not known whether it has left, it counts as if it had, until it cannot
//! count any more. So nothing leaves twice in a window, whatever breaks in between.

use std::collections::BTreeMap;

use zkinfer_crds::Digest;
use zkinfer_weights::hotkey::{Hotkey, HotkeyPair};
use zkinfer_weights::publication::{Form, Permitted, Refusal, Settings, Weights};
use zkinfer_weights::record::{Now, Record, Sent, Step, last, next, step};
use zkinfer_weights::vector::Vector;

use crate::session::{ChainError, Session};
use crate::view::PrepareError;

/// Weights that were made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The weights file.
    pub digest: Digest,
    /// When, in Unix milliseconds.
    pub at: u64,
    /// Of which subnet they are.
    pub netuid: u16,
    /// By which rules.
    pub version_key: u64,
    /// The vector.
    pub vector: Vector,
}

/// Who makes weights, and keeps what is written down.
pub trait Desk: Send {
    /// Why it did not.
    type Error: Send;

    /// What was written down last.
    fn record(&self) -> Option<&Record>;

    /// Writes it down, in the place of what was there.
    fn keep(&mut self, record: Record) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Makes the weights that are due, with these uids.
    fn make(
        &mut self,
        uids: BTreeMap<Hotkey, u16>,
        now: &Now<'_>,
    ) -> impl Future<Output = Result<Made, Self::Error>> + Send;
}

/// What is published, and how.
#[derive(Clone, Copy)]
pub struct Due<'a> {
    /// What is declared.
    pub settings: &'a Settings,
    /// Locked, or for all to see.
    pub form: Form,
    /// The validator's hotkey.
    pub key: &'a HotkeyPair,
    /// Hotkeys whose uids are asked for.
    pub hotkeys: &'a [Hotkey],
    /// The time, in Unix milliseconds.
    pub now_millis: u64,
}

/// What a look has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// None are due.
    Waits {
        /// The block.
        block: u64,
        /// In which they are.
        next: u64,
    },
    /// What has left was taken.
    Taken {
        /// In which block.
        block: u64,
        /// In which the next are due.
        next: u64,
    },
    /// What has left may still be taken.
    Awaits {
        /// The block.
        block: u64,
        /// In which it cannot any more.
        until: u64,
    },
    /// They have left just now.
    Sent {
        /// In which block.
        block: u64,
    },
}

/// Why nothing has left, or why it is not known whether it has.
#[derive(Debug, thiserror::Error)]
pub enum Trouble<E> {
    /// The chain is away, slow or odd. What was due is due at the next look.
    #[error(transparent)]
    Chain(ChainError),
    /// It may have left.
    #[error("weights may have left in block {block}, and count for nothing after block {until}: {error}")]
    Unknown {
        /// In which block.
        block: u64,
        /// Until which one.
        until: u64,
        /// Why it is not known.
        error: ChainError,
    },
    /// The chain does not take it.
    #[error(transparent)]
    Refused(ChainError),
    /// The chain did not take it in time.
    #[error("weights that have left in block {block} were not taken until block {until}, and are made anew")]
    Lost {
        /// In which block.
        block: u64,
        /// Until which one.
        until: u64,
    },
    /// It may not leave.
    #[error(transparent)]
    NotPermitted(Refusal),
    /// It could not be signed.
    #[error(transparent)]
    Prepare(PrepareError),
    /// There are no weights, or nothing could be written down.
    #[error("no weights were made, or nothing was written down")]
    Desk(E),
}

/// See the module.
///
/// # Errors
/// See [`Trouble`].
pub async fn look<D: Desk>(
    session: &mut Session,
    due: Due<'_>,
    desk: &mut D,
) -> Result<Outcome, Trouble<D::Error>> {
    let settings = due.settings;
    let at = session.runtime().await.map_err(Trouble::Chain)?;
    settings.knows(&at.runtime).map_err(Trouble::NotPermitted)?;
    let own = due.key.hotkey();
    let view = session
        .view(at, settings.netuid, &own, due.hotkeys)
        .await
        .map_err(Trouble::Chain)?;
    let observed = &view.observed;
    let genesis = format!("0x{}", hex::encode(settings.genesis));
    let block = observed.schedule.block;
    let now = Now {
        netuid: settings.netuid,
        genesis: Some(&genesis),
        interval: settings.least_interval.max(observed.rate_limit),
        block,
        last_update: Some(observed.last_update),
    };
    let record = desk.record().cloned();
    match (step(record.as_ref(), &now), record) {
        (Step::Wait { next }, _) => return Ok(Outcome::Waits { block, next }),
        (Step::Await { until }, _) => return Ok(Outcome::Awaits { block, until }),
        (Step::Taken { block }, Some(record)) => {
            desk.keep(record.taken(block)).await.map_err(Trouble::Desk)?;
            let next = next(block, now.interval);
            return Ok(Outcome::Taken { block, next });
        }
        (Step::Lost, Some(record)) => {
            let lost = record.sent;
            let gone = Record { sent: None, ..record };
            desk.keep(gone).await.map_err(Trouble::Desk)?;
            if let Some(Sent { block, until }) = lost {
                return Err(Trouble::Lost { block, until });
            }
        }
        (Step::Make | Step::Taken { .. } | Step::Lost, _) => {}
    }
    // A file that cannot leave is not made.
    settings
        .may_leave(observed, due.form, last(desk.record(), &now))
        .map_err(Trouble::NotPermitted)?;
    let made = desk.make(view.uids.clone(), &now).await.map_err(Trouble::Desk)?;
    let weights = Weights {
        netuid: made.netuid,
        version_key: made.version_key,
        vector: &made.vector,
    };
    let record = Record::of(desk.record(), &now, made.digest, made.at);
    let permitted =
        Permitted::ask(weights, settings, observed, record.last).map_err(Trouble::NotPermitted)?;
    let prepared = view
        .prepare(&permitted, due.key, due.form, due.now_millis)
        .map_err(|error| match error {
            PrepareError::Refused(refusal) => Trouble::NotPermitted(refusal),
            other => Trouble::Prepare(other),
        })?;
    let until = prepared.until;
    let sent = Record {
        sent: Some(Sent { block, until }),
        ..record.clone()
    };
    desk.keep(sent).await.map_err(Trouble::Desk)?;
    match session.submit(&prepared.extrinsic).await {
        Ok(()) => Ok(Outcome::Sent { block }),
        Err(error @ ChainError::Refused { .. }) => {
            desk.keep(record).await.map_err(Trouble::Desk)?;
            Err(Trouble::Refused(error))
        }
        Err(error) => Err(Trouble::Unknown { block, until, error }),
    }
}
