//! The process that reads one model and evaluates it.
//!
//! Invariant: it takes no more memory than it was given: what asks for more ends the process, and nothing else. The float
//! answer is the reference's alone; the compiler's graphs only say which tensors are too coarse for an input, as `verify`
//! finds it.

use std::error::Error;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use nix::sys::resource::{Resource, setrlimit};
use zkinfer_crds::float_wire::{
    Answer, Call, Coarse, FrameError, Input, MAX_LOAD_BYTES, MAX_VALUES, length_of, read_frame, value_bytes,
    values_of, write_frame,
};
use zkml::accuracy::Rule;
use zkml::graph::{FloatInput, InputError, IntGraph, IntTensor, TensorInfo, quantise_input, rows};
use zkml::manifest::Manifest;
use zkml::receipt::DEFAULT_RULE;
use zkml::systems::SYSTEMS;
use zkml_compile::fidelity::Fidelity;
use zkml_compile::float::FloatGraph;
use zkml_compile::float_model::FloatModel;
use zkml_compile::import::import_as;
use zkml_compile::quantise::apply;

use crate::exit::{Exit, UsageError};

pub(super) fn run(memory_mib: u64) -> Result<Exit, UsageError> {
    let bytes = memory_mib.saturating_mul(1 << 20);
    setrlimit(Resource::RLIMIT_DATA, bytes, bytes)
        .map_err(|e| UsageError::new(format!("the limit of memory: {e}")))?;
    let stdin = std::io::stdin();
    let socket = stdin.as_fd().try_clone_to_owned().map_err(UsageError::new)?;
    let mut socket = UnixStream::from(socket);
    let mut model = None;
    loop {
        let (call, body) = match read_frame::<Call>(&mut socket, MAX_LOAD_BYTES) {
            Ok(read) => read,
            // Whoever asked has ended, or has no more use for this model.
            Err(FrameError::Closed) => return Ok(Exit::Done),
            Err(e) => return Err(UsageError::new(e)),
        };
        let (answer, values) = match (&call, &model) {
            (Call::Load { model_bytes, .. }, _) => match Model::read(&body, *model_bytes) {
                Ok(read) => {
                    model = Some(read);
                    (Answer::Loaded, Vec::new())
                }
                Err(e) => refused(e.as_ref()),
            },
            (Call::Evaluate { .. }, None) => (Answer::Unknown, Vec::new()),
            (
                Call::Evaluate {
                    inputs, output_scale, ..
                },
                Some(model),
            ) => {
                let evaluated = model.evaluate(inputs, &body, output_scale);
                evaluated.unwrap_or_else(|e| refused(e.as_ref()))
            }
        };
        write_frame(&mut socket, &answer, &values).map_err(UsageError::new)?;
    }
}

fn refused(why: &dyn Error) -> (Answer, Vec<u8>) {
    let message: String = why.to_string().chars().take(500).collect();
    (Answer::Refused { message }, Vec::new())
}

/// The model in floats, as its file has it and as the compiler reads it, and in integers.
struct Model {
    /// How many inputs the graphs take at once; one is asked, and stands in every row.
    batch: u32,
    float: FloatModel,
    graph: FloatGraph,
    integers: IntGraph,
}

impl Model {
    fn read(body: &[u8], model_bytes: u64) -> Result<Self, Box<dyn Error>> {
        let files = usize::try_from(model_bytes)
            .ok()
            .and_then(|n| body.split_at_checked(n));
        let (onnx, manifest) = files.ok_or("the file ends early")?;
        let float = FloatModel::read(onnx)?;
        let manifest = Manifest::from_bytes(manifest, SYSTEMS)?;
        let graph = import_as(onnx, &manifest)?;
        let integers = apply(&graph, &manifest.quantisation)?;
        Ok(Self {
            batch: manifest.batch,
            float,
            graph,
            integers,
        })
    }

    fn evaluate(
        &self,
        given: &[Input],
        body: &[u8],
        output_scale: &[f64],
    ) -> Result<(Answer, Vec<u8>), Box<dyn Error>> {
        let lengths = given.iter().map(|i| length_of(&i.shape).unwrap_or(u64::MAX));
        let values = values_of(body, lengths)?;
        let infos = self.integers.inputs.iter();
        let infos: Vec<&TensorInfo> = infos
            .filter_map(|id| self.integers.tensors.get(id.0 as usize))
            .collect();
        let one: Vec<TensorInfo> = infos.iter().map(|info| rows::one(info, self.batch)).collect();
        let own = |info: &TensorInfo| -> Result<FloatInput, Box<dyn Error>> {
            let own = given
                .iter()
                .zip(&values)
                .find(|(input, _)| input.name == info.name);
            let (input, values) =
                own.ok_or_else(|| format!("the model's input `{}` was not given", info.name))?;
            let shape = input.shape.iter().map(|&d| d as usize).collect();
            FloatInput::new(shape, values.clone()).map_err(|e| format!("input `{}`: {e}", info.name).into())
        };
        let inputs: Vec<FloatInput> = one.iter().map(own).collect::<Result<_, _>>()?;
        let rounded = infos.iter().zip(&one).zip(&inputs).map(|((info, one), input)| {
            let row = quantise_input(one, input)?;
            Ok::<_, InputError>(IntTensor {
                shape: info.shape.clone(),
                values: rows::repeated(&row.values, self.batch),
            })
        });
        let integers = self.integers.evaluate(&rounded.collect::<Result<Vec<_>, _>>()?)?;
        let floats: Vec<Vec<f64>> = inputs.into_iter().map(|input| input.values).collect();
        let (outputs, bare_settled) =
            self.float
                .settled_row_and_bare(&self.integers, self.batch, &floats, output_scale)?;
        let lengths: Vec<u64> = outputs.iter().map(|o| o.len() as u64).collect();
        if lengths.iter().sum::<u64>() > MAX_VALUES {
            return Err(format!("the outputs have more than {MAX_VALUES} values").into());
        }
        // Of a batch, the graph with this input in every row, as `verify` asks.
        let everywhere = |all: &[Vec<f64>]| -> Vec<Vec<f64>> {
            all.iter().map(|v| rows::repeated(v, self.batch)).collect()
        };
        let (floats, answer) = (everywhere(&floats), everywhere(&outputs));
        let fidelity = Fidelity::new(&self.graph, &self.integers, &floats, &integers)?;
        let effect = |scale: &[f64]| {
            let rule = Rule {
                output_scale: scale.to_vec(),
                ..DEFAULT_RULE
            };
            fidelity.effect((&self.graph, &self.integers), &floats, &integers, &answer, &rule)
        };
        let coarse = effect(output_scale)?.zip(effect(&[])?).map(|(scaled, bare)| {
            let first = scaled.coarse.first();
            let first = first.and_then(|id| self.integers.tensors.get(id.0 as usize));
            Coarse {
                tensor: first.map(|info| info.name.clone()).unwrap_or_default(),
                count: scaled.coarse.len() as u32,
                // JSON has no infinity.
                error: scaled.error.min(f64::MAX),
                bare_error: bare.error.min(f64::MAX),
            }
        });
        let values = value_bytes(outputs.iter().map(Vec::as_slice));
        let exact = self.float.exact();
        let answer = Answer::Outputs {
            lengths,
            exact,
            bare_settled,
            coarse,
        };
        Ok((answer, values))
    }
}
