//! The ledger that others can verify: entries of ended claims, in segments that the validator signs.
//!
//! Invariants: an entry stands in the store by itself before it is in a segment, so that none is lost with the process; at the
//! start, whatever stands by itself and in no segment is waiting for one, so that each is in exactly one. The chain in the store
//! has been verified before anything is added to it; it is never begun anew beside one of another key, and never continued where
//! its head says that there was more.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use zkinfer_crds::Identity;
use zkinfer_scoring::ledger::{Chain, Content, Head, Ledger, LedgerError, MAX_ENTRIES};

use crate::artifacts::{ArtifactError, Artifacts};
use crate::dispatch::{Entry, unix_millis};
use crate::world::lock;

/// Why the ledger cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SegmentsError {
    /// The store.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// What is there is not a ledger, or not whole.
    #[error("the ledger in the store, at segment {sequence}: {error}")]
    Broken {
        /// Where.
        sequence: u64,
        /// Why.
        error: LedgerError,
    },
    /// Another key signs it.
    #[error(
        "the ledger in the store is signed by {theirs}, and this validator's key is {own}: restore that key, or move `segments/` \
         out of the store to begin a ledger anew"
    )]
    Key {
        /// Who signs it.
        theirs: Identity,
        /// The key here.
        own: Identity,
    },
    /// Its end is missing.
    #[error(
        "the ledger in the store ends before segment {head}, which its signed head names: restore `segments/` from where it is \
         whole"
    )]
    Cut {
        /// The segment that is missing.
        head: u64,
    },
}

/// See the module.
pub struct Segments {
    artifacts: Artifacts,
    key: SigningKey,
    waiting: Mutex<Vec<zkinfer_scoring::Entry>>,
    chain: tokio::sync::Mutex<Chain>,
}

impl Segments {
    /// Verifies the ledger in the store; `entries` are those that stand by themselves.
    ///
    /// # Errors
    /// A failing store, or a ledger that this validator cannot go on with.
    pub async fn open(
        artifacts: &Artifacts,
        key: SigningKey,
        entries: &[Entry],
    ) -> Result<Self, SegmentsError> {
        let own = Identity::new(key.verifying_key().to_bytes());
        let mut ledger = Ledger::default();
        for sequence in artifacts.segments().await? {
            let bytes = artifacts.segment(sequence).await?;
            let added = ledger.add(&bytes, None);
            added.map_err(|error| SegmentsError::Broken { sequence, error })?;
        }
        let chain = ledger.chain().unwrap_or(Chain::new(own));
        if chain.validator != own {
            return Err(SegmentsError::Key {
                theirs: chain.validator,
                own,
            });
        }
        if let Some(bytes) = artifacts.ledger_head().await? {
            let broken = |error| SegmentsError::Broken {
                sequence: chain.next,
                error,
            };
            let head = Head::decode(&bytes).map_err(broken)?;
            // A head may be of before the last segments: each segment is written first.
            if head.sequence >= chain.next {
                return Err(SegmentsError::Cut { head: head.sequence });
            }
            if head.sequence + 1 == chain.next {
                ledger.ends_at(&head).map_err(broken)?;
            }
        }
        let mut waiting = Vec::new();
        for entry in entries.iter().filter(|entry| !ledger.has(&entry.claim)) {
            match entry.scored() {
                Some(scored) => waiting.push(scored),
                None => {
                    tracing::warn!(claim = %entry.claim, "an entry's cause is of another version: it is in no segment")
                }
            }
        }
        Ok(Self {
            artifacts: artifacts.clone(),
            key,
            waiting: Mutex::new(waiting),
            chain: tokio::sync::Mutex::new(chain),
        })
    }

    /// An entry that has been written by itself.
    pub fn add(&self, entry: &Entry) {
        lock(&self.waiting).extend(entry.scored());
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
        let mut chain = self.chain.lock().await;
        loop {
            let batch: Vec<_> = lock(&self.waiting).iter().take(MAX_ENTRIES).cloned().collect();
            if batch.is_empty() {
                return Ok(());
            }
            let sequence = chain.next;
            let broken = |error| SegmentsError::Broken { sequence, error };
            let many = batch.len();
            let appended = chain.append(Content::Entries(batch), &self.key);
            let (bytes, next) = appended.map_err(broken)?;
            if !self.artifacts.create_segment(sequence, bytes).await? {
                // A write whose answer was lost, or another run of the same person's.
                let there = self.artifacts.segment(sequence).await?;
                *chain = self.follow(&chain, &there).map_err(broken)?;
                continue;
            }
            *chain = next;
            lock(&self.waiting).drain(..many);
            if let Some(head) = next.head(unix_millis()) {
                let signed = head.sign(&self.key).map_err(broken)?;
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
        let next = ledger.chain()?;
        if next.validator != chain.validator {
            return Err(LedgerError::Validator {
                sequence: chain.next,
                expected: chain.validator,
                got: next.validator,
            });
        }
        Ok(next)
    }

    /// Writes what waits, each `pause`, for ever.
    pub async fn run(self: Arc<Self>, pause: Duration) {
        loop {
            tokio::time::sleep(pause).await;
            if let Err(error) = self.write().await {
                tracing::error!(%error, "a segment of the ledger was not written, trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::{ClaimId, Digest, RequestUid, SliceIndex};

    use super::*;
    use crate::dispatch::PoolId;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn entry(n: u8) -> Entry {
        Entry {
            claim: ClaimId::new([n; 16]),
            request: RequestUid::new([0; 16]),
            slice: SliceIndex(0),
            digest: Some(Digest::new([7; 32])),
            model: None,
            proof: None,
            pool: PoolId::new("a", "b"),
            identity: Identity::new([1; 32]),
            attempt: 1,
            verified: true,
            cause: None,
            miners_fault: false,
            scores: true,
            work_micros: 100_000,
            micros: 100_000,
            bytes: Some(2000),
            at: 5,
        }
    }

    async fn read(artifacts: &Artifacts) -> Ledger {
        let mut ledger = Ledger::default();
        for sequence in artifacts.segments().await.unwrap() {
            ledger
                .add(&artifacts.segment(sequence).await.unwrap(), None)
                .unwrap();
        }
        ledger
    }

    async fn written(artifacts: &Artifacts) {
        let segments = Segments::open(artifacts, key(1), &[entry(1)]).await.unwrap();
        segments.write().await.unwrap();
        segments.add(&entry(2));
        segments.add(&entry(3));
        segments.write().await.unwrap();
        segments.write().await.unwrap();
    }

    #[tokio::test]
    async fn each_entry_is_in_one_segment_whenever_the_operator_ends() {
        let artifacts = Artifacts::memory();
        written(&artifacts).await;
        // After a restart all stand by themselves still, and one has never come into a segment.
        let all = [1, 2, 3, 4].map(entry);
        let again = Segments::open(&artifacts, key(1), &all).await.unwrap();
        again.write().await.unwrap();
        let ledger = read(&artifacts).await;
        let claims: Vec<_> = ledger.entries().iter().map(|e| e.claim).collect();
        assert_eq!(claims, [1, 2, 3, 4].map(|n| ClaimId::new([n; 16])));
        assert_eq!(artifacts.segments().await.unwrap(), [0, 1, 2]);
        let head = Head::decode(&artifacts.ledger_head().await.unwrap().unwrap()).unwrap();
        assert_eq!(ledger.ends_at(&head), Ok(()));
    }

    #[tokio::test]
    async fn a_ledger_of_another_key_is_not_gone_on_with() {
        let artifacts = Artifacts::memory();
        written(&artifacts).await;
        let other = Segments::open(&artifacts, key(2), &[]).await;
        assert!(matches!(other.err(), Some(SegmentsError::Key { .. })));
    }

    #[tokio::test]
    async fn a_ledger_whose_end_is_missing_is_not_gone_on_with() {
        let (whole, cut) = (Artifacts::memory(), Artifacts::memory());
        written(&whole).await;
        let first = whole.segment(0).await.unwrap();
        assert!(cut.create_segment(0, first.to_vec()).await.unwrap());
        let head = whole.ledger_head().await.unwrap().unwrap();
        cut.put_ledger_head(head.to_vec()).await.unwrap();
        let opened = Segments::open(&cut, key(1), &[]).await;
        assert!(matches!(opened.err(), Some(SegmentsError::Cut { head: 1 })));
    }

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_is_gone_on_from() {
        let artifacts = Artifacts::memory();
        let segments = Segments::open(&artifacts, key(1), &[entry(1)]).await.unwrap();
        let chain = Chain::new(Identity::new(key(1).verifying_key().to_bytes()));
        let first = vec![entry(1).scored().unwrap()];
        let (bytes, _) = chain.append(Content::Entries(first), &key(1)).unwrap();
        assert!(artifacts.create_segment(0, bytes).await.unwrap());
        segments.add(&entry(2));
        segments.write().await.unwrap();
        assert_eq!(read(&artifacts).await.entries().len(), 2);
        assert_eq!(artifacts.segments().await.unwrap(), [0, 1]);
    }

    #[tokio::test]
    async fn two_that_write_do_not_write_over_each_other() {
        let artifacts = Artifacts::memory();
        let one = Segments::open(&artifacts, key(1), &[entry(1)]).await.unwrap();
        // It has seen an entry of the other's, too.
        let two = Segments::open(&artifacts, key(1), &[entry(1), entry(2)])
            .await
            .unwrap();
        one.write().await.unwrap();
        two.write().await.unwrap();
        one.add(&entry(3));
        one.write().await.unwrap();
        let ledger = read(&artifacts).await;
        let claims: Vec<_> = ledger.entries().iter().map(|e| e.claim).collect();
        assert_eq!(claims, [1, 2, 3].map(|n| ClaimId::new([n; 16])));
    }

    #[tokio::test]
    async fn a_strangers_segment_is_not_gone_on_from() {
        let artifacts = Artifacts::memory();
        let own = Segments::open(&artifacts, key(1), &[entry(1)]).await.unwrap();
        let stranger = Segments::open(&artifacts, key(2), &[entry(2)]).await.unwrap();
        stranger.write().await.unwrap();
        let error = own.write().await.unwrap_err();
        assert!(matches!(
            error,
            SegmentsError::Broken {
                sequence: 0,
                error: LedgerError::Validator { .. }
            }
        ));
    }
}
