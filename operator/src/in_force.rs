//! The settings in force, which a Validator changes while the operator runs.
//!
//! Invariants: every setting that a Validator has is read here and nowhere else; what cannot be read is never in force, and what
//! was in force before stays.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use zkinfer_crds::Digest;
use zkinfer_crds::calls::Call;
use zkinfer_crds::calls::clients::{CreateRequest, UploadArtifact};
use zkinfer_crds::k8s::ValidatorSpec;
use zkinfer_crds::k8s::validator::{Benchmarks, Limits, Quotas, Retention, Stats};
use zkinfer_scoring::Rule;

use crate::consent::Installation;
use crate::scoring::stated;
use crate::sources::AllowedUrl;
use crate::specs::CompileSettings;
use crate::weights::Declared;

/// The settings, read.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The network id in statements of requests that begin.
    pub network: String,
    /// The greatest error of an answer that is accepted.
    pub max_error: f64,
    /// The shortest and the longest lease of a claim.
    pub leases: (Duration, Duration),
    /// For compilers.
    pub compile: CompileSettings,
    /// The addresses under which models may be fetched.
    pub source_urls: Vec<AllowedUrl>,
    /// Who may serve where nobody nearer says so.
    pub consent: Option<Installation>,
    /// The trusted setups that are accepted; none: the one that the operator was given.
    pub allowed_srs: Vec<Digest>,
    /// How long the store keeps what it holds.
    pub retention: Retention,
    /// How much is taken at once.
    pub limits: Limits,
    /// What a namespace may take of the store.
    pub quotas: Quotas,
    /// Who may look at the network's figures.
    pub stats: Stats,
    /// The rule by which miners are scored.
    pub scoring: Rule,
    /// What is proved when nobody asks.
    pub benchmarks: Option<Benchmarks>,
    /// Since when it is that rule, in Unix milliseconds; 0: from the beginning.
    pub scoring_since: u64,
    /// The weights that are published; absent: none.
    pub weights: Option<Declared>,
    /// The spec that they were read from; absent: nobody has written one.
    pub spec: Option<ValidatorSpec>,
}

impl Rules {
    /// What is in force where there is no Validator; models are compiled in this image.
    ///
    /// # Errors
    /// Defaults that cannot be read; a test reads them.
    pub fn defaults(image: String) -> Result<Self, String> {
        let spec = ValidatorSpec::default();
        let mut rules = Self::read(&spec, image, String::new())?;
        rules.spec = None;
        Ok(rules)
    }

    /// These, changed as the Validator at `at` says.
    ///
    /// # Errors
    /// What is wrong with its spec, by field.
    pub fn with(&self, spec: &ValidatorSpec, at: &str) -> Result<Self, String> {
        Self::read(spec, self.compile.image.clone(), at.to_owned())
    }

    fn read(spec: &ValidatorSpec, image: String, at: String) -> Result<Self, String> {
        let (leases, compiler) = (&spec.leases, &spec.compiler);
        let least = Duration::from_secs(u64::from(leases.least_seconds));
        let longest = Duration::from_secs(u64::from(leases.longest_seconds));
        if least > longest {
            return Err(format!(
                "leases: leastSeconds is {}, longestSeconds {}: it must not be more",
                leases.least_seconds, leases.longest_seconds
            ));
        }
        let address = |(i, text): (usize, &String)| {
            let address = text.parse::<AllowedUrl>();
            address.map_err(|why| format!("sourceUrls[{i}]: {why}"))
        };
        let addresses: Result<_, String> = spec.source_urls.iter().enumerate().map(address).collect();
        Ok(Self {
            network: spec.network.clone(),
            max_error: f64::from(spec.max_error_millionths) / 1e6,
            leases: (least, longest),
            compile: CompileSettings {
                image,
                cpu: compiler.cpu.to_string(),
                memory: compiler.memory.to_string(),
                scratch: compiler.scratch.to_string(),
                seconds: i64::from(compiler.seconds),
            },
            source_urls: addresses?,
            consent: spec.consent.clone().map(|list| Installation { at, list }),
            allowed_srs: spec.allowed_srs.clone(),
            retention: spec.retention.clone(),
            limits: limits(&spec.limits)?,
            quotas: quotas(&spec.quotas)?,
            stats: spec.stats,
            scoring: stated(&spec.scoring)?,
            benchmarks: spec.benchmarks.as_ref().map(benchmarks).transpose()?,
            scoring_since: 0,
            weights: spec.weights.as_ref().map(Declared::read).transpose()?,
            spec: Some(spec.clone()),
        })
    }

    /// Whether proofs may rest on this trusted setup.
    #[must_use]
    pub fn allows_srs(&self, srs: &Digest) -> bool {
        self.allowed_srs.is_empty() || self.allowed_srs.contains(srs)
    }
}

/// Benchmarks, each Model once: its weight would be two.
fn benchmarks(stated: &Benchmarks) -> Result<Benchmarks, String> {
    let models = || stated.models.iter().map(|m| (&m.namespace, &m.name));
    for (i, (namespace, name)) in models().enumerate() {
        if models().take(i).any(|before| before == (namespace, name)) {
            return Err(format!(
                "benchmarks.models[{i}]: Model {namespace}/{name} is listed twice"
            ));
        }
    }
    Ok(stated.clone())
}

/// The quotas, each namespace once: nobody could say which of two holds.
fn quotas(stated: &Quotas) -> Result<Quotas, String> {
    let names = || stated.namespaces.iter().map(|own| &own.namespace);
    for (i, namespace) in names().enumerate() {
        if names().take(i).any(|before| before == namespace) {
            return Err(format!(
                "quotas.namespaces[{i}]: namespace `{namespace}` is listed twice"
            ));
        }
    }
    Ok(stated.clone())
}

/// The limits, where the gateway can keep them.
fn limits(limits: &Limits) -> Result<Limits, String> {
    let bodies = [
        ("requestBytes", &limits.request_bytes, CreateRequest::MAX_BODY),
        ("uploadBytes", &limits.upload_bytes, UploadArtifact::MAX_BODY),
    ];
    for (field, stated, own) in bodies {
        if let Some(stated) = stated.as_ref().filter(|stated| stated.bytes() > own) {
            return Err(format!(
                "limits.{field} is {stated}: the gateway takes at most {}Mi",
                own >> 20
            ));
        }
    }
    Ok(limits.clone())
}

/// The settings in force.
#[derive(Debug)]
pub struct InForce {
    base: Rules,
    now: RwLock<Arc<Rules>>,
}

impl InForce {
    /// These are, until a Validator says something else, and when there is none any more.
    #[must_use]
    pub fn new(base: Rules) -> Self {
        Self {
            now: RwLock::new(Arc::new(base.clone())),
            base,
        }
    }

    /// As they are now. Whoever reads two of them that belong together reads them from one of these.
    #[must_use]
    pub fn get(&self) -> Arc<Rules> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is in force without a Validator.
    #[must_use]
    pub const fn base(&self) -> &Rules {
        &self.base
    }

    /// From now on it is these.
    pub fn set(&self, rules: Rules) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zkml::accuracy::DEFAULT_MAX_ERROR_MILLIONTHS;

    use super::*;

    fn spec(json: serde_json::Value) -> ValidatorSpec {
        serde_json::from_value(json).unwrap()
    }

    fn base() -> Rules {
        Rules::defaults("image".to_owned()).unwrap()
    }

    #[test]
    fn without_a_validator_the_engines_own_defaults_hold() {
        let base = base();
        assert_eq!(base.max_error, f64::from(DEFAULT_MAX_ERROR_MILLIONTHS) / 1e6);
        assert_eq!(
            (base.network.as_str(), base.compile.image.as_str()),
            ("default", "image")
        );
        assert_eq!(base.leases, (Duration::from_secs(20), Duration::from_secs(600)));
        assert!(base.spec.is_none() && base.consent.is_none() && base.source_urls.is_empty());
        assert!(!base.stats.public, "nobody sees anything without a token");
    }

    #[test]
    fn a_spec_changes_what_it_says_and_keeps_the_compilers_image() {
        let written = spec(json!({
            "network": "mainnet", "leases": { "leastSeconds": 5 }, "compiler": { "memory": "2Gi" },
            "sourceUrls": ["https://models.example/public/"], "consent": [{ "namespace": "alpha" }],
            "stats": { "public": true },
        }));
        let rules = base()
            .with(&written, "spec.consent of Validator system/one")
            .unwrap();
        assert_eq!(
            (rules.network.as_str(), rules.compile.image.as_str()),
            ("mainnet", "image")
        );
        assert_eq!(
            (rules.compile.memory.as_str(), rules.compile.cpu.as_str()),
            ("2Gi", "1")
        );
        assert_eq!(rules.leases.0, Duration::from_secs(5));
        assert_eq!(rules.source_urls.len(), 1);
        assert!(rules.stats.public);
        assert_eq!(rules.consent.unwrap().at, "spec.consent of Validator system/one");
        assert_eq!(rules.spec, Some(written));
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_field_and_is_never_in_force() {
        for (bad, words) in [
            (
                json!({ "sourceUrls": ["https://a.example/", "models"] }),
                "sourceUrls[1]",
            ),
            (
                json!({ "sourceUrls": ["https://user@a.example/"] }),
                "sourceUrls[0]",
            ),
            (
                json!({ "leases": { "leastSeconds": 30, "longestSeconds": 20 } }),
                "leastSeconds is 30",
            ),
            (
                json!({ "limits": { "requestBytes": "4Mi" } }),
                "limits.requestBytes is 4Mi: the gateway takes at most 3Mi",
            ),
            (
                json!({ "limits": { "uploadBytes": "1Gi" } }),
                "limits.uploadBytes is 1Gi: the gateway takes at most 64Mi",
            ),
            (
                json!({ "quotas": { "namespaces": [{ "namespace": "a" }, { "namespace": "b" }, { "namespace": "a" }] } }),
                "quotas.namespaces[2]: namespace `a` is listed twice",
            ),
            (
                json!({ "benchmarks": { "models": [
                    { "namespace": "a", "name": "x" }, { "namespace": "b", "name": "x" },
                    { "namespace": "a", "name": "x", "weight": 2 },
                ] } }),
                "benchmarks.models[2]: Model a/x is listed twice",
            ),
            (
                json!({ "weights": {
                    "netuid": 2, "versionKey": 1, "uids": { "static": { "5F": 1 } }, "publisher": { "file": {} },
                } }),
                "weights.uids.static: an SS58 address",
            ),
        ] {
            let error = base().with(&spec(bad), "").unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_empty_list_of_setups_allows_the_given_one_and_another_list_only_its_own() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        assert!(base().allows_srs(&one));
        let rules = base().with(&spec(json!({ "allowedSrs": [one] })), "").unwrap();
        assert!(rules.allows_srs(&one) && !rules.allows_srs(&other));
    }

    #[test]
    fn who_has_read_them_keeps_what_they_have_read() {
        let in_force = InForce::new(base());
        let before = in_force.get();
        in_force.set(base().with(&spec(json!({ "network": "other" })), "").unwrap());
        assert_eq!(
            (before.network.as_str(), in_force.get().network.as_str()),
            ("default", "other")
        );
        assert_eq!(in_force.base().network, "default");
    }
}
