//! Who may look at what is counted of the network.
//!
//! Invariant: what is public is a count of many; nothing of one request or Model ever is.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Who may look at Stats, the network's figures in the web app.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stats {
    /// Whoever reaches the web app sees without a token: how many requests there are and how long they take, the miners with why
    /// each has its score, the scoring rule, and the ledger's history and head. Nothing of a single request or Model is shown to them.
    /// Otherwise each viewer sees what their own token may read.
    #[serde(default)]
    pub public: bool,
}
