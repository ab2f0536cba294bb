//! Publishes weights as the Validator declares: looks whether any are due, makes them of the ledger, signs them, and lets them leave.
//!
//! Invariants: what leaves is written down before it does; whatever fails here is told by the Validator's condition, by a metric and
//! by an event, is tried again ever more seldom, and holds nobody up who proves. A key is read where it is used, and shown nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use zkinfer_client::Pauses;
use zkinfer_crds::k8s::Truth;
use zkinfer_crds::k8s::validator::reason;
use zkinfer_weights::hotkey::Hotkey;
use zkinfer_weights::record::{Now, Record, Step, next, step};

use self::desk::{BLOCK, Desk, Failure, LONGEST, Looked, tell, until};
use super::operator::Operator;
use super::segments::Segments;
use crate::dispatch::unix_millis;
use crate::in_force::Rules;
use crate::weights::{Known, Publisher, Said, Told, Who};
use crate::world::World;

#[cfg(feature = "bittensor")]
mod chain;
mod desk;

/// Settings that change are seen as soon.
const SETTLE: Duration = Duration::from_secs(1);
/// Ever more seldom.
const PAUSES: Pauses = Pauses::new(Duration::from_secs(2), Duration::from_secs(300));

/// Publishes for ever.
pub(super) async fn run(ctx: Arc<Operator>, segments: Arc<Segments>) {
    let world = &ctx.world;
    world.settings_are_known().await;
    world.ready.wait_for_lists().await;
    let mut failures = 0u32;
    loop {
        let rules = world.in_force.get();
        let Some(declared) = &rules.weights else {
            tell(world, |told| *told = Told::default());
            failures = 0;
            settle(world, &rules, LONGEST).await;
            continue;
        };
        let mut desk = Desk {
            world,
            segments: &segments,
            rules: &rules,
            declared,
            record: None,
            known: Known::default(),
        };
        let pause = match look(&mut desk).await {
            Ok(Looked { said, pause }) => {
                failures = 0;
                tell(world, |told| told.said = Some(said));
                pause
            }
            Err(Failure { reason, message }) => {
                failures = failures.saturating_add(1);
                let pause = PAUSES.after(failures);
                world.metrics.weights(reason);
                tracing::warn!(
                    reason,
                    message,
                    "no weights have left, trying again in {} s",
                    pause.as_secs()
                );
                let said = Said {
                    truth: Truth::False,
                    reason,
                    message,
                };
                tell(world, |told| told.said = Some(said));
                pause
            }
        };
        settle(world, &rules, pause).await;
    }
}

/// Waits, unless other settings come into force meanwhile.
async fn settle(world: &World, rules: &Rules, pause: Duration) {
    let until = tokio::time::Instant::now() + pause;
    loop {
        let now = world.in_force.get();
        let same = (&now.weights, &now.network) == (&rules.weights, &rules.network);
        if !same || tokio::time::Instant::now() >= until {
            return;
        }
        tokio::time::sleep_until(until.min(tokio::time::Instant::now() + SETTLE)).await;
    }
}

async fn look(desk: &mut Desk<'_>) -> Result<Looked, Failure> {
    desk.read().await?;
    let declared = desk.declared;
    match (&declared.publisher, &declared.uids) {
        (Publisher::File, Who::Listed(uids)) => into_file(desk, uids).await,
        #[cfg(feature = "bittensor")]
        (Publisher::Chain(chain), Who::Chain) => chain::look(desk, chain).await,
        // What cannot be is not in force.
        _ => Err(Failure::new(
            reason::NOT_AS_DECLARED,
            &"this operator was built without this publisher",
        )),
    }
}

/// Into the store alone, by the clock.
async fn into_file(desk: &mut Desk<'_>, uids: &BTreeMap<Hotkey, u16>) -> Result<Looked, Failure> {
    let now = Now {
        netuid: desk.declared.netuid,
        genesis: None,
        interval: desk.declared.every,
        block: unix_millis() / BLOCK.as_millis() as u64,
        last_update: None,
    };
    if let Step::Wait { next } = step(desk.record.as_ref(), &now) {
        return Ok(Looked {
            said: desk.published(next),
            pause: until(now.block, next),
        });
    }
    let made = desk.make(uids.clone(), &now).await?;
    let record = Record::of(desk.record.as_ref(), &now, made.digest, made.at).taken(now.block);
    desk.keep(record).await?;
    desk.sent(now.block, now.interval);
    let next = next(now.block, now.interval);
    Ok(Looked {
        said: desk.published(next),
        pause: until(now.block, next),
    })
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::Identity;
    use zkinfer_weights::file::FileError;
    use zkinfer_weights::vector::VectorError;

    use super::*;
    use crate::cluster::segments::WeighError;

    #[test]
    fn what_fails_is_tried_again_ever_more_seldom_and_never_given_up() {
        let means: Vec<u64> = (1..41).map(|failures| PAUSES.mean(failures).as_secs()).collect();
        assert_eq!(means[..5], [2, 4, 8, 16, 32]);
        assert!(means[8..].iter().all(|pause| *pause == 300), "{means:?}");
    }

    #[test]
    fn a_look_comes_when_weights_are_due_or_some_minutes_later() {
        assert_eq!(until(100, 110), Duration::from_secs(120));
        assert_eq!(until(110, 100), BLOCK);
        assert_eq!(until(0, u64::MAX), LONGEST);
    }

    #[test]
    fn scores_that_make_no_vector_are_no_fault_of_the_ledger() {
        let nobody = WeighError::File(FileError::Vector(VectorError::Nobody));
        assert_eq!(Failure::from(nobody).reason, reason::NO_WEIGHTS);
        assert_eq!(Failure::from(WeighError::Empty).reason, reason::NO_WEIGHTS);
        let held = WeighError::Held("another key signs it".to_owned());
        assert_eq!(Failure::from(held).reason, reason::NO_LEDGER);
        let other = WeighError::File(FileError::Signature(Identity::new([1; 32])));
        assert_eq!(Failure::from(other).reason, reason::NO_LEDGER);
    }
}
