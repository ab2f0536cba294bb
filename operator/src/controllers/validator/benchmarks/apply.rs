//! Makes the benchmark that is due, and deletes those that were kept long enough.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use sha2::{Digest as _, Sha256};
use zkinfer_crds::compile_report::CompileReport;
use zkinfer_crds::k8s::validator::{BenchmarkTotals, Benchmarks, reason};
use zkinfer_crds::k8s::{InferenceRequest, Truth, Validator};
use zkinfer_crds::{Digest, ProofSystem};
use zkml::graph::sampled::{input_file, sampled};
use zkml::graph::{InputError, Inputs, TensorInfo};

use super::super::made::{Benchmark, Latest, Told};
use super::super::records::Validators;
use super::gather::{candidates, compiled, there};
use super::plan::{Candidate, Observed, chosen, plan};
use crate::dispatch::{BenchmarkNote, unix_millis};
use crate::runs::CompiledModel;
use crate::sources::{MAX_FILE_BYTES, SourceError, reading};
use crate::specs::benchmark;
use crate::world::{ReconcileError, lock};

/// Most values of calibration data.
const MAX_VALUES: usize = 1 << 24;
/// After one that could not be made the next is not tried at once.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// What came of a step: what is told, what is counted, and when the next one is.
pub(in super::super) struct Stepped {
    pub(in super::super) told: Told,
    pub(in super::super) totals: BenchmarkTotals,
    pub(in super::super) again: Duration,
}

/// Does what is due, for the Validator that rules.
///
/// # Errors
/// The API server, or a failing store.
pub(in super::super) async fn step(
    ctx: &Validators,
    validator: &Validator,
    spec: &Benchmarks,
) -> Result<Stepped, ReconcileError> {
    let (requests, uid) = (&ctx.requests, validator.uid().unwrap_or_default());
    let mut totals = validator
        .status
        .as_ref()
        .and_then(|s| s.benchmarks.clone())
        .unwrap_or_default();
    let latest = lock(&ctx.latest).clone();
    let now = unix_millis();
    let benchmarks = there(requests, &uid, latest.as_ref(), now);
    let remembered = latest
        .filter(|l| l.validator == uid)
        .map_or(0, |l| l.benchmark.number);
    let seen = benchmarks.last().map_or(0, |b| b.number);
    totals.made = totals.made.max(remembered).max(seen);
    let observed = Observed {
        spec,
        now,
        local: requests.outbox.is_some(),
        store: ctx.world.store.problem(),
        organic: ctx.world.dispatcher.organic_waiting(),
        models: candidates(requests, spec),
        made: totals.made,
        there: benchmarks,
    };
    let plan = plan(&observed);
    let (mut told, mut again) = (plan.told, plan.again);
    for name in &plan.remove {
        remove(ctx, name).await?;
    }
    if let Some(number) = plan.make {
        match make(ctx, validator, number, &observed.models).await {
            Ok(made) => {
                totals.latest = Some(made.name.clone());
                *lock(&ctx.latest) = Some(Latest {
                    validator: uid,
                    benchmark: made,
                });
            }
            Err(NotMade::Api(error)) => return Err(error.into()),
            // The next number is perhaps another Model's.
            Err(NotMade::Input(why)) => {
                told = Told {
                    truth: Truth::False,
                    reason: reason::BENCHMARKS_FAIL,
                    message: why,
                };
                again = again.max(AFTER_FAILURE);
            }
        }
        totals.made = number;
    }
    ctx.world.metrics.benchmarks_paused(plan.paused);
    Ok(Stepped { told, totals, again })
}

/// Why a benchmark was not made.
enum NotMade {
    /// The API server.
    Api(kube::Error),
    /// Its input, in a sentence.
    Input(String),
}

/// The name of a Validator's benchmark of this number: the same after a crash, and another Validator's never.
fn name(validator: &str, number: u64) -> String {
    let hash = hex::encode(&Sha256::digest(validator.as_bytes())[..4]);
    format!("benchmark-{hash}-{number}")
}

async fn make(
    ctx: &Validators,
    validator: &Validator,
    number: u64,
    models: &[Candidate],
) -> Result<Benchmark, NotMade> {
    let (world, uid) = (&ctx.world, validator.uid().unwrap_or_default());
    let own = &world.workers.namespace;
    let seed = world.dispatcher.benchmark_seed(&uid, number);
    let seed = seed.ok_or_else(|| NotMade::Input("no seed can be made".to_owned()))?;
    let of = chosen(models, &seed).ok_or_else(|| NotMade::Input("there is no Model".to_owned()))?;
    let failed = |why: String| {
        NotMade::Input(format!(
            "benchmark {number}, of Model {}/{}, cannot be made: {why}",
            of.namespace, of.name
        ))
    };
    let found = compiled(
        &ctx.requests,
        &of.namespace,
        &of.name,
        |model, report, calibration| Compiled {
            system: model.spec.proof_system,
            report: report.clone(),
            calibration,
        },
    );
    let input = drawn(ctx, &found.map_err(failed)?, &seed).await.map_err(failed)?;
    let note = BenchmarkNote {
        name: name(&uid, number),
        validator: uid,
        number,
        namespace: own.clone(),
        model: (of.namespace.clone(), of.name.clone()),
        input,
        made: unix_millis() / 1000,
    };
    let sealed = world.dispatcher.seal_benchmark(&note);
    let class = world.scope.class();
    let request = benchmark(&note, &sealed, &validator.name_any(), class);
    let request = request.map_err(|e| failed(e.to_string()))?;
    let api: Api<InferenceRequest> = Api::namespaced(world.client.clone(), own);
    match api.create(&PostParams::default(), &request).await {
        Ok(_) => {
            world.metrics.benchmark();
            tracing::info!(benchmark = note.name, model = of.name, "made");
        }
        // It was made before a crash.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        // A quota, or a webhook: who administers the namespace can do something about it.
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => {
            return Err(failed(format!("the API server refuses it: {}", status.message)));
        }
        Err(error) => return Err(NotMade::Api(error)),
    }
    Ok(Benchmark {
        number,
        name: note.name,
        created: note.made * 1000,
        work: of.work.clone().unwrap_or_default(),
        end: None,
    })
}

/// What an input is drawn from.
struct Compiled {
    system: ProofSystem,
    report: CompileReport,
    /// The calibration data that it was compiled with.
    calibration: Option<Digest>,
}

/// Draws an input with the seed, and puts it into the store as a file of the operator's namespace.
async fn drawn(ctx: &Validators, of: &Compiled, seed: &[u8; 32]) -> Result<Digest, String> {
    let artifacts = &ctx.world.artifacts;
    let manifest = CompiledModel::manifest(artifacts, &of.report, of.system).await;
    let manifest = manifest.map_err(|e| e.to_string())?;
    let reading = reading().await.map_err(SourceError::into_text)?;
    let calibration = match of.calibration {
        Some(digest) => artifacts.get_blob(&digest, MAX_FILE_BYTES).await.map(Some),
        None => Ok(None),
    };
    let (calibration, seed) = (calibration.map_err(|e| e.to_string())?, *seed);
    // Some seconds for large calibration data.
    let file = tokio::task::spawn_blocking(move || {
        let infos: Vec<&TensorInfo> = manifest
            .inputs
            .iter()
            .filter_map(|id| manifest.tensor(*id))
            .collect();
        let data = calibration
            .map(|bytes| Inputs::read(&bytes, MAX_VALUES))
            .transpose();
        let data = data.map_err(|e| of_calibration(&e))?;
        let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
        let samples = data
            .as_ref()
            .map(|data| data.samples_in_place(&names))
            .transpose();
        let samples = samples.map_err(|e| of_calibration(&e))?.unwrap_or_default();
        let values =
            sampled(&infos, samples.len(), |at| samples.get(at), &seed).map_err(|e| e.to_string())?;
        Ok::<_, String>(input_file(&infos, &values))
    });
    let file = file.await.map_err(|e| e.to_string())??;
    drop(reading);
    let blob = artifacts.put_blob(file).await.map_err(|e| e.to_string())?;
    let granted = artifacts
        .grant_blob(&blob.digest, &ctx.world.workers.namespace)
        .await;
    granted.map_err(|e| e.to_string())?;
    Ok(blob.digest)
}

/// What is wrong with the data that a Model was calibrated with.
fn of_calibration(why: &InputError) -> String {
    format!("its calibration data: {why}")
}

async fn remove(ctx: &Validators, name: &str) -> Result<(), ReconcileError> {
    let own = &ctx.world.workers.namespace;
    let key = kube::runtime::reflector::ObjectRef::new(name).within(own);
    let Some(request) = ctx.world.stores.requests.get(&key) else {
        return Ok(());
    };
    let this_one = DeleteParams {
        preconditions: Some(Preconditions {
            uid: request.uid(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    // While there is the object somebody knows that there is a receipt to remove.
    if let Some(receipt) = request.status.as_ref().and_then(|s| s.receipt.as_ref()) {
        ctx.world.artifacts.remove_receipt(&receipt.digest).await?;
    }
    let api: Api<InferenceRequest> = Api::namespaced(ctx.world.client.clone(), own);
    match api.delete(name, &this_one).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_has_one_name_whatever_happens_between_and_no_other_validators() {
        assert_eq!(name("uid", 7), name("uid", 7));
        assert_ne!(name("uid", 7), name("uid", 8));
        assert_ne!(name("uid", 7), name("other", 7));
        let long = name("d9607e19-f88f-11e6-a518-42010a800195", u64::MAX);
        assert!(long.len() <= 63, "{long}");
    }
}
