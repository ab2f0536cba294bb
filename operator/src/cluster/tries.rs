//! What is known of compiled Models for whoever looks at one: what the compiler has reported, and what it says to an input.
//!
//! Invariants: an input that is tried has room on the account of requests at work, and waits behind them; nothing of it stays, and no
//! miner sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::ResourceExt;
use zkinfer_crds::RequestUid;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::Model;
use zkinfer_crds::k8s::inference_request::InlineTensor;

use super::floats::{said, shown};
use super::operator::Operator;
use crate::runs::{Asker, CompiledModel, Needs, ShelfError, choose, tried};
use crate::web::{Compiled, FloatOutput, NoFloat, Tried};

/// See the module.
pub(super) struct CompiledModels(pub(super) Arc<Operator>);

impl Compiled for CompiledModels {
    fn report(&self, namespace: &str, name: &str) -> Option<CompileOutcome> {
        let model = self.0.world.model(namespace, name)?;
        outcome(&self.0, &model)
    }

    fn answer(
        &self,
        namespace: String,
        name: String,
        given: BTreeMap<String, InlineTensor>,
    ) -> BoxFuture<'_, Result<Tried, NoFloat>> {
        async move { answer(&self.0, &namespace, &name, given).await }.boxed()
    }
}

fn outcome(ctx: &Operator, model: &Model) -> Option<CompileOutcome> {
    let records = ctx.models.records();
    let known = records.get(&model.uid()?)?.known.outcome.as_ref()?;
    Some(known.outcome.clone())
}

async fn answer(
    ctx: &Operator,
    namespace: &str,
    name: &str,
    given: BTreeMap<String, InlineTensor>,
) -> Result<Tried, NoFloat> {
    let refused = |why: &dyn std::fmt::Display| NoFloat::Refused(why.to_string());
    let later = |why: &dyn std::fmt::Display| NoFloat::Unavailable(why.to_string());
    let model = ctx.world.model(namespace, name);
    let found = model.and_then(|model| match outcome(ctx, &model) {
        Some(CompileOutcome::Compiled(report)) => Some((model, report)),
        Some(CompileOutcome::Failed(_)) | None => None,
    });
    let found = found.ok_or_else(|| NoFloat::Refused(format!("Model `{name}` is not compiled now")));
    let (model, report) = found?;
    let system = model.spec.proof_system;
    let first = CompiledModel::manifest(&ctx.world.artifacts, &report, system).await;
    let first = first.map_err(|e| later(&e))?;
    let report: CompileReport = choose(&report, &first, &given).map_err(|e| refused(&e))?;
    let compiled = ctx.world.compiled(namespace, &report, system).await;
    let compiled = compiled.map_err(|e| match e {
        ShelfError::TooLarge { .. } | ShelfError::Full { .. } => NoFloat::Refused(e.to_string()),
        ShelfError::Load(e) => later(&e),
    })?;
    let asker = Asker {
        uid: RequestUid::new(rand::random()),
        namespace: namespace.to_owned(),
        benchmark: true,
    };
    let room = ctx.world.rooms.take(&asker, Needs::of(&compiled).beginning);
    let _room = room.map_err(|error| {
        ctx.world.rooms.leave(asker.uid);
        NoFloat::Refused(error.to_string())
    })?;
    let (answers, inputs) = tried(&compiled, &given).await.map_err(|e| refused(&e))?;
    let count = inputs.len() as u32;
    let mut integers: Vec<FloatOutput> = Vec::new();
    for (at, output) in answers.first().into_iter().flatten().enumerate() {
        let all = answers.iter().filter_map(|answer| answer.get(at));
        let values: Vec<f64> = all.flat_map(|output| output.values.iter().copied()).collect();
        integers.push(shown(&output.name, &output.shape, count, &values));
    }
    let floats = match said(ctx, &report, &compiled.manifest, inputs).await {
        Ok(floats) => Ok(floats),
        Err(NoFloat::Refused(why)) => Err(why),
        Err(why @ NoFloat::Unavailable(_)) => return Err(why),
    };
    Ok(Tried { integers, floats })
}
