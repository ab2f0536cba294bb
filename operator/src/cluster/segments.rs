//! The ledger that others can verify: entries of ended claims, in segments that the validator signs.
//!
//! Invariants: an entry stands in the store by itself before it is in a segment, so that none is lost with the process; at the
//! start, whatever stands by itself and in no segment is waiting for one, so that each is in exactly one. The chain in the store
//! has been verified before anything is added to it, from a checkpoint of this validator's on or whole; it is never begun anew beside
//! one of another key, and never continued where its head says that there was more. A key follows another only by a segment that the
//! other has signed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use zkinfer_crds::Identity;
use zkinfer_scoring::ledger::{Chain, Content, Ledger, LedgerError, MAX_ENTRIES, RuleRecord};
use zkinfer_scoring::{BUCKET_MILLIS, Rule};

use crate::artifacts::{ArtifactError, Artifacts};
use crate::dispatch::signed::{self, Refused, Signed, SignedError};
use crate::dispatch::{self, Entry, unix_millis};
use crate::in_force::InForce;
use crate::world::lock;

mod kept;
mod weigh;

pub use weigh::{WeighError, Weighed};

/// Why the ledger cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SegmentsError {
    /// The store.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// What is there is not a ledger that can be gone on with.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// What is added does not follow.
    #[error("the ledger in the store, at segment {sequence}: {error}")]
    Broken {
        /// Where.
        sequence: u64,
        /// Why.
        error: LedgerError,
    },
    /// Reading or writing it was given up.
    #[error("the ledger was not compacted: {0}")]
    Stopped(String),
    /// Another key signs it.
    #[error(
        "the ledger in the store is signed by {theirs}, and this validator's key is {own}: restore that key, and name the new one \
         as the next; or move `segments/` out of the store to begin a ledger anew"
    )]
    Key {
        /// Who signs it.
        theirs: Identity,
        /// The key here.
        own: Identity,
    },
}

/// The validator's keys.
#[derive(Clone)]
pub struct Keys {
    /// The one that signs.
    pub key: SigningKey,
    /// The one that shall sign from now on.
    pub next: Option<SigningKey>,
    /// Who signed before: the checkpoint may be of that time.
    pub past: Option<Identity>,
}

impl From<SigningKey> for Keys {
    fn from(key: SigningKey) -> Self {
        Self {
            key,
            next: None,
            past: None,
        }
    }
}

impl Keys {
    fn names(&self) -> Vec<Identity> {
        let next = self.next.iter().map(named);
        next.chain([named(&self.key)]).chain(self.past).collect()
    }

    /// Reads the ledger of which one of these is the key.
    async fn read(&self, artifacts: &Artifacts) -> Result<Signed, SegmentsError> {
        let (own, names) = (named(&self.key), self.names());
        let read = signed::read(artifacts, &names)
            .await
            .map_err(|error| match error {
                SignedError::Checkpoint {
                    refused: Refused::Signer(theirs),
                    ..
                } => SegmentsError::Key { theirs, own },
                error => error.into(),
            })?;
        match read.ledger.chain() {
            Ok(chain) if !names.contains(&chain.validator) => Err(SegmentsError::Key {
                theirs: chain.validator,
                own,
            }),
            _ => Ok(read),
        }
    }
}

/// Those of these entries that no checkpoint has counted. One of before the time from which a checkpoint has all is counted, wherever
/// it comes from, such as a copy of `ledger/` that is older than the segments: in a second segment its claim would break the chain.
fn uncounted(standing: Vec<Entry>, ledger: &Ledger) -> Vec<Entry> {
    let from = ledger.whole_from();
    // What is of another version is in no segment.
    let counted = |entry: &Entry| entry.at / BUCKET_MILLIS < from && entry.scored().is_some();
    let (counted, standing): (Vec<_>, Vec<_>) = standing.into_iter().partition(counted);
    if !counted.is_empty() {
        tracing::warn!(
            entries = counted.len(),
            "entries that the ledger's checkpoint has counted stand by themselves again"
        );
    }
    standing
}

/// The ledger as it was found at the start, and who goes on with it.
pub struct Opened {
    /// Who goes on with it.
    pub segments: Segments,
    /// What the segments say.
    pub ledger: Ledger,
    /// Entries that stand by themselves, in no segment.
    pub standing: Vec<Entry>,
}

fn named(key: &SigningKey) -> Identity {
    Identity::new(key.verifying_key().to_bytes())
}

/// See the module.
pub struct Segments {
    artifacts: Artifacts,
    keys: Mutex<Keys>,
    /// Why nothing is written: the key is nobody's whom the ledger names.
    held: Option<String>,
    waiting: Mutex<Vec<zkinfer_scoring::Entry>>,
    chain: tokio::sync::Mutex<Chain>,
    /// The rule that the ledger names last, and the one that it has to name.
    named: Mutex<Option<RuleRecord>>,
    due: Mutex<Option<RuleRecord>>,
    opened: u64,
    /// What the last checkpoint stands for.
    mark: Mutex<Option<Chain>>,
    /// Held by whoever reads the segments, and alone by whoever removes some.
    reading: tokio::sync::RwLock<()>,
}

impl Segments {
    /// Verifies the ledger in the store, and reads the entries that stand in none of its segments. Where another key signs it nothing is
    /// written to it: entries stand by themselves until the key is back, or a next one is named.
    ///
    /// # Errors
    /// A failing store, or a ledger that this validator cannot go on with.
    pub async fn open_or_hold(artifacts: &Artifacts, keys: impl Into<Keys>) -> Result<Opened, SegmentsError> {
        let keys = keys.into();
        let (signed, held) = match keys.read(artifacts).await {
            Ok(signed) => (signed, None),
            Err(error @ SegmentsError::Key { .. }) => {
                tracing::error!(%error, "nothing is added to the ledger; entries stand by themselves meanwhile");
                // What is known of miners is what it says, whoever signs it.
                (signed::read(artifacts, &[]).await?, Some(error.to_string()))
            }
            Err(error) => return Err(error),
        };
        let standing = dispatch::entries(artifacts, |claim| signed.ledger.has(claim)).await?;
        let standing = uncounted(standing, &signed.ledger);
        let mut segments = match &held {
            None => Self::go_on(artifacts, keys, &signed, &standing),
            Some(_) => Self::go_on(artifacts, keys, &Signed::default(), &[]),
        };
        segments.held = held;
        Ok(Opened {
            segments,
            ledger: signed.ledger,
            standing,
        })
    }

    /// Why nothing is added to the ledger, if nothing is.
    #[must_use]
    pub fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// Verifies the ledger in the store, where another key is an error; `entries` are those that stand by themselves.
    ///
    /// # Errors
    /// A failing store, or a ledger that this validator cannot go on with.
    pub async fn open(
        artifacts: &Artifacts,
        keys: impl Into<Keys>,
        entries: &[Entry],
    ) -> Result<Self, SegmentsError> {
        let keys = keys.into();
        let signed = keys.read(artifacts).await?;
        Ok(Self::go_on(artifacts, keys, &signed, entries))
    }

    /// Goes on with a ledger of one of these keys.
    fn go_on(artifacts: &Artifacts, mut keys: Keys, signed: &Signed, entries: &[Entry]) -> Self {
        let ledger = &signed.ledger;
        let chain = ledger.chain().unwrap_or(Chain::new(named(&keys.key)));
        // It was named already.
        if let Some(next) = keys.next.take_if(|next| named(next) == chain.validator) {
            keys.past = Some(named(&keys.key)).filter(|past| *past != named(&next));
            keys.key = next;
        }
        // A key is not followed by itself.
        keys.next = keys.next.filter(|next| named(next) != chain.validator);
        let mut waiting = Vec::new();
        for entry in entries.iter().filter(|entry| !ledger.has(&entry.claim)) {
            match entry.scored() {
                Some(scored) => waiting.push(scored),
                None => {
                    tracing::warn!(claim = %entry.claim, "an entry's cause is of another version: it is in no segment")
                }
            }
        }
        Self {
            artifacts: artifacts.clone(),
            keys: Mutex::new(keys),
            held: None,
            waiting: Mutex::new(waiting),
            chain: tokio::sync::Mutex::new(chain),
            named: Mutex::new(ledger.rules().last().cloned()),
            due: Mutex::default(),
            opened: unix_millis(),
            mark: Mutex::new(signed.checkpoint),
            reading: tokio::sync::RwLock::default(),
        }
    }

    /// An entry that has been written by itself.
    pub fn add(&self, entry: &Entry) {
        if self.held.is_none() {
            lock(&self.waiting).extend(entry.scored());
        }
    }

    /// Scores are by this rule since then; the ledger says so with the next segment, unless it does already.
    pub fn score_by(&self, rule: &Rule, since: u64) {
        let named = lock(&self.named);
        let due = match &*named {
            Some(named) if named.is(rule) => None,
            // What the ledger of before says of its time stays true.
            Some(named) => Some(RuleRecord::new(rule, since.max(named.at).max(self.opened))),
            // Entries of before there were such segments were scored by the default.
            None if *rule == Rule::default() => Some(RuleRecord::new(rule, since)),
            None => Some(RuleRecord::new(rule, since.max(self.opened))),
        };
        *lock(&self.due) = due;
    }

    /// What the next segment says, if anything, and how many of the entries that wait are in it.
    fn content(&self) -> Option<(Content, usize)> {
        if let Some(next) = &lock(&self.keys).next {
            return Some((Content::Rotation(named(next)), 0));
        }
        if let Some(rule) = lock(&self.due).clone() {
            return Some((Content::Rule(rule), 0));
        }
        let batch: Vec<_> = lock(&self.waiting).iter().take(MAX_ENTRIES).cloned().collect();
        let many = batch.len();
        (many > 0).then_some((Content::Entries(batch), many))
    }

    /// The ledger names this key for what comes: if it is the next one, that signs from now on.
    fn turned(&self, validator: Identity) {
        let mut keys = lock(&self.keys);
        if let Some(next) = keys.next.take_if(|next| named(next) == validator) {
            tracing::info!(old = %named(&keys.key), new = %validator, "the ledger is signed by another key from now on");
            keys.past = Some(named(&keys.key));
            keys.key = next;
        }
    }

    /// A rule stands in the ledger.
    fn has_named(&self, rule: RuleRecord) {
        let mut due = lock(&self.due);
        if due.as_ref().is_some_and(|due| {
            (&due.name, due.version, &due.constants) == (&rule.name, rule.version, &rule.constants)
        }) {
            *due = None;
        }
        drop(due);
        *lock(&self.named) = Some(rule);
    }

    /// Where the ledger ends, and how many entries wait for its next segment.
    pub async fn told(&self) -> (Chain, usize) {
        let chain = *self.chain.lock().await;
        let waiting = lock(&self.waiting).len();
        (chain, waiting)
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// A failing store, or a segment there that is none of this ledger; what is not written waits on.
    pub async fn write(&self) -> Result<(), SegmentsError> {
        if self.held.is_some() {
            return Ok(());
        }
        let mut chain = self.chain.lock().await;
        loop {
            let Some((content, many)) = self.content() else {
                return Ok(());
            };
            let rule = match &content {
                Content::Rule(rule) => Some(rule.clone()),
                _ => None,
            };
            let sequence = chain.next;
            let broken = |error| SegmentsError::Broken { sequence, error };
            let appended = chain.append(content, &lock(&self.keys).key);
            let (bytes, next) = appended.map_err(broken)?;
            if !self.artifacts.create_segment(sequence, bytes).await? {
                // A write whose answer was lost, or another run of the same person's.
                let there = self.artifacts.segment(sequence).await?;
                *chain = self.follow(&chain, &there).map_err(broken)?;
                continue;
            }
            *chain = next;
            self.turned(chain.validator);
            lock(&self.waiting).drain(..many);
            if let Some(rule) = rule {
                self.has_named(rule);
            }
            if let Some(head) = next.head(unix_millis()) {
                let signed = head.sign(&lock(&self.keys).key).map_err(broken)?;
                self.artifacts.put_ledger_head(signed).await?;
            }
        }
    }

    /// Goes on from a segment that is there already: what it has of what waits waits no more. Nobody writes the next one who has
    /// not been here, so that no claim is in two.
    fn follow(&self, chain: &Chain, bytes: &[u8]) -> Result<Chain, LedgerError> {
        let mut ledger = Ledger::after(*chain);
        ledger.add(bytes, None)?;
        lock(&self.waiting).retain(|entry| !ledger.has(&entry.claim));
        if let Some(rule) = ledger.rules().last() {
            self.has_named(rule.clone());
        }
        let next = ledger.chain()?;
        self.turned(next.validator);
        if next.validator != named(&lock(&self.keys).key) {
            return Err(LedgerError::Validator {
                sequence: chain.next,
                expected: chain.validator,
                got: next.validator,
            });
        }
        Ok(next)
    }

    /// Writes what waits, and the rule in force, each `pause`, for ever.
    pub async fn run(self: Arc<Self>, pause: Duration, in_force: Arc<InForce>) {
        loop {
            tokio::time::sleep(pause).await;
            let rules = in_force.get();
            self.score_by(&rules.scoring, rules.scoring_since);
            if let Err(error) = self.write().await {
                tracing::error!(%error, "a segment of the ledger was not written, trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
