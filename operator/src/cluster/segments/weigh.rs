//! A weights file of the ledger as it is signed.
//!
//! Invariant: whatever is signed follows from the segments that the file names, read again from the store: whoever has them computes
//! the same.

use ed25519_dalek::SigningKey;
use zkinfer_scoring::ledger::Ledger;
use zkinfer_scoring::{Rule, Scores};
use zkinfer_weights::assign::Registry;
use zkinfer_weights::file::{FileError, Subnet, WeightsFile};

use super::{Segments, SegmentsError};
use crate::dispatch::unix_millis;
use crate::world::lock;

/// Why there are no weights.
#[derive(Debug, thiserror::Error)]
pub enum WeighError {
    /// Nothing is added to the ledger.
    #[error("{0}")]
    Held(String),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] SegmentsError),
    /// There is none yet.
    #[error("nothing is in the ledger yet: no claim has ended")]
    Empty,
    /// The scores make no file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It was not computed to its end.
    #[error("the weights were not computed: {0}")]
    Broken(String),
}

/// Weights, signed.
pub struct Weighed {
    /// What is in the file.
    pub file: WeightsFile,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Segments {
    /// Signs what the scores of the whole ledger come to now, by this rule, with everybody in their place.
    ///
    /// # Errors
    /// A ledger that is empty, held or broken, a failing store, or scores that make no weights.
    pub async fn weigh(
        &self,
        rule: &Rule,
        registry: Registry,
        subnet: Subnet,
    ) -> Result<Weighed, WeighError> {
        if let Some(held) = &self.held {
            return Err(WeighError::Held(held.clone()));
        }
        self.write().await?;
        let (keys, rule) = (lock(&self.keys).clone(), rule.clone());
        let ledger = {
            let _reading = self.reading.read().await;
            keys.read(&self.artifacts).await?.ledger
        };
        // Of a long ledger this takes seconds, in which others go on.
        let weighing =
            tokio::task::spawn_blocking(move || weighed(&ledger, &keys.key, &rule, &registry, subnet));
        weighing
            .await
            .map_err(|error| WeighError::Broken(error.to_string()))?
    }
}

fn weighed(
    ledger: &Ledger,
    key: &SigningKey,
    rule: &Rule,
    registry: &Registry,
    subnet: Subnet,
) -> Result<Weighed, WeighError> {
    let at = unix_millis();
    let head = ledger.chain().ok().and_then(|chain| chain.head(at));
    // What names the rule is a segment too.
    let head = head.filter(|_| !ledger.entries().is_empty());
    let head = head.ok_or(WeighError::Empty)?;
    let scores = Scores::of(rule, ledger.entries(), at);
    let file = WeightsFile::of(&scores, registry, &head, subnet);
    let bytes = file.sign(key)?;
    Ok(Weighed { file, bytes })
}
