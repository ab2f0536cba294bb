//! `qualify`: judges a manifest once on the verifier's own data.

use std::path::{Path, PathBuf};

use zkml::qualification::Qualification;
use zkml::receipt::number;
use zkml_compile::qualify::qualify;

use crate::args::{Format, QualifyArgs};
use crate::exit::{Exit, UsageError, say};
use crate::files;

pub(crate) fn run(args: &QualifyArgs, format: Format) -> Result<Exit, UsageError> {
    let manifest = files::manifest(&args.manifest)?;
    let onnx = files::read(&args.model)?;
    let data = files::inputs(&args.data)?;
    let source = files::srs_source(&args.srs)?;
    let rule = args.rule.rule();
    let found = match qualify(&onnx, &manifest, source.as_ref(), &data, &rule) {
        Ok(found) => found,
        Err(e) => {
            say(&e, format);
            return Ok(Exit::Bad);
        }
    };
    let json = serde_json::to_string_pretty(&found).map_err(UsageError::new)?;
    let out = args.out.clone().unwrap_or_else(|| beside(&args.manifest));
    files::write(&out, json.as_bytes())?;
    match format {
        Format::Json => println!("{json}"),
        Format::Text => print(&found, &out),
    }
    let refusal = found.refusal(&rule);
    if let (Format::Text, Some(why)) = (format, &refusal) {
        println!("\nThe manifest is NOT qualified: {why}.");
    }
    Ok(if refusal.is_none() { Exit::Done } else { Exit::Bad })
}

/// MANIFEST.qualified.json.
fn beside(manifest: &Path) -> PathBuf {
    let mut name = manifest.file_name().unwrap_or_default().to_owned();
    name.push(".qualified.json");
    manifest.with_file_name(name)
}

fn print(found: &Qualification, out: &Path) {
    println!("manifest  {}", found.manifest);
    println!("model     {}, from which the manifest follows\n", found.model);
    println!(
        "{:<28} {:<28} {:>9} {:>7} {:>9} {:>9}",
        "tensor", "node", "greatest", "range", "error", "mean"
    );
    let percent = |v: f64| format!("{:.1} %", 100.0 * v);
    for row in &found.tensors {
        println!(
            "{:<28} {:<28} {:>9.3} {:>7} {:>9.2e} {:>9.2e}",
            row.tensor,
            row.node.as_deref().unwrap_or("(input)"),
            row.magnitude,
            percent(row.range),
            row.greatest_error,
            row.mean_error
        );
    }
    println!(
        "\n{:<28} {}, {} of them outside the calibrated range",
        "samples", found.samples, found.out_of_range
    );
    if let Some(first) = &found.first_out_of_range {
        println!("{:<28} {first}", "");
    }
    println!(
        "{:<28} {:.2e} (sample {}), mean {:.2e}, accepted {:.2e}",
        "greatest error of an answer",
        found.greatest_error,
        found.worst_sample,
        found.mean_error,
        found.max_error
    );
    let scales: Vec<String> = found.output_scale.iter().map(|s| number(*s)).collect();
    println!("{:<28} {}", "natural size of the outputs", scales.join(", "));
    match found.same_class {
        Some(same) => println!(
            "{:<28} {same} of {}",
            "the float model's class",
            found.accepted_samples()
        ),
        None => println!("{:<28} no output names one", "the float model's class"),
    }
    println!("{:<28} {}", "written to", out.display());
    if found.qualified {
        println!("\nThe manifest is qualified.");
    }
}
