//! What a person gives as a model's inputs: one tensor, or tensors by input name, as one input or as many samples.
//!
//! Invariant: a tensor goes to the input of its name and nowhere else; a name that the model does not have, and an input
//! that nothing was given for, are errors that name it.

use std::collections::BTreeMap;

use super::rows::row;
use super::tensor_file::{read_json, read_json_by_name, read_npy, without_mark};
use super::{FloatInput, InputError, npz};

/// Inputs of a model, as given.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// A bare tensor: of a model with one input.
    One(FloatInput),
    /// By input name.
    ByName(BTreeMap<String, FloatInput>),
    /// One after the other, each as above: for a batch ([`rows`](super::rows)).
    Several(Vec<Self>),
}

impl Inputs {
    /// Reads a `.npy` file, a `.npz` archive of arrays by input name, nested JSON lists, or a JSON object of nested lists by
    /// input name, by what the bytes begin with. An archive of one array that has no name is that array.
    ///
    /// # Errors
    /// As [`read_npy`] and [`read_json_by_name`].
    pub fn read(bytes: &[u8], max: usize) -> Result<Self, InputError> {
        if npz::is_npz(bytes) {
            let mut arrays = npz::read(bytes, max)?;
            if arrays.len() == 1
                && let Some(only) = arrays.remove(npz::UNNAMED)
            {
                return Ok(Self::One(only));
            }
            return Ok(Self::ByName(arrays));
        }
        if bytes.starts_with(b"\x93NUMPY") {
            return read_npy(bytes, max).map(Self::One);
        }
        match without_mark(bytes).iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'{') => read_json_by_name(bytes, None, max).map(Self::ByName),
            _ => read_json(bytes, max).map(Self::One),
        }
    }

    /// Inputs that are given one after the other; a single one is itself.
    #[must_use]
    pub fn several(mut given: Vec<Self>) -> Self {
        match given.pop() {
            Some(only) if given.is_empty() => only,
            last => Self::Several(given.into_iter().chain(last).collect()),
        }
    }

    /// The tensors in the order of the model's inputs.
    ///
    /// # Errors
    /// An input without a tensor, a tensor without an input, or several inputs.
    pub fn in_order(&self, names: &[&str]) -> Result<Vec<&FloatInput>, InputError> {
        match self {
            Self::One(tensor) if names.len() == 1 => Ok(vec![tensor]),
            Self::One(_) => Err(InputError::Malformed(format!(
                "the model has {} inputs: give a JSON object or a .npz archive of tensors by input name ({})",
                names.len(),
                names.join(", ")
            ))),
            Self::ByName(tensors) => {
                if let Some(other) = tensors.keys().find(|name| !names.contains(&name.as_str())) {
                    return Err(InputError::Malformed(format!(
                        "the model has no input `{other}`; it has {}",
                        names.join(", ")
                    )));
                }
                let find = |name: &&str| {
                    tensors
                        .get(*name)
                        .ok_or_else(|| InputError::Malformed(format!("input `{name}` is missing")))
                };
                names.iter().map(find).collect()
            }
            Self::Several(given) => Err(InputError::Malformed(format!(
                "{} inputs were given at once, and it answers one at a time: compile it for a batch",
                given.len()
            ))),
        }
    }

    /// The samples that the first axis counts, each in the order of the model's inputs.
    ///
    /// # Errors
    /// As [`Inputs::samples_in_place`].
    pub fn samples(&self, names: &[&str]) -> Result<Vec<Vec<FloatInput>>, InputError> {
        let samples = self.samples_in_place(names)?;
        Ok((0..samples.len()).map(|at| samples.get(at)).collect())
    }

    /// The same without a copy of any: a file of small samples is many times as large once each is by itself.
    ///
    /// # Errors
    /// As [`Inputs::in_order`]; no sample, or inputs with different numbers of them.
    pub fn samples_in_place(&self, names: &[&str]) -> Result<Samples<'_>, InputError> {
        let tensors = self.in_order(names)?;
        let count = |t: &FloatInput| t.shape.first().copied().unwrap_or(0);
        let samples = tensors.first().map_or(0, |t| count(t));
        for (name, tensor) in names.iter().zip(&tensors) {
            if count(tensor) == 0 {
                return Err(InputError::Malformed(format!(
                    "input `{name}`: the first axis must count the samples, at least one"
                )));
            }
            if count(tensor) != samples {
                return Err(InputError::Malformed(format!(
                    "input `{name}` has {} samples, input `{}` has {samples}",
                    count(tensor),
                    names.first().copied().unwrap_or_default()
                )));
            }
        }
        Ok(Samples {
            count: samples,
            tensors,
        })
    }
}

/// Samples of a model's inputs: the first axis of each tensor counts them.
#[derive(Debug, Clone, Default)]
pub struct Samples<'a> {
    count: usize,
    /// In the order of the model's inputs.
    tensors: Vec<&'a FloatInput>,
}

impl Samples<'_> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What a sample has of each input; beyond the last nothing.
    #[must_use]
    pub fn get(&self, index: usize) -> Vec<FloatInput> {
        let part = |tensor: &&FloatInput| FloatInput {
            shape: tensor.shape.get(1..).unwrap_or_default().to_vec(),
            values: row(&tensor.values, self.count as u32, index).to_vec(),
        };
        self.tensors.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_by_what_it_begins_with() {
        let one = FloatInput::new(vec![1, 2], vec![1.0, 2.0]).unwrap();
        assert_eq!(Inputs::read(b" [[1, 2]]", 9), Ok(Inputs::One(one.clone())));
        let named = Inputs::read(b"\n{\"a\": [[1, 2]]}", 9).unwrap();
        assert_eq!(named, Inputs::ByName([("a".to_owned(), one)].into()));
        let mut npy = b"\x93NUMPY\x01\x00".to_vec();
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }";
        npy.extend((header.len() as u16).to_le_bytes());
        npy.extend(header.as_bytes());
        npy.extend(3f64.to_le_bytes());
        assert_eq!(
            Inputs::read(&npy, 9),
            Ok(Inputs::One(FloatInput::new(vec![1], vec![3.0]).unwrap()))
        );
        assert!(Inputs::read(b"\xef\xbb\xbf{\"a\": [1]}", 9).is_ok());
        // An archive is read as one, whatever is wrong with it.
        let cut = [&b"PK\x03\x04"[..], &[0; 22], &[5, 0, 0, 0], b"a.npy"].concat();
        let said = Inputs::read(&cut, 9).unwrap_err().to_string();
        assert!(said.contains("not a readable .npz file"), "{said}");
        assert!(Inputs::read(b"", 9).is_err() && Inputs::read(b"{", 9).is_err());
    }

    #[test]
    fn a_tensor_goes_to_the_input_of_its_name() {
        let both = Inputs::read(br#"{"b": [2], "a": [1]}"#, 9).unwrap();
        let values = |names: &[&str]| {
            both.in_order(names)
                .map(|all| all.iter().map(|t| t.values[0]).collect::<Vec<_>>())
        };
        assert_eq!(values(&["a", "b"]).unwrap(), [1.0, 2.0]);
        assert_eq!(values(&["b", "a"]).unwrap(), [2.0, 1.0]);
        assert!(values(&["a"]).unwrap_err().to_string().contains("no input `b`"));
        assert!(
            values(&["a", "b", "c"])
                .unwrap_err()
                .to_string()
                .contains("`c` is missing")
        );
        let bare = Inputs::read(b"[1]", 9).unwrap();
        assert!(bare.in_order(&["any"]).is_ok());
        assert!(
            bare.in_order(&["a", "b"])
                .unwrap_err()
                .to_string()
                .contains("2 inputs")
        );
    }

    #[test]
    fn the_first_axis_counts_samples() {
        let data = Inputs::read(br#"{"a": [[1, 2], [3, 4]], "b": [5, 6]}"#, 9).unwrap();
        let samples = data.samples(&["a", "b"]).unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!(
            (samples[1][0].values.as_slice(), samples[1][0].shape.as_slice()),
            (&[3.0, 4.0][..], &[2][..])
        );
        assert_eq!(
            (samples[0][1].values.as_slice(), samples[0][1].shape.len()),
            (&[5.0][..], 0)
        );
        let uneven = Inputs::read(br#"{"a": [1, 2], "b": [5]}"#, 9).unwrap();
        assert!(
            uneven
                .samples(&["a", "b"])
                .unwrap_err()
                .to_string()
                .contains("`b` has 1 samples")
        );
        let scalar = Inputs::read(b"3", 9).unwrap();
        assert!(
            scalar
                .samples(&["a"])
                .unwrap_err()
                .to_string()
                .contains("first axis")
        );
    }
}
