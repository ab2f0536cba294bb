//! Which MinerPools a request is for, and why the others are not.
//!
//! Invariant: [`obstacles`] is the one list of what a pool must be; a pool that has none fits.

use super::observed::{Observed, PoolView, RunView};
use crate::dispatch::PoolId;

/// Pools that a message names.
const NAMED_POOLS: usize = 6;

/// Why no pool fits, pool by pool; those with the fewest obstacles first, since they are the nearest to it. Of one that does not
/// serve the namespace nothing else is said, so nobody knows how near it is: it comes last.
pub(super) fn no_fitting_pool(observed: &Observed<'_>) -> String {
    let memory = observed.manifest().map_or(0, |view| view.memory_bytes);
    let unseen = observed.unseen.iter().map(|unseen| format!("; {unseen}"));
    let unseen: String = unseen.collect();
    if observed.pools.is_empty() {
        return format!(
            "there is no MinerPool: make one in this namespace, or one elsewhere that serves it{unseen}"
        );
    }
    let mut pools: Vec<(Vec<String>, &PoolView)> = observed
        .pools
        .iter()
        .map(|p| (obstacles(observed, p, memory), p))
        .collect();
    pools.sort_by_key(|(why, pool)| (!pool.serves, why.len(), &pool.id));
    let named = pools.iter().take(NAMED_POOLS);
    let named: Vec<String> = named
        .map(|(why, pool)| match why.as_slice() {
            // It has fitted when the slices were handed out.
            [] => format!("{} fits", pool.id),
            why => format!("{}: {}", pool.id, why.join(", ")),
        })
        .collect();
    let more = match pools.len().saturating_sub(NAMED_POOLS) {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    format!(
        "none of {} pools fits: {}{more}{unseen}",
        pools.len(),
        named.join("; ")
    )
}

/// Why a pool is not for a request; nothing: it fits. The one list of what a pool must be.
fn obstacles(observed: &Observed<'_>, pool: &PoolView, memory: u64) -> Vec<String> {
    let mut why = Vec::new();
    if !pool.serves {
        // What else is wrong with it is not this namespace's to know.
        return vec!["its spec.allowedNamespaces has not this namespace".to_owned()];
    }
    why.extend(pool.barred.clone());
    if !selected(observed, pool) {
        why.push("it has not the labels of poolSelector".to_owned());
    }
    if pool.memory_bytes < memory {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        why.push(format!(
            "its workers have {} MiB of memory, the largest slice needs {} MiB",
            pool.memory_bytes >> 20,
            mib(memory)
        ));
    }
    if pool.draining {
        why.push("it is drained".to_owned());
    } else if !pool.ready {
        let because = pool.because.as_deref().unwrap_or("nothing is known of it yet");
        why.push(format!("it is not Ready ({because})"));
    }
    why
}

/// The pools of a run at work: all that fit. When none does, the old ones stay until one comes, for their trouble may pass;
/// but never one whose owner gives the request nothing more: that is drained, is gone, or does not serve the namespace any
/// more; nor one that the request's side lets see it no more.
pub(super) fn targets(observed: &Observed<'_>, view: &RunView) -> Vec<PoolId> {
    if let Some(manifest) = observed.manifest() {
        let pools = fitting(observed, manifest.memory_bytes);
        if !pools.is_empty() {
            return pools;
        }
    }
    let willing = |id: &&PoolId| {
        let mut pools = observed.pools.iter();
        pools.any(|p| p.id == **id && !p.draining && p.serves && p.barred.is_none() && selected(observed, p))
    };
    view.pools.iter().filter(willing).cloned().collect()
}

/// Whether the request is for this pool.
fn selected(observed: &Observed<'_>, pool: &PoolView) -> bool {
    let selector = observed.spec.pool_selector.as_ref();
    selector.is_none_or(|s| s.matches(&pool.labels))
}

/// The pools that fit: all of them are candidates for every slice, and the dispatcher chooses among them. By name, so that
/// another order is no change.
pub(super) fn fitting(observed: &Observed<'_>, memory: u64) -> Vec<PoolId> {
    let mut fitting: Vec<PoolId> = observed
        .pools
        .iter()
        .filter(|p| obstacles(observed, p, memory).is_empty())
        .map(|p| p.id.clone())
        .collect();
    fitting.sort();
    fitting
}
