//! How long a model takes: `seconds MODEL.onnx [TIMES]`, on numbers between -1 and 1. Free dimensions are 1.

use std::{error::Error, fs, time::Instant};

use zkml_reference::{Dimension, Model, Tensor, Values};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("no model is named")?;
    let times: usize = arguments.next().map_or(Ok(20), |n| n.parse())?;
    let model = Model::read(&fs::read(&file)?)?;
    let mut inputs = Vec::new();
    for port in model.inputs() {
        let dims = port.shape.as_deref().unwrap_or_default();
        let size = |d: &Dimension| if let Dimension::Fixed(n) = d { *n } else { 1 };
        let shape: Vec<usize> = dims.iter().map(size).collect();
        let values = (0..shape.iter().product::<usize>()).map(|i| (i as f64 * 0.7).sin());
        inputs.push(Tensor::new(port.element, shape, Values::Float(values.collect()))?);
    }
    let mut seconds = Vec::new();
    for _ in 0..times.max(1) {
        let start = Instant::now();
        model.evaluate(&inputs)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "{file}: median {:.7} s, least {:.7} s",
        seconds[seconds.len() / 2],
        seconds[0]
    );
    Ok(())
}
