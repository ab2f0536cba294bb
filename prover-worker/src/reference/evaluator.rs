//! The process that reads one model and evaluates it.
//!
//! Invariant: it takes no more memory than it was given: what asks for more ends the process, and nothing else.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use nix::sys::resource::{Resource, setrlimit};
use zkinfer_crds::float_wire::{
    Answer, Call, FrameError, Input, MAX_MODEL_BYTES, MAX_VALUES, length_of, read_frame, value_bytes,
    values_of, write_frame,
};
use zkml_reference::{Model, Port, Tensor, Values};

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
        let (call, body) = match read_frame::<Call>(&mut socket, MAX_MODEL_BYTES) {
            Ok(read) => read,
            // Whoever asked has ended, or has no more use for this model.
            Err(FrameError::Closed) => return Ok(Exit::Done),
            Err(e) => return Err(UsageError::new(e)),
        };
        let (answer, values) = match &call {
            Call::Load { .. } => match Model::read(&body) {
                Ok(read) => {
                    model = Some(read);
                    (Answer::Loaded, Vec::new())
                }
                Err(e) => refused(&e),
            },
            Call::Evaluate { inputs, .. } => match &model {
                None => (Answer::Unknown, Vec::new()),
                Some(model) => evaluate(model, inputs, &body).unwrap_or_else(|e| refused(e.as_ref())),
            },
        };
        write_frame(&mut socket, &answer, &values).map_err(UsageError::new)?;
    }
}

fn refused(why: &dyn std::fmt::Display) -> (Answer, Vec<u8>) {
    let message: String = why.to_string().chars().take(500).collect();
    (Answer::Refused { message }, Vec::new())
}

fn evaluate(
    model: &Model,
    given: &[Input],
    body: &[u8],
) -> Result<(Answer, Vec<u8>), Box<dyn std::error::Error>> {
    let values = values_of(
        body,
        given.iter().map(|i| length_of(&i.shape).unwrap_or(u64::MAX)),
    )?;
    let tensor = |port: &Port| {
        let own = given
            .iter()
            .zip(&values)
            .find(|(input, _)| input.name == port.name);
        let (input, values) =
            own.ok_or_else(|| format!("the model's input `{}` was not given", port.name))?;
        let shape = input.shape.iter().map(|&d| d as usize).collect();
        let tensor = Tensor::new(port.element, shape, Values::Float(values.clone()));
        tensor.map_err(|e| format!("input `{}`: {e}", port.name))
    };
    let inputs: Vec<Tensor> = model.inputs().iter().map(tensor).collect::<Result<_, _>>()?;
    let outputs: Vec<Vec<f64>> = model.evaluate(&inputs)?.iter().map(Tensor::to_f64).collect();
    let lengths: Vec<u64> = outputs.iter().map(|o| o.len() as u64).collect();
    if lengths.iter().sum::<u64>() > MAX_VALUES {
        return Err(format!("the outputs have more than {MAX_VALUES} values").into());
    }
    let values = value_bytes(outputs.iter().map(Vec::as_slice));
    Ok((Answer::Outputs { lengths }, values))
}
