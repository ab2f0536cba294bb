//! The command by which anybody checks a receipt.

use zkinfer_crds::ProofSystem;
use zkml::systems;

use super::outbox::ReceiptFiles;
use crate::setup::SetupPolicy;

/// `prover-worker verify` of a receipt with all that it must be told, as for a POSIX shell.
#[must_use]
pub fn verify_command(
    files: &ReceiptFiles,
    flags: &[String],
    system: ProofSystem,
    setup: Option<SetupPolicy>,
) -> String {
    let mut words = vec!["prover-worker", "verify", &files.receipt, "--model", &files.model];
    words.extend(files.inputs.iter().flat_map(|input| ["--input", input]));
    words.extend(flags.iter().map(String::as_str));
    match setup.filter(|_| systems::of(system).needs_srs()) {
        Some(setup) if setup.development => words.push("--allow-dev-srs"),
        Some(_) => words.extend(["--srs", "SRS.bin"]),
        None => {}
    }
    let quoted: Vec<String> = words.into_iter().map(quoted).collect();
    quoted.join(" ")
}

/// A word that a POSIX shell reads as it is.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_whole_and_safe_in_a_shell() {
        let files = ReceiptFiles {
            receipt: "r.cbor".to_owned(),
            model: "it's a model.onnx".to_owned(),
            inputs: vec!["x.json".to_owned(), "y z.json".to_owned()],
        };
        let flags = ["--max-error=0.1".to_owned()];
        let command = verify_command(&files, &flags, ProofSystem::SumcheckWhir, None);
        assert_eq!(
            command,
            r"prover-worker verify r.cbor --model 'it'\''s a model.onnx' --input x.json --input 'y z.json' --max-error=0.1"
        );
    }
}
