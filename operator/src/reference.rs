//! Asks `prover-worker reference` for the float model's answers. ONNX is read there, in processes without token or store;
//! here a bounded number of floats comes back.
//!
//! Invariant: nothing takes the answer's place; whoever needs it asks again (`runs/follow.rs`).

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, Semaphore};
use zkinfer_crds::Digest;
use zkinfer_crds::float_wire::{
    Answer, CALL_SECONDS, Call, Coarse, FrameError, Input, MAX_MODEL_BYTES, MAX_VALUES_BYTES, read_frame,
    value_bytes, values_of, write_frame,
};
use zkml::manifest::MAX_MANIFEST_BYTES;

use crate::artifacts::Artifacts;

/// For one call and its answer: the reference waits for a free evaluator, and then for its answer.
const CALL: Duration = Duration::from_secs(2 * CALL_SECONDS + 10);
/// Calls at once; the others wait here.
const CALLS: usize = 16;
/// How often a model is loaded for one answer: others may push it out between load and call.
const LOADS: usize = 3;

/// Where float answers come from.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The socket of `prover-worker reference`.
    socket: PathBuf,
    /// Calls at once.
    calls: Arc<Semaphore>,
    /// Held while a model's file is handed over.
    loading: Arc<Mutex<()>>,
}

/// Why there is no float answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It may come later.
    #[error("{0}")]
    Unavailable(String),
    /// The same again ends the same.
    #[error("{0}")]
    Refused(String),
}

impl From<FrameError> for ReferenceError {
    fn from(error: FrameError) -> Self {
        Self::Unavailable(format!("the float reference: {error}"))
    }
}

/// A question: the model's files, and the inputs in its order.
#[derive(Debug, Clone)]
pub struct Question {
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// SHA-256 of the ONNX file.
    pub model: Digest,
    /// By output: its natural magnitude.
    pub output_scale: Vec<f64>,
    /// By input: its name and shape, and its values, row-major.
    pub inputs: Vec<(Input, Vec<f64>)>,
}

/// What the float model says.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatAnswer {
    /// Its outputs, in the model's order.
    pub outputs: Vec<Vec<f64>>,
    /// By output: whether it must be the same, since the file says that it is of whole numbers, or of yes and no.
    pub exact: Vec<bool>,
    /// Whether it is the answer without the outputs' scales as well, however floats are rounded.
    pub bare_settled: bool,
    /// Tensors that the integers hold too coarsely for this input, if any.
    pub coarse: Option<Coarse>,
}

/// A model's files.
#[derive(Debug, Clone)]
struct Files {
    onnx: Bytes,
    manifest: Bytes,
}

impl Reference {
    /// A reference that listens there, now or later.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            calls: Arc::new(Semaphore::new(CALLS)),
            loading: Arc::default(),
        }
    }

    /// The float model's answer.
    ///
    /// # Errors
    /// A reference that is away, or one that refuses.
    pub async fn answer(
        &self,
        question: &Arc<Question>,
        artifacts: &Artifacts,
    ) -> Result<FloatAnswer, ReferenceError> {
        let stopped = |e| ReferenceError::Unavailable(format!("asking the float reference: {e}"));
        let ask = async |files: Option<Files>| {
            let (socket, question) = (self.socket.clone(), Arc::clone(question));
            let answer = tokio::task::spawn_blocking(move || ask(&socket, &question, files.as_ref()));
            answer.await.map_err(stopped)?
        };
        let _one_of_few = self.calls.acquire().await;
        if let Some(answer) = ask(None).await? {
            return Ok(answer);
        }
        // One file at a time is in memory; whoever waited may find it loaded.
        let _alone = self.loading.lock().await;
        for _ in 0..LOADS {
            if let Some(answer) = ask(None).await? {
                return Ok(answer);
            }
            let absent = |e| ReferenceError::Unavailable(format!("the model's files: {e}"));
            let onnx = artifacts.get_blob(&question.model, MAX_MODEL_BYTES).await;
            let manifest = artifacts
                .get_blob(&question.manifest, MAX_MANIFEST_BYTES as u64)
                .await;
            let files = Files {
                onnx: onnx.map_err(absent)?,
                manifest: manifest.map_err(absent)?,
            };
            if let Some(answer) = ask(Some(files)).await? {
                return Ok(answer);
            }
        }
        let busy = "the float reference holds other models meanwhile";
        Err(ReferenceError::Unavailable(busy.to_owned()))
    }
}

/// Asks; `None` where the model is not held. With the files, it is loaded first.
fn ask(
    socket: &Path,
    question: &Question,
    files: Option<&Files>,
) -> Result<Option<FloatAnswer>, ReferenceError> {
    let away = |e: std::io::Error| {
        ReferenceError::Unavailable(format!("the float reference at {}: {e}", socket.display()))
    };
    let mut stream = UnixStream::connect(socket).map_err(away)?;
    for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
        set(&stream, Some(CALL)).map_err(away)?;
    }
    if let Some(files) = files {
        let load = Call::Load {
            manifest: question.manifest,
            model: question.model,
            model_bytes: files.onnx.len() as u64,
        };
        write_frame(&mut stream, &load, &[&files.onnx[..], &files.manifest].concat())?;
        match read_frame::<Answer>(&mut stream, 0)?.0 {
            Answer::Loaded => {}
            other => return Err(no_answer(other)),
        }
    }
    let evaluate = Call::Evaluate {
        manifest: question.manifest,
        inputs: question.inputs.iter().map(|(input, _)| input.clone()).collect(),
        output_scale: question.output_scale.clone(),
    };
    let values = value_bytes(question.inputs.iter().map(|(_, values)| values.as_slice()));
    write_frame(&mut stream, &evaluate, &values)?;
    match read_frame::<Answer>(&mut stream, MAX_VALUES_BYTES)? {
        (
            Answer::Outputs {
                lengths,
                exact,
                bare_settled,
                coarse,
            },
            body,
        ) => {
            let outputs = values_of(&body, lengths)?;
            Ok(Some(FloatAnswer {
                outputs,
                exact,
                bare_settled,
                coarse,
            }))
        }
        (Answer::Unknown, _) => Ok(None),
        (other, _) => Err(no_answer(other)),
    }
}

fn no_answer(answer: Answer) -> ReferenceError {
    match answer {
        Answer::Refused { message } => ReferenceError::Refused(message),
        Answer::Failed { message } => ReferenceError::Unavailable(format!("the float reference: {message}")),
        Answer::Loaded | Answer::Unknown | Answer::Outputs { .. } => {
            ReferenceError::Unavailable("the float reference answers another question".to_owned())
        }
    }
}
