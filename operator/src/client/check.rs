//! `check`: whether an installation works, as far as somebody outside the operator can see. What `helm test` runs.
//!
//! Invariant: it asks and writes nothing. What it could not find out counts as missing, with the reason.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kube::{Api, Client};
use tokio::time::Instant;
use zkinfer_crds::k8s::{MinerPool, find_condition, holds, is_namespace, miner_pool};

use super::{ClientError, Cluster};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that one answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest part of an answer that is repeated, in characters.
const SHOWN: usize = 300;

/// A MinerPool by its namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolName {
    namespace: String,
    name: String,
}

impl FromStr for PoolName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected NAMESPACE/NAME of a MinerPool".to_owned();
        let (namespace, name) = text.split_once('/').ok_or_else(expected)?;
        // Slashes in a name would ask for something else than a pool.
        let name_fits = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        if is_namespace(namespace) && !name.is_empty() && name.len() <= 63 && name.bytes().all(name_fits) {
            Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        } else {
            Err(expected())
        }
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MinerPool {}/{}", self.namespace, self.name)
    }
}

/// What is to be checked.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The gateway's address: whether it answers from here.
    pub gateway: Option<String>,
    /// The address of `/readyz`: whether the operator is ready.
    pub health: Option<String>,
    /// The pools that must be ready.
    pub pools: Vec<PoolName>,
    /// How long all of it is waited for.
    pub patience: Duration,
    /// The cluster, for pools.
    pub cluster: Cluster,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The thing.
    pub what: String,
    /// What is right, or what is missing.
    pub found: Result<String, String>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Ok(right) => write!(f, "ok       {}: {right}", self.what),
            Err(missing) => write!(f, "missing  {}: {missing}", self.what),
        }
    }
}

/// Asks until everything is right or the time is over; all that was checked, as it was last.
///
/// # Errors
/// No cluster, where pools are asked for.
pub async fn check(options: &CheckOptions) -> Result<Vec<Checked>, ClientError> {
    let end = Instant::now() + options.patience;
    let client = match &options.pools[..] {
        [] => None,
        _ => Some(options.cluster.connect().await?.1),
    };
    let http = asker(options)?;
    let mut right = BTreeMap::new();
    loop {
        let all = round(options, &http, client.as_ref(), &mut right).await;
        if all.iter().all(|one| one.found.is_ok()) || Instant::now() + PAUSE > end {
            return Ok(all);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What asks gateway and operator.
fn asker(options: &CheckOptions) -> Result<reqwest::Client, ClientError> {
    let mut http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER);
    let secure = |address: &String| reqwest::Url::parse(address).is_ok_and(|url| url.scheme() == "https");
    if ![&options.gateway, &options.health]
        .into_iter()
        .flatten()
        .any(secure)
    {
        // An image has no certificates, and needs none.
        http = http.tls_certs_only([]);
    }
    http.build().map_err(|e| ClientError::Gateway(chain(&e)))
}

/// Asks once. A pool that was ready is not asked again: fifty of them are fifty calls.
async fn round(
    options: &CheckOptions,
    http: &reqwest::Client,
    client: Option<&Client>,
    right: &mut BTreeMap<PoolName, String>,
) -> Vec<Checked> {
    let mut all = Vec::new();
    if let Some(address) = &options.health {
        let found = ready(http, address).await;
        let what = format!("operator at {address}");
        all.push(Checked { what, found });
    }
    if let Some(address) = &options.gateway {
        let found = answers(http, address).await;
        let what = format!("gateway at {address}");
        all.push(Checked { what, found });
    }
    for pool in &options.pools {
        let found = match (right.get(pool), client) {
            (Some(said), _) => Ok(said.clone()),
            (None, Some(client)) => serving(client, pool).await,
            (None, None) => Err("no cluster to ask".to_owned()),
        };
        if let Ok(said) = &found {
            right.insert(pool.clone(), said.clone());
        }
        let what = pool.to_string();
        all.push(Checked { what, found });
    }
    all
}

/// `/readyz` answers 200 once the gateway answers and everything from before a restart is known.
async fn ready(http: &reqwest::Client, address: &str) -> Result<String, String> {
    let (status, body) = asked(http, &format!("{}/readyz", address.trim_end_matches('/'))).await?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(format!("not ready: {status}: {body}"))
    }
}

/// Without a token every call is refused; who refuses it is there. An error of a proxy on the way begins with 5.
async fn answers(http: &reqwest::Client, address: &str) -> Result<String, String> {
    let (status, body) = asked(http, address).await?;
    if status.is_server_error() {
        Err(format!("{status}: {body}"))
    } else {
        Ok("answers".to_owned())
    }
}

async fn asked(http: &reqwest::Client, url: &str) -> Result<(reqwest::StatusCode, String), String> {
    let failed = |e: reqwest::Error| format!("no answer: {}", chain(&e));
    let answer = http.get(url).send().await.map_err(failed)?;
    let status = answer.status();
    let body = answer.text().await.map_err(failed)?;
    Ok((status, body.trim().chars().take(SHOWN).collect()))
}

/// An error with what caused it: reqwest's own words name only the address.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

async fn serving(client: &Client, pool: &PoolName) -> Result<String, String> {
    let api: Api<MinerPool> = Api::namespaced(client.clone(), &pool.namespace);
    match tokio::time::timeout(ANSWER, api.get_opt(&pool.name)).await {
        Err(_) => Err("the API server does not answer".to_owned()),
        Ok(Err(error)) => Err(format!("the API server: {error}")),
        Ok(Ok(None)) => Err("does not exist".to_owned()),
        Ok(Ok(Some(pool))) => judged(&pool),
    }
}

/// Whether the operator says that the pool, as it is written now, may be given slices.
fn judged(pool: &MinerPool) -> Result<String, String> {
    let Some(status) = &pool.status else {
        return Err("has no status: no operator has seen it (does one serve its namespace?)".to_owned());
    };
    if status.observed_generation != pool.metadata.generation {
        return Err("was changed, and no operator has seen the change".to_owned());
    }
    match find_condition(&status.conditions, miner_pool::condition::READY) {
        Some(ready) if holds(ready) => Ok(ready.reason.clone()),
        Some(ready) => Err(format!(
            "Ready is {}: {}: {}",
            ready.status, ready.reason, ready.message
        )),
        None => Err("has no condition Ready".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pool(status: &serde_json::Value) -> MinerPool {
        serde_json::from_value(json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "MinerPool",
            "metadata": { "name": "alpha", "namespace": "miner-alpha", "generation": 2 },
            "spec": { "image": "i" }, "status": status,
        }))
        .unwrap()
    }

    fn ready(generation: i64, status: &str, reason: &str) -> serde_json::Value {
        json!({ "observedGeneration": generation, "conditions": [{
            "type": "Ready", "status": status, "reason": reason, "message": "why",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }] })
    }

    #[test]
    fn a_pool_is_ready_only_by_the_operators_word_on_its_present_spec() {
        assert_eq!(
            judged(&pool(&ready(2, "True", "Serving"))),
            Ok("Serving".to_owned())
        );
        for (status, words) in [
            (serde_json::Value::Null, "no operator has seen it"),
            (ready(1, "True", "Serving"), "was changed"),
            (ready(2, "False", "IdentityNotProven"), "IdentityNotProven: why"),
            (ready(2, "Unknown", "Serving"), "Ready is Unknown"),
            (json!({ "observedGeneration": 2 }), "no condition Ready"),
        ] {
            let said = judged(&pool(&status)).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_pool_is_named_by_namespace_and_name_and_nothing_else() {
        let name: PoolName = "miner-alpha/alpha.1".parse().unwrap();
        assert_eq!(name.to_string(), "MinerPool miner-alpha/alpha.1");
        for bad in ["alpha", "/alpha", "a/", "a/b/c", "A/b", "a/B", "a/../b", ""] {
            bad.parse::<PoolName>().unwrap_err();
        }
    }

    #[tokio::test]
    async fn what_does_not_answer_is_missing_and_says_why() {
        // A port that was free a moment ago: nobody listens there.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let options = CheckOptions {
            gateway: Some(address.clone()),
            health: Some(format!("{address}/")),
            pools: Vec::new(),
            patience: Duration::ZERO,
            cluster: Cluster {
                context: None,
                namespace: None,
            },
        };
        let all = check(&options).await.unwrap();
        assert_eq!(all.len(), 2);
        for one in all {
            let line = one.to_string();
            assert!(line.starts_with("missing  ") && line.contains(&address), "{line}");
            assert!(line.to_lowercase().contains("refused"), "{line}");
        }
    }
}
