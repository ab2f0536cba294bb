//! Counts what each namespace takes of the store, where the Validator says how much that may be.
//!
//! Invariant: a file that several namespaces have handed in counts for each of them; what is not there any more counts for nobody.

use std::collections::BTreeMap;

use kube::ResourceExt;
use zkinfer_crds::{Digest, RequestUid};

use super::operator::Operator;
use crate::artifacts::{ArtifactError, Stored};
use crate::world::{Counted, Kept};

/// Counts, and tells of it. Without quotas nothing is asked of the store.
pub(super) async fn count(
    ctx: &Operator,
    blobs: &[Stored],
    receipts: &[Stored],
) -> Result<(), ArtifactError> {
    let (world, quotas) = (&ctx.world, ctx.world.in_force.get().quotas.clone());
    let mut counted = Counted::new();
    if !quotas.is_empty() {
        let (blobs, receipts) = (sizes(blobs), sizes(receipts));
        let handed_in = world.artifacts.blobs_of_namespaces().await?;
        let of_requests = world.artifacts.receipts_of_namespaces().await?;
        add(&mut counted, Kept::Uploads, &blobs, handed_in);
        add(&mut counted, Kept::Receipts, &receipts, of_requests);
        add(&mut counted, Kept::Inputs, &blobs, inputs(ctx).await?);
    }
    world.usage.counted(counted);
    world.metrics.usage(
        world
            .usage
            .beside(&quotas)
            .into_iter()
            .map(|(namespace, kept, taken, quota)| (namespace, kept.word(), [taken, quota])),
    );
    Ok(())
}

/// The inputs of slices of all requests that are there, each with its namespace.
async fn inputs(ctx: &Operator) -> Result<Vec<(String, Digest)>, ArtifactError> {
    let mut all = Vec::new();
    for request in ctx.world.stores.requests.state() {
        let uid = request.uid().and_then(|uid| uid.parse::<RequestUid>().ok());
        let Some(uid) = uid.filter(|_| request.status.as_ref().is_some_and(|s| s.started_at.is_some()))
        else {
            continue;
        };
        let namespace = request.namespace().unwrap_or_default();
        let inputs = ctx.world.artifacts.inputs_of(uid).await?;
        all.extend(inputs.into_iter().map(|digest| (namespace.clone(), digest)));
    }
    // Slices that read the same have it once.
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn sizes(all: &[Stored]) -> BTreeMap<Digest, u64> {
    all.iter().map(|stored| (stored.digest, stored.size)).collect()
}

fn add(counted: &mut Counted, kept: Kept, sizes: &BTreeMap<Digest, u64>, of: Vec<(String, Digest)>) {
    for (namespace, digest) in of {
        let size = sizes.get(&digest).copied().unwrap_or_default();
        let taken = &mut counted.entry(namespace).or_default()[kept as usize];
        *taken = taken.saturating_add(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_for_each_namespace_that_has_it_and_one_that_is_gone_for_none() {
        let [one, two, gone] = [1u8, 2, 3].map(|n| Digest::new([n; 32]));
        let sizes = BTreeMap::from([(one, 10), (two, 5)]);
        let mut counted = Counted::new();
        let of = |namespace: &str, digest| (namespace.to_owned(), digest);
        let all = vec![of("a", one), of("a", two), of("b", one), of("b", gone)];
        add(&mut counted, Kept::Uploads, &sizes, all);
        add(&mut counted, Kept::Inputs, &sizes, vec![of("b", two)]);
        assert_eq!(counted["a"], [15, 0, 0]);
        assert_eq!(counted["b"], [10, 0, 5]);
    }
}
