//! What is asked for: models, requests of clients, and benchmarks where nobody asks.

use std::time::Duration;

use zkinfer_crds::{Digest, ParameterId, RequestUid, SliceIndex};
use zkinfer_operator::dispatch::{PoolId, QueuedRequest, QueuedSlice};

use super::random::Random;

pub(super) const PARAMETERS: ParameterId = ParameterId::Halo2KzgBn254V1;
pub(super) const MEMORY: u64 = 1 << 30;
/// Public models.
const MODELS: u64 = 12;

/// A model: what its slices are predicted to take, and how large their proofs are.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) manifest: Digest,
    slices: Vec<QueuedSlice>,
    bytes: Vec<u64>,
}

impl Model {
    fn new(name: &str, slices: u64, mean: f64, random: &mut Random) -> Self {
        let slice = |index: u64| QueuedSlice {
            index: SliceIndex(index as u32),
            digest: Digest::of(format!("{name}/{index}").as_bytes()),
            predicted: Duration::from_secs_f64(mean * random.between(0.5, 1.5)),
            memory_bytes: MEMORY / 2,
            parameter_id: PARAMETERS,
        };
        Self {
            manifest: Digest::of(name.as_bytes()),
            slices: (0..slices).map(slice).collect(),
            bytes: (0..slices).map(|_| 20_000 + random.below(400_000)).collect(),
        }
    }

    /// A request for all of it. With its priority is said whether it is a benchmark.
    pub(super) fn request(
        &self,
        uid: RequestUid,
        (priority, benchmark): (i32, bool),
        pools: Vec<PoolId>,
    ) -> QueuedRequest {
        QueuedRequest {
            uid,
            benchmark,
            priority,
            redundancy: 1,
            pools,
            slices: self.slices.clone(),
        }
    }

    /// Predicted seconds of all of it.
    pub(super) fn work(&self) -> f64 {
        self.slices.iter().map(|s| s.predicted.as_secs_f64()).sum()
    }

    pub(super) fn bytes(&self, slice: SliceIndex) -> u64 {
        self.bytes.get(slice.0 as usize).copied().unwrap_or_default()
    }

    pub(super) fn predicted(&self, slice: SliceIndex) -> f64 {
        let slice = self.slices.get(slice.0 as usize);
        slice.map_or(0.0, |s| s.predicted.as_secs_f64())
    }
}

/// The public models, whose slices take `mean` predicted seconds in the mean.
pub(super) fn models(mean: f64, random: &mut Random) -> Vec<Model> {
    (0..MODELS)
        .map(|n| Model::new(&format!("model {n}"), 4 + n, mean, random))
        .collect()
}

/// How much of the network's capacity clients ask for at a time of day, of a mean: most at noon, a fifth of that at
/// midnight.
pub(super) fn by_day(mean: f64, now: Duration) -> f64 {
    let day = now.as_secs_f64() / 86_400.0;
    mean * (1.0 - 0.66 * (day * std::f64::consts::TAU).cos())
}
