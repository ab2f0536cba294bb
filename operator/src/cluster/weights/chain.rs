//! Weights to a chain: the validator's hotkey from its Secret, a session with the chain for each look, and what comes of it in words.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use zkinfer_bittensor::{Due, Made, Outcome, Session, Times, Trouble};
use zkinfer_crds::k8s::Truth;
use zkinfer_crds::k8s::common::HOTKEY_SECRET_KEY;
use zkinfer_crds::k8s::validator::reason;
use zkinfer_weights::hotkey::{Hotkey, HotkeyPair};
use zkinfer_weights::publication::{Form, Refusal, Settings};
use zkinfer_weights::record::{Now, Record};
use zkinfer_weights::vector::VectorError;

use super::desk::{BLOCK, Desk, Failure, Looked, until};
use crate::dispatch::unix_millis;
use crate::weights::{ChainDeclared, Said};
use crate::world::World;

/// The API server's answer is waited for so long.
const SECRET: Duration = Duration::from_secs(30);

pub(super) async fn look(desk: &mut Desk<'_>, chain: &ChainDeclared) -> Result<Looked, Failure> {
    let key = hotkey(desk.world, &chain.secret).await?;
    let settings = Settings {
        netuid: desk.declared.netuid,
        version_key: desk.declared.version_key,
        least_interval: desk.declared.every,
        genesis: chain.genesis,
        runtimes: chain.runtimes.clone(),
    };
    let due = Due {
        settings: &settings,
        form: match chain.timelock {
            true => Form::Committed,
            false => Form::Plain,
        },
        key: &key,
        hotkeys: &desk.known.hotkeys(),
        now_millis: unix_millis(),
    };
    let session = Session::open(&chain.endpoint, Times::default()).await;
    let mut session = session.map_err(|error| Failure::new(reason::CHAIN_UNREACHABLE, &error))?;
    let outcome = zkinfer_bittensor::look(&mut session, due, desk).await;
    Ok(told(desk, outcome.map_err(failure)?))
}

fn told(desk: &Desk<'_>, outcome: Outcome) -> Looked {
    let sent = |message: String| Said {
        truth: Truth::Unknown,
        reason: reason::PUBLISHING,
        message,
    };
    match outcome {
        Outcome::Waits { block, next } => Looked {
            said: desk.published(next),
            pause: until(block, next),
        },
        Outcome::Taken { block, next: due } => {
            desk.sent(block, due.saturating_sub(block));
            Looked {
                said: desk.published(due),
                pause: BLOCK,
            }
        }
        Outcome::Awaits { until, .. } => Looked {
            said: sent(format!(
                "weights have left, and the chain has not said yet that it has them; they count for nothing after block {until}"
            )),
            pause: BLOCK,
        },
        Outcome::Sent { block } => Looked {
            said: sent(format!(
                "weights have left in block {block}, and the chain has not said yet that it has them"
            )),
            pause: BLOCK,
        },
    }
}

fn failure(trouble: Trouble<Failure>) -> Failure {
    let reason = match trouble {
        // In its own words.
        Trouble::Desk(failure) => return failure,
        Trouble::Chain(_) | Trouble::Unknown { .. } => reason::CHAIN_UNREACHABLE,
        Trouble::Refused(_) | Trouble::Lost { .. } => reason::CHAIN_REFUSED,
        Trouble::NotPermitted(Refusal::Vector(VectorError::Few { .. } | VectorError::Much { .. })) => {
            reason::NO_WEIGHTS
        }
        Trouble::NotPermitted(_) | Trouble::Prepare(_) => reason::NOT_AS_DECLARED,
    };
    Failure::new(reason, &trouble)
}

/// The validator's hotkey; of what is wrong with it nothing is shown.
async fn hotkey(world: &World, name: &str) -> Result<HotkeyPair, Failure> {
    let namespace = &world.workers.namespace;
    let bad = |why: &dyn std::fmt::Display| {
        Failure::new(reason::NO_HOTKEY, &format!("Secret {namespace}/{name}: {why}"))
    };
    let api: Api<Secret> = Api::namespaced(world.client.clone(), namespace);
    let read = tokio::time::timeout(SECRET, api.get_opt(name)).await;
    let read = read.map_err(|_| bad(&"the API server does not answer"))?;
    let secret = read.map_err(|error| bad(&error))?;
    let secret = secret.ok_or_else(|| {
        bad(&format!(
            "it is not there: make it with the hotkey's seed under `{HOTKEY_SECRET_KEY}`"
        ))
    })?;
    let seed = secret.data.and_then(|mut data| data.remove(HOTKEY_SECRET_KEY));
    let seed = seed.ok_or_else(|| bad(&format!("it has nothing under `{HOTKEY_SECRET_KEY}`")))?;
    let text = std::str::from_utf8(&seed.0)
        .map_err(|_| bad(&format!("what it has under `{HOTKEY_SECRET_KEY}` is no text")))?;
    HotkeyPair::from_text(text).map_err(|why| bad(&why))
}

impl zkinfer_bittensor::Desk for Desk<'_> {
    type Error = Failure;

    fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    async fn keep(&mut self, record: Record) -> Result<(), Failure> {
        Desk::keep(self, record).await
    }

    async fn make(&mut self, uids: BTreeMap<Hotkey, u16>, now: &Now<'_>) -> Result<Made, Failure> {
        let made = Desk::make(self, uids, now).await?;
        Ok(Made {
            digest: made.digest,
            at: made.at,
            netuid: self.declared.netuid,
            version_key: self.declared.version_key,
            vector: made.vector,
        })
    }
}
