//! Everything that is known of a Validator when its plan is made.

use zkinfer_crds::k8s::validator::{
    BenchmarkTotals, LedgerEnd, NamespaceUsage, RuleInForce, ValidatorSpec, ValidatorStatus, ValidatorTotals,
};

use super::made::Told;
use crate::weights;

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// Its generation.
    pub generation: Option<i64>,
    /// The status as it is.
    pub status: &'a ValidatorStatus,
    /// What it is among all.
    pub place: Place<'a>,
}

/// What a Validator is among all.
#[allow(clippy::large_enum_variant, reason = "one for each plan")]
#[derive(Debug, Clone, PartialEq)]
pub enum Place<'a> {
    /// It rules.
    Rules {
        /// What is wrong with its spec, if anything.
        problem: Option<&'a str>,
        /// The spec in force; absent: no Validator's.
        settings: Option<&'a ValidatorSpec>,
        /// Why nothing is added to the ledger, if nothing is.
        held: Option<&'a str>,
        /// The scoring rule in force.
        scoring: RuleInForce,
        /// What there is to count.
        totals: ValidatorTotals,
        /// Where the ledger ends.
        ledger: Option<LedgerEnd>,
        /// The namespaces that take most of a quota.
        nearly_full: Vec<NamespaceUsage>,
        /// What is to be said of benchmarks, where the settings in force have them.
        benchmarks: Option<(Told, BenchmarkTotals)>,
        /// What is told of weights; absent: none are published.
        weights: Option<&'a weights::Told>,
    },
    /// Another one, of this name, is older.
    Superseded(&'a str),
    /// It is not in the operator's namespace, which is this one.
    Elsewhere(&'a str),
}
