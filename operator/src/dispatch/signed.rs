//! The signed ledger, read from the store: from the checkpoint and what follows it, or whole.
//!
//! Invariants: nothing is told of a ledger that does not hold; a checkpoint is gone on from only where a key of ours has signed it and
//! the signed head is of it or of what follows it, so that neither who can write to the store nor an older copy of it changes what is
//! known. One that is not is refused by name, and the segments are read from the first on; where those are gone, nothing is read.

use bytes::Bytes;
use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::ledger::{Chain, Content, Head, Ledger, LedgerError, Segment};

use crate::artifacts::{ArtifactError, Artifacts};

/// Why the ledger of a store is none that can be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
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
    /// Its end is missing.
    #[error(
        "the ledger in the store ends before segment {head}, which its signed head names: restore `segments/` from where it is \
         whole"
    )]
    Cut {
        /// The segment that is missing.
        head: u64,
    },
    /// It has to be gone on with from a checkpoint that cannot be believed.
    #[error(
        "the ledger in the store begins with segment {first}, and {refused}: restore `segments/` with its `checkpoint` from where \
         they are whole"
    )]
    Checkpoint {
        /// The first segment that is there.
        first: u64,
        /// Why not.
        refused: Refused,
    },
    /// Reading was given up.
    #[error("the ledger was not read to its end: {0}")]
    Stopped(String),
}

/// Why a checkpoint is not gone on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("there is no checkpoint")]
    Missing,
    /// It is another file, or was changed.
    #[error("its checkpoint is forged or damaged: {0}")]
    Forged(LedgerError),
    /// It is a segment of another kind.
    #[error("its checkpoint is a segment that stands for no others")]
    NotOne,
    /// Somebody else has signed it.
    #[error("its checkpoint is signed by {0}, which is no key of this validator")]
    Signer(Identity),
    /// No head says where the ledger ends.
    #[error("no signed head says where the ledger of its checkpoint ends")]
    NoHead,
    /// The head is of before.
    #[error(
        "its checkpoint stands for all up to segment {checkpoint}, and the signed head is of segment {head}"
    )]
    Ahead {
        /// The last segment that it stands for.
        checkpoint: u64,
        /// The head's.
        head: u64,
    },
    /// The segments are of another history than it is.
    #[error(
        "its checkpoint is stale, or of another history: segment {sequence} here is {here}, and it stands for {own}"
    )]
    History {
        /// Which segment.
        sequence: u64,
        /// The digest of the one that is there, or that the head names.
        here: Digest,
        /// The digest that the checkpoint names.
        own: Digest,
    },
    /// What follows does not follow it.
    #[error("its checkpoint is stale: what follows it, up to the signed head, is not here: {0}")]
    Stale(LedgerError),
}

/// How a ledger was read.
#[derive(Debug, Clone, Default)]
pub struct Signed {
    /// The ledger.
    pub ledger: Ledger,
    /// Where what its checkpoint stands for ends; `None` where all segments were read.
    pub checkpoint: Option<Chain>,
    /// Why the checkpoint that is there was not gone on from.
    pub refused: Option<Refused>,
}

/// Reads the ledger: from the checkpoint on where there is one that one of these keys has signed, or anybody's with none of them.
///
/// # Errors
/// A failing store, or a ledger that does not hold.
pub async fn read(artifacts: &Artifacts, keys: &[Identity]) -> Result<Signed, SignedError> {
    // The head first: what is written meanwhile is beyond it.
    let (head, numbers) = (artifacts.ledger_head().await?, artifacts.segments().await?);
    let Some(checkpoint) = artifacts.ledger_checkpoint().await? else {
        return whole(artifacts, &numbers, head, Refused::Missing, None).await;
    };
    let (bytes, ours, end) = (checkpoint.clone(), keys.to_vec(), head.clone());
    let refused = match blocking(move || begun(&bytes, &ours, end.as_ref())).await? {
        Ok(last) => {
            let here = numbers.iter().copied();
            let own = stored(artifacts, here.clone().filter(|number| *number == last)).await?;
            let after = stored(artifacts, here.filter(|number| *number > last)).await?;
            let end = head.clone();
            match blocking(move || follow(&checkpoint, &own, after, end.as_ref())).await? {
                Ok((ledger, begun)) => {
                    return Ok(Signed {
                        ledger,
                        checkpoint: Some(begun),
                        refused: None,
                    });
                }
                Err(refused) => refused,
            }
        }
        Err(refused) => refused,
    };
    whole(artifacts, &numbers, head, refused.clone(), Some(refused)).await
}

/// Reads the ledger from as early on as there is anything: whole, or from the checkpoint where its first segments are gone.
///
/// # Errors
/// A failing store, or a ledger that does not hold.
pub async fn from_the_first(artifacts: &Artifacts, keys: &[Identity]) -> Result<Signed, SignedError> {
    let (head, numbers) = (artifacts.ledger_head().await?, artifacts.segments().await?);
    if numbers.first().is_some_and(|first| *first != 0) {
        return read(artifacts, keys).await;
    }
    whole(artifacts, &numbers, head, Refused::Missing, None).await
}

async fn stored(
    artifacts: &Artifacts,
    numbers: impl Iterator<Item = u64>,
) -> Result<Vec<(u64, Bytes)>, ArtifactError> {
    let mut segments = Vec::new();
    for number in numbers {
        segments.push((number, artifacts.segment(number).await?));
    }
    Ok(segments)
}

/// Of a long ledger this takes seconds, in which others go on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SignedError> {
    let working = tokio::task::spawn_blocking(work).await;
    working.map_err(|error| SignedError::Stopped(error.to_string()))
}

/// The last segment that a checkpoint stands for, if it is one to begin with.
fn begun(bytes: &[u8], keys: &[Identity], head: Option<&Bytes>) -> Result<u64, Refused> {
    let segment = Segment::decode(bytes).map_err(Refused::Forged)?;
    if !matches!(segment.content, Content::Checkpoint(_)) {
        return Err(Refused::NotOne);
    }
    if !keys.is_empty() && !keys.contains(&segment.validator) {
        return Err(Refused::Signer(segment.validator));
    }
    let head = Head::decode(head.ok_or(Refused::NoHead)?).map_err(Refused::Stale)?;
    if head.sequence < segment.sequence {
        return Err(Refused::Ahead {
            checkpoint: segment.sequence,
            head: head.sequence,
        });
    }
    if head.sequence == segment.sequence && head.digest != segment.previous {
        return Err(Refused::History {
            sequence: head.sequence,
            here: head.digest,
            own: segment.previous,
        });
    }
    Ok(segment.sequence)
}

/// The ledger of a checkpoint and the segments after it, and where it begins; `own` is the last segment that it stands for, if that is there.
fn follow(
    checkpoint: &[u8],
    own: &[(u64, Bytes)],
    after: Vec<(u64, Bytes)>,
    head: Option<&Bytes>,
) -> Result<(Ledger, Chain), Refused> {
    let mut ledger = Ledger::default();
    ledger.add(checkpoint, None).map_err(Refused::Forged)?;
    let chain = ledger.chain().map_err(Refused::Stale)?;
    for (sequence, bytes) in own {
        let here = Digest::of(bytes);
        if here != chain.last {
            return Err(Refused::History {
                sequence: *sequence,
                here,
                own: chain.last,
            });
        }
    }
    let head = Head::decode(head.ok_or(Refused::NoHead)?).map_err(Refused::Stale)?;
    // Each is let go once it was read.
    for (_, bytes) in after {
        ledger.add(&bytes, None).map_err(Refused::Stale)?;
    }
    match ends(&ledger, &head) {
        Ok(()) => Ok((ledger, chain)),
        Err(Ends::Cut) => Err(Refused::Stale(LedgerError::Sequence {
            expected: ledger.chain().map_or(0, |chain| chain.next),
            got: head.sequence,
        })),
        Err(Ends::Other(error)) => Err(Refused::Stale(error)),
    }
}

enum Ends {
    Cut,
    Other(LedgerError),
}

/// Whether a ledger goes as far as a head says. The head may be of before the last segments: each is written first.
fn ends(ledger: &Ledger, head: &Head) -> Result<(), Ends> {
    let chain = ledger.chain().map_err(Ends::Other)?;
    if head.sequence >= chain.next {
        return Err(Ends::Cut);
    }
    if head.sequence + 1 == chain.next {
        ledger.ends_at(head).map_err(Ends::Other)?;
    }
    Ok(())
}

/// All segments, from the first on. `instead` says why that is where nothing else is to be had.
async fn whole(
    artifacts: &Artifacts,
    numbers: &[u64],
    head: Option<Bytes>,
    instead: Refused,
    refused: Option<Refused>,
) -> Result<Signed, SignedError> {
    if let Some(refused) = &refused {
        tracing::error!(%refused, "the ledger is read from its first segment on");
    }
    if let Some(first) = numbers.first().filter(|first| **first != 0) {
        return Err(SignedError::Checkpoint {
            first: *first,
            refused: instead,
        });
    }
    let segments = stored(artifacts, numbers.iter().copied()).await?;
    let ledger = blocking(move || {
        let mut ledger = Ledger::default();
        for (sequence, bytes) in segments {
            let broken = |error| SignedError::Broken { sequence, error };
            ledger.add(&bytes, None).map_err(broken)?;
        }
        let next = ledger.chain().map_or(0, |chain| chain.next);
        let broken = |error| SignedError::Broken {
            sequence: next,
            error,
        };
        let Some(head) = head else { return Ok(ledger) };
        let head = Head::decode(&head).map_err(broken)?;
        match ends(&ledger, &head) {
            Ok(()) => Ok(ledger),
            Err(Ends::Cut) | Err(Ends::Other(LedgerError::Empty)) => {
                Err(SignedError::Cut { head: head.sequence })
            }
            Err(Ends::Other(error)) => Err(broken(error)),
        }
    });
    Ok(Signed {
        ledger: ledger.await??,
        checkpoint: None,
        refused,
    })
}
