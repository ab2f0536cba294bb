//! The input of a request from files that are given one after the other.
//!
//! Invariant: the tensors are those that `prover-worker verify` makes of the same files in the same order. A file alone goes as it
//! is, however many inputs are in it; of several files each is one input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zkml::graph::{FloatInput, Inputs};

use crate::sources::{FileError, file};

/// Most values of all files.
const MAX_VALUES: usize = 1 << 22;

/// Why files are no input.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// One of several inputs.
    #[error("{}: {why}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// The file that a request names.
///
/// # Errors
/// A file that cannot be read or is too large or, of several, one that is none of numbers or does not go beside the others.
pub fn joined(paths: &[PathBuf]) -> Result<Vec<u8>, InputsError> {
    if let [only] = paths {
        return Ok(file::read(only)?);
    }
    let mut rows = Vec::new();
    for path in paths {
        let inputs = Inputs::read(&file::read(path)?, MAX_VALUES);
        let inputs = inputs.map_err(|e| refused(path, e.to_string()))?;
        rows.push((path.as_path(), inputs));
    }
    side_by_side(&rows).map(|value| value.to_string().into_bytes())
}

fn refused(path: &Path, why: String) -> InputsError {
    InputsError::Refused {
        path: path.to_owned(),
        why,
    }
}

/// All inputs as one: by name where the files are by name.
fn side_by_side(rows: &[(&Path, Inputs)]) -> Result<Value, InputsError> {
    let Some((first_path, first)) = rows.first() else {
        return Ok(Value::Null);
    };
    let other = |path: &Path| {
        let why = format!(
            "is by input name, or is a bare tensor, where {} is the other",
            first_path.display()
        );
        refused(path, why)
    };
    match first {
        Inputs::One(_) => {
            let tensor = |(path, inputs): &(&'_ Path, Inputs)| match inputs {
                Inputs::One(tensor) => Ok((path.to_path_buf(), tensor.clone())),
                Inputs::ByName(_) | Inputs::Several(_) => Err(other(path)),
            };
            stacked(None, &rows.iter().map(tensor).collect::<Result<Vec<_>, _>>()?)
        }
        Inputs::ByName(_) | Inputs::Several(_) => {
            let mut by_name: BTreeMap<&str, Vec<(PathBuf, FloatInput)>> = BTreeMap::new();
            for (path, inputs) in rows {
                let Inputs::ByName(tensors) = inputs else {
                    return Err(other(path));
                };
                for (name, tensor) in tensors {
                    let all = by_name.entry(name).or_default();
                    all.push((path.to_path_buf(), tensor.clone()));
                }
            }
            let whole = |(name, tensors): (&str, Vec<(PathBuf, FloatInput)>)| {
                if tensors.len() != rows.len() {
                    let lacks = |(path, _): &&(&Path, Inputs)| tensors.iter().all(|(has, _)| has != path);
                    let path = rows.iter().find(lacks).map_or(*first_path, |(path, _)| path);
                    return Err(refused(
                        path,
                        format!("has no input `{name}`, and other files have"),
                    ));
                }
                Ok((name.to_owned(), stacked(Some(name), &tensors)?))
            };
            let all: Result<serde_json::Map<_, _>, _> = by_name.into_iter().map(whole).collect();
            Ok(Value::Object(all?))
        }
    }
}

/// One tensor more of an axis in front, which counts the files. Leading dimensions of 1 say nothing, and are left out.
fn stacked(name: Option<&str>, tensors: &[(PathBuf, FloatInput)]) -> Result<Value, InputsError> {
    let own = |tensor: &FloatInput| -> Vec<usize> {
        tensor.shape.iter().copied().skip_while(|d| *d == 1).collect()
    };
    let mut all = Vec::new();
    for (path, tensor) in tensors {
        if let Some((first_path, first)) = tensors.first().filter(|(_, first)| own(first) != own(tensor)) {
            let of = name.map_or_else(String::new, |name| format!("input `{name}` "));
            let why = format!(
                "{of}has the shape {:?}, and {:?} in {}: where --input is given several times, each file is one input",
                tensor.shape,
                first.shape,
                first_path.display()
            );
            return Err(refused(path, why));
        }
        // In JSON a missing value is null, and there is nothing for an infinite one.
        if tensor.values.iter().any(|value| value.is_infinite()) {
            let why = "has an infinite value, which goes in a single file alone: put the inputs into one .npy or .npz";
            return Err(refused(path, why.to_owned()));
        }
        all.push(nested(&own(tensor), &tensor.values));
    }
    Ok(Value::Array(all))
}

fn nested(shape: &[usize], values: &[f64]) -> Value {
    match shape.split_first() {
        None => values.first().map_or(Value::Null, |value| json!(value)),
        Some((&first, inner)) => {
            let each = (values.len() / first.max(1)).max(1);
            Value::Array(values.chunks(each).map(|part| nested(inner, part)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As files of these texts would be joined.
    fn of(files: &[&str]) -> Result<Value, String> {
        let names: Vec<PathBuf> = (0..files.len()).map(|at| format!("{at}.json").into()).collect();
        let read = |(path, text): (&'_ PathBuf, &&str)| {
            let inputs = Inputs::read(text.as_bytes(), MAX_VALUES).unwrap();
            (path.clone(), inputs)
        };
        let rows: Vec<(PathBuf, Inputs)> = names.iter().zip(files).map(read).collect();
        let rows: Vec<(&Path, Inputs)> = rows
            .iter()
            .map(|(path, inputs)| (path.as_path(), inputs.clone()))
            .collect();
        side_by_side(&rows).map_err(|e| e.to_string())
    }

    #[test]
    fn files_become_one_whose_outermost_list_counts_them() {
        // Leading dimensions of 1 may be left out.
        assert_eq!(
            of(&["[[1, 2]]", "[3, 4]"]).unwrap(),
            json!([[1.0, 2.0], [3.0, 4.0]])
        );
        assert_eq!(of(&["[1]", "[2]"]).unwrap(), json!([1.0, 2.0]));
        let named = of(&[r#"{"x": [1, 2], "z": [[5]]}"#, r#"{"x": [3, 4], "z": [6]}"#]).unwrap();
        assert_eq!(named, json!({ "x": [[1.0, 2.0], [3.0, 4.0]], "z": [5.0, 6.0] }));
    }

    #[test]
    fn a_missing_value_stays_one_and_an_infinite_one_is_refused() {
        assert_eq!(
            of(&["[1, null]", "[3, 4]"]).unwrap(),
            json!([[1.0, null], [3.0, 4.0]])
        );
        let tensor = |value| Inputs::One(FloatInput::new(vec![1], vec![value]).unwrap());
        let rows = [
            (Path::new("a.npy"), tensor(1.0)),
            (Path::new("b.npy"), tensor(f64::INFINITY)),
        ];
        let why = side_by_side(&rows).unwrap_err().to_string();
        assert!(why.starts_with("b.npy: has an infinite value"), "{why}");
    }

    #[test]
    fn files_that_do_not_go_beside_each_other_are_named() {
        for (files, said) in [
            (
                &["[1, 2]", "[1, 2, 3]"][..],
                "1.json: has the shape [3], and [2] in 0.json",
            ),
            (
                &["[1, 2]", r#"{"x": [1, 2]}"#],
                "1.json: is by input name, or is a bare tensor",
            ),
            (
                &[r#"{"x": [1]}"#, "[1]"],
                "1.json: is by input name, or is a bare tensor",
            ),
            (
                &[r#"{"x": [1]}"#, r#"{"x": [1], "z": [2]}"#],
                "0.json: has no input `z`",
            ),
            (
                &[r#"{"x": [1]}"#, r#"{"x": [1, 2]}"#],
                "1.json: input `x` has the shape [2], and [1] in 0.json",
            ),
        ] {
            let why = of(files).unwrap_err();
            assert!(why.starts_with(said), "{why}");
        }
    }
}
