//! `sample`: draws the input of a benchmark again, by its seed.

use std::path::Path;

use serde_json::json;
use zkinfer_crds::Digest;
use zkml::graph::TensorInfo;
use zkml::graph::sampled::{input_file, sampled};

use crate::args::{Format, SampleArgs};
use crate::exit::{Exit, UsageError};
use crate::files;

pub(crate) fn run(args: &SampleArgs, format: Format) -> Result<Exit, UsageError> {
    let manifest = files::manifest(&args.manifest)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(args.seed.trim(), &mut seed)
        .map_err(|e| UsageError::new(format!("--seed: not 64 hexadecimal digits: {e}")))?;
    let inputs = manifest.inputs.iter().filter_map(|id| manifest.tensor(*id));
    let inputs: Vec<&TensorInfo> = inputs.collect();
    let names: Vec<&str> = inputs.iter().map(|info| info.name.as_str()).collect();
    let data = args.calibration.as_deref().map(files::inputs).transpose()?;
    let samples = data
        .as_ref()
        .map(|data| data.samples_in_place(&names))
        .transpose();
    let of = args.calibration.as_deref().unwrap_or(Path::new("")).display();
    let samples = samples.map_err(|e| UsageError::new(format!("{of}: {e}")))?;
    let samples = samples.unwrap_or_default();
    let values = sampled(&inputs, samples.len(), |at| samples.get(at), &seed).map_err(UsageError::new)?;
    let file = input_file(&inputs, &values);
    if let Some(out) = &args.out {
        files::write(out, &file)?;
    }
    let digest = Digest::of(&file);
    match format {
        Format::Json => println!("{}", json!({ "input": digest })),
        Format::Text => println!("{digest}"),
    }
    Ok(Exit::Done)
}
