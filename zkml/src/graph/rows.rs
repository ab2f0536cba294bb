//! A batch: several inputs of a model along the first axis of one graph, each of them a row.
//!
//! Invariant: row `i` of every input tensor is the `i`-th input as it was given, and what is left of a batch is its last input
//! again. So whoever has the inputs makes the same tensors as whoever proved their answer, and rows that fill a batch up say
//! nothing that the last input does not.

use super::{FloatInput, InputError, Inputs, TensorInfo};

/// Inputs as the graph of a batch takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// How many inputs were given.
    pub count: usize,
    /// The graph's inputs, in its order.
    pub tensors: Vec<FloatInput>,
}

/// What one input has of a tensor that has `batch` of them.
#[must_use]
pub fn one(info: &TensorInfo, batch: u32) -> TensorInfo {
    let mut one = info.clone();
    if let Some(first) = one.shape.first_mut().filter(|_| batch > 1) {
        *first /= batch;
    }
    one
}

/// The values of a row of a tensor that has `batch` of them.
#[must_use]
pub fn row<T>(values: &[T], batch: u32, row: usize) -> &[T] {
    let each = values.len() / (batch.max(1) as usize);
    let from = row.saturating_mul(each);
    values.get(from..from.saturating_add(each)).unwrap_or_default()
}

/// The tensor all of whose rows are this one.
#[must_use]
pub fn repeated<T: Copy>(row: &[T], batch: u32) -> Vec<T> {
    row.repeat(batch.max(1) as usize)
}

/// The inputs of a batch from what a person gives: one input, several at once, or a tensor whose first axis counts inputs, the
/// rest of whose shape is an input's (leading dimensions of 1 may be left out). Files that are given one after the other count
/// in this order, each as many as are in it.
///
/// # Errors
/// Another shape, inputs with different numbers of rows, none, or more than `batch`.
pub fn fill(infos: &[&TensorInfo], batch: u32, given: &Inputs) -> Result<Rows, InputError> {
    let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    if batch <= 1 {
        let tensors = given.in_order(&names)?.into_iter().cloned().collect();
        return Ok(Rows { count: 1, tensors });
    }
    let each: Vec<TensorInfo> = infos.iter().map(|info| one(info, batch)).collect();
    let (mut count, mut values) = (0usize, vec![Vec::new(); infos.len()]);
    for file in given.files() {
        let tensors = file.in_order(&names)?;
        count = count.saturating_add(self::count(&each, &tensors)?);
        for (tensor, values) in tensors.into_iter().zip(&mut values) {
            values.extend_from_slice(&tensor.values);
        }
        if count > batch as usize {
            let got = given.count_at_least(&names, &each).max(count);
            return Err(InputError::Batch(got, batch));
        }
    }
    if count == 0 {
        return Err(InputError::Malformed("no input was given".to_owned()));
    }
    let filled = infos.iter().zip(values).map(|(info, mut values)| {
        let last = row(&values, count as u32, count - 1).to_vec();
        for _ in count..batch as usize {
            values.extend_from_slice(&last);
        }
        let shape = info.shape.iter().map(|&d| d as usize).collect();
        FloatInput { shape, values }
    });
    Ok(Rows {
        count,
        tensors: filled.collect(),
    })
}

/// How many inputs are in these tensors, which are in the order of `each`: what one input has of each.
///
/// # Errors
/// A tensor that is no input and no number of them along one axis in front; tensors with different numbers of them.
pub fn count(each: &[TensorInfo], tensors: &[&FloatInput]) -> Result<usize, InputError> {
    let mut counted: Option<(&str, usize)> = None;
    for (info, tensor) in each.iter().zip(tensors) {
        let rows = rows_in(info, tensor)?;
        let (name, first) = *counted.get_or_insert((&info.name, rows));
        if rows != first {
            return Err(InputError::Malformed(format!(
                "input `{}` has {rows} inputs in it, input `{name}` has {first}",
                info.name
            )));
        }
    }
    Ok(counted.map_or(0, |(_, rows)| rows))
}

/// The inputs that are in these tensors, as [`count`] counts them: by input, what it has of each tensor.
///
/// # Errors
/// As [`count`].
pub fn split(each: &[TensorInfo], tensors: &[&FloatInput]) -> Result<Vec<Vec<FloatInput>>, InputError> {
    let count = count(each, tensors)?;
    let part = |at: usize| {
        let of = |(info, tensor): (&TensorInfo, &&FloatInput)| FloatInput {
            shape: info.shape.iter().map(|&d| d as usize).collect(),
            values: row(&tensor.values, count as u32, at).to_vec(),
        };
        each.iter().zip(tensors).map(of).collect()
    };
    Ok((0..count).map(part).collect())
}

impl Inputs {
    /// What was given one after the other; of one file, that.
    fn files(&self) -> &[Self] {
        match self {
            Self::Several(files) => files,
            Self::One(_) | Self::ByName(_) => std::slice::from_ref(self),
        }
    }

    /// How many inputs are in all files, as far as that can be said of them.
    fn count_at_least(&self, names: &[&str], each: &[TensorInfo]) -> usize {
        let in_file = |file: &Self| {
            let tensors = file.in_order(names).ok()?;
            rows_in(each.first()?, tensors.first()?).ok()
        };
        self.files().iter().filter_map(in_file).sum()
    }
}

/// How many inputs are in a tensor: it is one, or its first axis counts them.
fn rows_in(one: &TensorInfo, tensor: &FloatInput) -> Result<usize, InputError> {
    let own: Vec<usize> = one.shape.iter().map(|&d| d as usize).collect();
    let without_ones =
        |shape: &[usize]| -> Vec<usize> { shape.iter().copied().skip_while(|d| *d == 1).collect() };
    let (own, shape) = (without_ones(&own), tensor.shape.as_slice());
    if without_ones(shape) == own {
        return Ok(1);
    }
    match shape.split_first() {
        Some((&count, rest)) if count > 0 && without_ones(rest) == own => Ok(count),
        _ => Err(InputError::Malformed(format!(
            "input `{}` has the shape {:?} for one, and any number of them along one axis in front; the tensor has {shape:?}",
            one.name, one.shape
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::IntRange;

    /// An input of shape `[1, 2, 2]`, in a batch of four.
    fn info(name: &str) -> TensorInfo {
        TensorInfo {
            name: name.to_owned(),
            shape: vec![4, 2, 2],
            range: IntRange::signed(8),
            exponent: 4,
            whole: false,
            ranks: None,
        }
    }

    fn tensor(shape: &[usize], first: f64) -> FloatInput {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|at| first + at as f64).collect();
        FloatInput::new(shape.to_vec(), values).unwrap()
    }

    fn filled(given: &Inputs) -> Result<Rows, InputError> {
        fill(&[&info("x")], 4, given)
    }

    #[test]
    fn one_input_several_files_and_a_leading_axis_are_the_same_rows() {
        let whole = Inputs::One(tensor(&[3, 2, 2], 0.0));
        let apart = Inputs::several(
            [0.0, 4.0, 8.0]
                .map(|first| Inputs::One(tensor(&[1, 2, 2], first)))
                .into(),
        );
        let mixed = Inputs::several(vec![
            Inputs::One(tensor(&[2, 1, 2, 2], 0.0)),
            Inputs::One(tensor(&[2, 2], 8.0)),
        ]);
        let rows = filled(&whole).unwrap();
        assert_eq!(
            (rows.count, rows.tensors[0].shape.as_slice()),
            (3, &[4, 2, 2][..])
        );
        // The last one fills what is left.
        assert_eq!(
            rows.tensors[0].values[8..],
            [8.0, 9.0, 10.0, 11.0, 8.0, 9.0, 10.0, 11.0]
        );
        for given in [apart, mixed] {
            assert_eq!(filled(&given).unwrap(), rows);
        }
        let one = filled(&Inputs::One(tensor(&[2, 2], 1.0))).unwrap();
        assert_eq!((one.count, one.tensors[0].values.len()), (1, 16));
    }

    #[test]
    fn more_than_the_batch_holds_are_refused_and_counted() {
        let five = Inputs::One(tensor(&[5, 2, 2], 0.0));
        assert_eq!(
            filled(&five).unwrap_err().to_string(),
            "5 inputs were given, and the batch holds at most 4"
        );
        let two = || Inputs::One(tensor(&[2, 2, 2], 0.0));
        let six = Inputs::several(vec![two(), two(), two()]);
        assert!(matches!(filled(&six), Err(InputError::Batch(6, 4))));
        assert!(filled(&Inputs::several(Vec::new())).is_err());
    }

    #[test]
    fn a_shape_that_is_no_input_and_no_count_of_them_is_refused() {
        for shape in [&[4][..], &[2, 2, 3], &[2, 3, 2, 2], &[1, 3, 2, 2], &[2, 4]] {
            let said = filled(&Inputs::One(tensor(shape, 0.0))).unwrap_err().to_string();
            assert!(
                said.starts_with("input `x` has the shape [1, 2, 2] for one"),
                "{said}"
            );
            assert!(said.ends_with(&format!("the tensor has {shape:?}")), "{said}");
        }
    }

    #[test]
    fn all_inputs_of_a_model_have_as_many_rows() {
        let (x, z) = (info("x"), info("z"));
        let by_name = |rows: usize| {
            Inputs::ByName(
                [
                    ("x".to_owned(), tensor(&[2, 2, 2], 0.0)),
                    ("z".to_owned(), tensor(&[rows, 2, 2], 0.0)),
                ]
                .into(),
            )
        };
        assert_eq!(fill(&[&x, &z], 4, &by_name(2)).unwrap().count, 2);
        let said = fill(&[&x, &z], 4, &by_name(3)).unwrap_err().to_string();
        assert_eq!(said, "input `z` has 3 inputs in it, input `x` has 2");
    }

    #[test]
    fn the_inputs_that_are_in_tensors_are_told_apart() {
        let each = [one(&info("x"), 4), one(&info("z"), 4)];
        let (x, z) = (tensor(&[2, 2, 2], 0.0), tensor(&[2, 1, 2, 2], 10.0));
        assert_eq!(count(&each, &[&x, &z]), Ok(2));
        let apart = split(&each, &[&x, &z]).unwrap();
        assert_eq!(apart[0], [tensor(&[1, 2, 2], 0.0), tensor(&[1, 2, 2], 10.0)]);
        assert_eq!(apart[1], [tensor(&[1, 2, 2], 4.0), tensor(&[1, 2, 2], 14.0)]);
        // A tensor as one input has it, with or without a leading 1, is one.
        for shape in [&[2, 2][..], &[1, 2, 2]] {
            assert_eq!(split(&each[..1], &[&tensor(shape, 3.0)]).unwrap().len(), 1);
        }
        assert!(split(&each, &[&x, &tensor(&[3, 2, 2], 0.0)]).is_err());
        let none = FloatInput {
            shape: vec![0, 2, 2],
            values: Vec::new(),
        };
        assert!(split(&each[..1], &[&none]).is_err());
    }

    #[test]
    fn a_model_of_one_input_at_a_time_takes_one() {
        let mut info = info("x");
        info.shape = vec![1, 2, 2];
        let one = Inputs::One(tensor(&[1, 2, 2], 0.0));
        assert_eq!(fill(&[&info], 1, &one).unwrap().count, 1);
        let two = Inputs::several(vec![one.clone(), one]);
        assert_eq!(
            fill(&[&info], 1, &two).unwrap_err().to_string(),
            "2 inputs were given at once, and it answers one at a time: compile it for a batch"
        );
    }
}
