//! How much memory compiled models and requests at work may take, of what the operator's container has.
//!
//! Invariant: what both may take together and what everything else needs is no more than the container's limit, unless somebody
//! says otherwise.

/// What everything else of the operator takes: bodies, connections, the API's objects, the program.
const REST: u64 = 96 << 20;
/// What requests at work may take at least, of a container that has four times as much.
const RUNS: u64 = 96 << 20;
/// A container's limit where none is known.
const LIMIT: u64 = 512 << 20;

/// What takes memory by an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Compiled models.
    Models,
    /// Requests at work.
    Runs,
}

impl Use {
    /// For people.
    const fn name(self) -> &'static str {
        match self {
            Self::Models => "compiled models",
            Self::Runs => "requests at work",
        }
    }

    /// The flag that says how much it is.
    const fn flag(self) -> &'static str {
        match self {
            Self::Models => "--model-memory",
            Self::Runs => "--run-memory",
        }
    }
}

/// How much memory something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In all.
    pub bytes: u64,
    /// Of one namespace, if it is more than one thing.
    pub per_namespace: u64,
}

impl Budget {
    /// So much.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        Self {
            bytes,
            per_namespace: bytes / 2,
        }
    }

    /// Of requests at work: what is stated, else an eighth of the container's limit or [`RUNS`], a quarter at most.
    #[must_use]
    pub fn of_runs(stated: Option<u64>, limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(LIMIT);
        Self::of(stated.unwrap_or((limit / 8).max(RUNS).min(limit / 4)))
    }

    /// Of compiled models: what is stated, else what the limit leaves beside requests at work and the rest, a quarter at least.
    #[must_use]
    pub fn of_models(stated: Option<u64>, runs: Self, limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(LIMIT);
        let left = limit.saturating_sub(REST).saturating_sub(runs.bytes);
        Self::of(stated.unwrap_or(left.max(limit / 4)))
    }
}

/// In MiB, rounded up.
pub(super) const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Why what needs so much is not done, and what to do.
#[must_use]
pub fn too_large(needs: u64, budget: u64, of: Use) -> String {
    format!(
        "it takes {} MiB of the operator's memory, which has {} MiB for {}: give the operator's container a larger memory \
         limit, or start it with {}={}Mi where there is more than its limit says",
        mib(needs),
        mib(budget),
        of.name(),
        of.flag(),
        mib(needs)
    )
}

/// The memory limit of the container that this process is in; `None` where there is none.
#[must_use]
pub fn container_limit() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    // cgroup v2, then v1, which writes a huge number for no limit.
    read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .filter(|limit| *limit < 1 << 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_requests_get_what_the_limit_leaves_unless_somebody_says_otherwise() {
        let memory = |models, runs, limit: Option<u64>| {
            let runs = Budget::of_runs(runs, limit);
            let models = Budget::of_models(models, runs, limit);
            (models.bytes >> 20, runs.bytes >> 20)
        };
        assert_eq!(memory(None, None, None), (320, 96));
        assert_eq!(memory(None, None, Some(1 << 30)), (800, 128));
        assert_eq!(memory(None, None, Some(64 << 20)), (16, 16), "a quarter");
        assert_eq!(memory(Some(700 << 20), None, Some(1 << 30)), (700, 128));
        assert_eq!(memory(None, Some(300 << 20), Some(1 << 30)), (628, 300));
    }

    #[test]
    fn all_that_is_taken_by_itself_fits_the_limit() {
        for limit in (9..40).map(|bits| (1_u64 << bits) * 1001) {
            let runs = Budget::of_runs(None, Some(limit));
            let models = Budget::of_models(None, runs, Some(limit));
            assert!(models.bytes + runs.bytes <= limit, "{limit}");
            if limit >= LIMIT {
                assert!(models.bytes + runs.bytes + REST <= limit, "{limit}");
            }
        }
    }

    #[test]
    fn the_message_names_what_it_takes_what_there_is_and_the_flag() {
        for (of, words) in [
            (Use::Models, ["compiled models", "--model-memory=301Mi"]),
            (Use::Runs, ["requests at work", "--run-memory=301Mi"]),
        ] {
            let message = too_large((300 << 20) + 1, 200 << 20, of);
            for word in words.into_iter().chain(["301 MiB", "200 MiB"]) {
                assert!(message.contains(word), "{message}");
            }
        }
    }
}
