//! What the Validators' controller works with, and how a change comes into force.
//!
//! Invariants: a spec that cannot be read never is in force; what was in force before it stays, over a restart too, since it stands
//! in the status.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::k8s::Validator;
use zkinfer_scoring::Rule;

use super::gather::ruling;
use super::made::Latest;
use crate::artifacts::Artifacts;
use crate::controllers::request::Requests;
use crate::dispatch::signed::{self, SignedError};
use crate::dispatch::{self, Entry, PoolId, unix_millis};
use crate::in_force::Rules;
use crate::world::{World, lock};

/// Before the ledger is read again.
const AGAIN: Duration = Duration::from_secs(5);

/// Of the Validators' controller.
pub struct Validators {
    /// What all controllers share.
    pub world: Arc<World>,
    pub(super) requests: Arc<Requests>,
    decided: Mutex<Decided>,
    /// The benchmark that was made last.
    pub(super) latest: Mutex<Option<Latest>>,
}

/// What was decided last.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    /// The uid and the name of the one that rules.
    pub(super) ruling: Option<(String, String)>,
    /// What is wrong with its spec.
    pub(super) problem: Option<String>,
}

impl Validators {
    /// None is known yet.
    #[must_use]
    pub fn new(requests: Arc<Requests>) -> Self {
        Self {
            world: Arc::clone(&requests.world),
            requests,
            decided: Mutex::default(),
            latest: Mutex::default(),
        }
    }

    pub(super) fn decided(&self) -> MutexGuard<'_, Decided> {
        lock(&self.decided)
    }

    /// Looks which one rules, and puts its settings into force; of a Validator that was there before the operator, and cannot be
    /// read, those that its status names.
    pub(super) fn decide(&self) {
        let world = &self.world;
        let mut decided = lock(&self.decided);
        let before = decided.clone();
        let found = ruling(&world.workers.namespace, world.stores.validators.state());
        let (rules, problem) = match &found {
            None => (Some(world.in_force.base().clone()), None),
            Some(validator) => self.rules_of(validator),
        };
        *decided = Decided {
            ruling: found.map(|v| (v.uid().unwrap_or_default(), v.name_any())),
            problem,
        };
        let changed = rules.is_some_and(|rules| self.put(rules));
        let same = *decided == before;
        drop(decided);
        if changed {
            // Who may see what is in force for open claims before anything is reconciled.
            self.requests.consent_again(|_| true);
            world.wake_all();
            // What a binding names, and whether anybody needs one.
            for pool in world.stores.pools.state() {
                world.wake_pool(&PoolId::from(&*pool));
            }
        }
        if changed || !same {
            for validator in world.stores.validators.state() {
                world.wake.validator(ObjectRef::from_obj(&*validator));
            }
        }
    }

    /// What a Validator's spec says, or what is to be in force in its stead, and what is wrong with it.
    fn rules_of(&self, validator: &Validator) -> (Option<Rules>, Option<String>) {
        let in_force = &self.world.in_force;
        let at = format!(
            "spec.consent of Validator {}/{}",
            self.world.workers.namespace,
            validator.name_any()
        );
        match in_force.base().with(&validator.spec, &at) {
            Ok(rules) => (Some(rules), None),
            Err(problem) => {
                let fresh = in_force.get().spec.is_none();
                let last = validator.status.as_ref().and_then(|s| s.settings.as_ref());
                let last = last
                    .filter(|_| fresh)
                    .and_then(|s| in_force.base().with(s, &at).ok());
                (last, Some(problem))
            }
        }
    }

    /// Puts settings into force; whether they are others than before.
    fn put(&self, mut rules: Rules) -> bool {
        let in_force = &self.world.in_force;
        let before = in_force.get();
        if before.spec == rules.spec && before.consent == rules.consent {
            return false;
        }
        tracing::info!(
            network = rules.network,
            max_error = rules.max_error,
            "other settings are in force"
        );
        self.world.dispatcher.set_leases(rules.leases);
        let owners = &rules.scoring.constants().owners;
        self.world.dispatcher.set_owners(owners.clone());
        rules.scoring_since = match before.scoring == rules.scoring {
            true => before.scoring_since,
            false => unix_millis(),
        };
        if before.scoring != rules.scoring {
            self.score_by(&rules.scoring);
        }
        in_force.set(rules);
        true
    }

    /// Scores are by another rule from now on.
    fn score_by(&self, rule: &Rule) {
        let (world, pools) = (Arc::clone(&self.world), Arc::clone(&self.requests.pools));
        tracing::info!(rule = %rule.name(), digest = %rule.digest(), "miners are scored by another rule");
        let further = pools.ledger().score_by(rule);
        let wake = move |world: &World| {
            for pool in world.stores.pools.state() {
                world.wake_pool(&PoolId::from(&*pool));
            }
        };
        wake(&world);
        if !further {
            return;
        }
        tokio::spawn(async move {
            // Scores see less than they should until this is done.
            loop {
                match older(&world.artifacts).await {
                    Ok(entries) => break pools.ledger().recall(entries),
                    Err(error) => {
                        tracing::warn!(%error, "the ledger's older entries cannot be read, trying again")
                    }
                }
                tokio::time::sleep(AGAIN).await;
            }
            wake(&world);
        });
    }
}

/// All entries that are to be had: those of the segments, and those that stand by themselves in none.
async fn older(artifacts: &Artifacts) -> Result<Vec<zkinfer_scoring::Entry>, SignedError> {
    let ledger = signed::from_the_first(artifacts, &[]).await?.ledger;
    let standing = dispatch::entries(artifacts, |claim| ledger.has(claim)).await?;
    let mut entries = ledger.into_entries();
    entries.extend(standing.iter().filter_map(Entry::scored));
    Ok(entries)
}
