//! Compiled Models, as far as they are shown, and the turns of those who try an input on one.
//!
//! Invariant: one input is tried at a time, and trying takes at most a fifth of the time, so that it is nothing to those who prove.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::Mutex;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::inference_request::InlineTensor;

use super::floats::{FloatOutput, NoFloat};

/// So many times as long as trying took nothing is tried again.
const REST: u32 = 4;
/// Whoever would wait for longer is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the operator knows of compiled Models.
pub trait Compiled: Send + Sync + 'static {
    /// What the compiler has reported of a Model; nothing before it has.
    fn report(&self, namespace: &str, name: &str) -> Option<CompileOutcome>;

    /// What a Model says to an input, in its integers and in floats.
    fn answer(
        &self,
        namespace: String,
        name: String,
        given: BTreeMap<String, InlineTensor>,
    ) -> BoxFuture<'_, Result<Tried, NoFloat>>;
}

/// An answer that was not proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// By output: what the integers give.
    pub integers: Vec<FloatOutput>,
    /// What the float model says, or why it says nothing.
    pub floats: Result<Vec<FloatOutput>, String>,
}

/// Until when nothing is tried. Whoever tries holds it.
#[derive(Debug, Default)]
pub(super) struct Tries(Arc<Mutex<Option<Instant>>>);

/// Others are being tried.
#[derive(Debug)]
pub(super) struct Busy;

impl Tries {
    /// Tries, when it is its turn. Whoever goes away meanwhile has had it tried all the same.
    pub(super) async fn turn(
        &self,
        attempt: impl Future<Output = Result<Tried, NoFloat>> + Send + 'static,
    ) -> Result<Result<Tried, NoFloat>, Busy> {
        let waiting = tokio::time::timeout(PATIENCE, Arc::clone(&self.0).lock_owned()).await;
        let mut rests_until = waiting.map_err(|_| Busy)?;
        if let Some(until) = *rests_until {
            if until.saturating_duration_since(Instant::now()) > PATIENCE {
                return Err(Busy);
            }
            tokio::time::sleep_until(until.into()).await;
        }
        let trying = tokio::spawn(async move {
            let began = Instant::now();
            let found = attempt.await;
            *rests_until = Some(Instant::now() + began.elapsed() * REST);
            found
        });
        Ok(trying
            .await
            .unwrap_or_else(|e| Err(NoFloat::Unavailable(e.to_string()))))
    }
}
