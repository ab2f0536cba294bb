//! Who may ask which operator a node is.

use std::path::{Path, PathBuf};

/// Rust files below a folder, without those of tests.
fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" {
            files(&path, into);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            into.push(path);
        }
    }
}

/// Whether code names one of an enum's own, such as `Op::Max`.
fn names_one_of(code: &str, list: &str) -> bool {
    code.match_indices(list).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + list.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_uppercase)
    })
}

/// A new operator is its files and a line of the list: whatever the compiler asks of operators is a method that each has to have.
/// The importer alone looks at what it has made itself.
#[test]
fn operators_are_told_apart_in_their_own_files_and_in_the_importer_alone() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut all, mut seen) = (Vec::new(), 0);
    files(&crates.join("src"), &mut all);
    files(&crates.join("../src"), &mut all);
    for file in all {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let names = lines.any(|line| names_one_of(line, "Op::") || names_one_of(line, "FloatOp::"));
        let may = file.iter().any(|part| part == "ops" || part == "import");
        assert!(may || !names, "{} asks which operator a node is", file.display());
        seen += usize::from(names);
    }
    assert!(seen > 20, "{seen}");
}
