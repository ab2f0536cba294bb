//! The float model: the ONNX file as it stands, evaluated by the reference on floats.
//!
//! Invariant: nothing of the compiler is in its answers, so that a fault of the compiler does not hide in what its own
//! answers are measured against. Inputs go to the file's inputs by name, outputs come in the file's order.

use std::collections::BTreeMap;

use zkml::accuracy::{DEFAULT_MAX_ERROR_MILLIONTHS, output_error};
use zkml::graph::{IntGraph, TensorId, TensorInfo, rows};
use zkml_reference::{ElementType, EvaluateError, Model, Port, Precision, ReadError, Tensor, Values};

use crate::float::{FloatGraph, FloatTensor};

/// Why the float model has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FloatModelError {
    /// The file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The evaluation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The file asks for an input that was not given.
    #[error("the model's input `{0}` was not given")]
    Missing(String),
    /// An input does not have its shape.
    #[error("the model's input `{0}` was given with another number of values")]
    Length(String),
    /// An input of whole numbers has others.
    #[error("the model's input `{0}` takes whole numbers, and was given a fraction")]
    Fraction(String),
    /// The file has other outputs than the integer graph.
    #[error("the model's outputs are not those of the integer graph: {0}")]
    Outputs(String),
    /// Nobody can say what the model's answer is.
    #[error(
        "output `{output}` hangs on how floats are rounded: at {at} it is {double} where they have 64 bits and {declared} \
         where each node rounds to the file's own type; an input that is not so near to a jump has an answer"
    )]
    Unsettled {
        /// Which output.
        output: String,
        /// The place in it, row-major.
        at: usize,
        /// The value in 64 bits.
        double: f64,
        /// The value in the file's own types.
        declared: f64,
    },
    /// Numbers go beyond the file's own type, in any program that keeps to it.
    #[error(
        "output `{output}` is {declared} at {at} where each node rounds to the file's own type: numbers go beyond what that \
         type holds (in 64 bits it is {double})"
    )]
    Overflow {
        /// Which output.
        output: String,
        /// The place in it, row-major.
        at: usize,
        /// The value in 64 bits.
        double: f64,
        /// The value in the file's own types, which is no number.
        declared: f64,
    },
}

/// A model file, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct FloatModel(Model);

impl FloatModel {
    /// Reads the file.
    ///
    /// # Errors
    /// Bytes that are no model.
    pub fn read(onnx: &[u8]) -> Result<Self, FloatModelError> {
        Ok(Self(Model::read(onnx)?))
    }

    /// The outputs for flat inputs in the integer graph's order, which gives names and shapes, and that they do not hang on
    /// rounding: one value's jump (a comparison, a threshold of a tree, a greatest of two that are nearly alike) may turn
    /// on the last bit, where every implementation has its own answer and none is the model's. `output_scale` is as in
    /// [`Rule`](zkml::accuracy::Rule).
    ///
    /// # Errors
    /// Inputs that are not the file's, a node that cannot be evaluated, outputs of other sizes than the graph's, or
    /// [`FloatModelError::Unsettled`].
    pub fn settled_outputs(
        &self,
        graph: &IntGraph,
        inputs: &[Vec<f64>],
        output_scale: &[f64],
    ) -> Result<Vec<Vec<f64>>, FloatModelError> {
        self.settled_row(graph, 1, inputs, output_scale)
    }

    /// As [`FloatModel::settled_outputs`], for one input of a graph that takes a `batch` of them: the file knows nothing of it.
    ///
    /// # Errors
    /// As [`FloatModel::settled_outputs`].
    pub fn settled_row(
        &self,
        graph: &IntGraph,
        batch: u32,
        inputs: &[Vec<f64>],
        output_scale: &[f64],
    ) -> Result<Vec<Vec<f64>>, FloatModelError> {
        let (double, declared) = self.both(graph, batch, inputs)?;
        self.unsettled(&double, &declared, output_scale)
            .map_or(Ok(double), Err)
    }

    /// As [`FloatModel::settled_row`], and whether it has the same answer for a judge without scales of the outputs, to whom an
    /// output near 0 hangs on rounding sooner.
    ///
    /// # Errors
    /// As [`FloatModel::settled_outputs`].
    pub fn settled_row_and_bare(
        &self,
        graph: &IntGraph,
        batch: u32,
        inputs: &[Vec<f64>],
        output_scale: &[f64],
    ) -> Result<(Vec<Vec<f64>>, bool), FloatModelError> {
        let (double, declared) = self.both(graph, batch, inputs)?;
        let bare = self.unsettled(&double, &declared, &[]).is_none();
        match self.unsettled(&double, &declared, output_scale) {
            None => Ok((double, bare)),
            Some(error) => Err(error),
        }
    }

    /// The outputs in 64 bits, and with each node rounded to the file's own type.
    fn both(
        &self,
        graph: &IntGraph,
        batch: u32,
        inputs: &[Vec<f64>],
    ) -> Result<(Vec<Vec<f64>>, Vec<Tensor>), FloatModelError> {
        let double = self.row(graph, batch, inputs)?;
        let given = self.tensors(&given(graph, batch, inputs))?;
        Ok((double, self.0.evaluate_in(Precision::Declared, &given)?))
    }

    /// The first output of which both are too far apart.
    fn unsettled(
        &self,
        double: &[Vec<f64>],
        declared: &[Tensor],
        output_scale: &[f64],
    ) -> Option<FloatModelError> {
        let scales = output_scale.iter().copied().chain(std::iter::repeat(0.0));
        for ((port, scale), (double, declared)) in self
            .0
            .outputs()
            .iter()
            .zip(scales)
            .zip(double.iter().zip(declared))
        {
            let declared = declared.to_f64();
            let settled = match port.element.is_float() {
                true => output_error(&declared, double, scale) <= SETTLED,
                false => declared == *double,
            };
            if settled {
                continue;
            }
            let distance = |at: &usize| (double[*at] - declared[*at]).abs();
            let furthest = |a: &usize, b: &usize| distance(a).total_cmp(&distance(b));
            let at = (0..double.len().min(declared.len()))
                .max_by(furthest)
                .unwrap_or(0);
            let value = |of: &[f64]| of.get(at).copied().unwrap_or(f64::NAN);
            let (output, double, declared) = (port.name.clone(), value(double), value(&declared));
            return Some(match double.is_finite() && !declared.is_finite() {
                true => FloatModelError::Overflow {
                    output,
                    at,
                    double,
                    declared,
                },
                false => FloatModelError::Unsettled {
                    output,
                    at,
                    double,
                    declared,
                },
            });
        }
        None
    }

    /// The outputs for flat inputs in the integer graph's order, whether or not they hang on rounding.
    ///
    /// # Errors
    /// As [`FloatModel::settled_outputs`].
    pub fn outputs(&self, graph: &IntGraph, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, FloatModelError> {
        self.row(graph, 1, inputs)
    }

    /// As [`FloatModel::outputs`], for one input of a graph that takes a `batch` of them.
    ///
    /// # Errors
    /// As [`FloatModel::settled_outputs`].
    pub fn row(
        &self,
        graph: &IntGraph,
        batch: u32,
        inputs: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>, FloatModelError> {
        let info = |id: &TensorId| graph.tensors.get(id.0 as usize);
        let each = |info: &TensorInfo| rows::one(info, batch).len();
        let lengths = graph.outputs.iter().map(|id| info(id).map_or(0, each));
        self.answer(&given(graph, batch, inputs), lengths)
    }

    /// The first output that is no number for these inputs where each node rounds to the file's own type.
    ///
    /// # Errors
    /// As [`FloatModel::outputs`].
    pub(crate) fn overflow(
        &self,
        graph: &FloatGraph,
        inputs: &[Vec<f64>],
    ) -> Result<Option<String>, FloatModelError> {
        let made = self
            .0
            .evaluate_in(Precision::Declared, &self.tensors(&named(graph, inputs))?)?;
        let overflows = |tensor: &Tensor| tensor.to_f64().iter().any(|v| !v.is_finite());
        let mut ports = self.0.outputs().iter().zip(&made);
        Ok(ports
            .find(|(_, tensor)| overflows(tensor))
            .map(|(port, _)| port.name.clone()))
    }

    /// By output, whether the file says that it is of whole numbers, or of yes and no: those have no error, they are the same
    /// or wrong.
    #[must_use]
    pub fn exact(&self) -> Vec<bool> {
        let whole = |port: &Port| !port.element.is_float();
        self.0.outputs().iter().map(whole).collect()
    }

    /// The outputs for flat inputs in the order of the graph that was read from the same file.
    ///
    /// # Errors
    /// As [`FloatModel::outputs`].
    pub fn outputs_of(
        &self,
        graph: &FloatGraph,
        inputs: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>, FloatModelError> {
        let info = |id: &TensorId| graph.tensors.get(id.0 as usize);
        let lengths = graph
            .outputs
            .iter()
            .map(|id| info(id).map_or(0, FloatTensor::len));
        self.answer(&named(graph, inputs), lengths)
    }

    fn answer(
        &self,
        given: &[(&str, Vec<u32>, &Vec<f64>)],
        lengths: impl ExactSizeIterator<Item = usize>,
    ) -> Result<Vec<Vec<f64>>, FloatModelError> {
        let made = self.0.evaluate(&self.tensors(given)?)?;
        if made.len() != lengths.len() {
            let counts = format!("{} instead of {}", made.len(), lengths.len());
            return Err(FloatModelError::Outputs(counts));
        }
        for (port, (expected, tensor)) in self.0.outputs().iter().zip(lengths.zip(&made)) {
            if tensor.len() != expected {
                let (name, got) = (&port.name, tensor.len());
                let lengths = format!("`{name}` has {got} values instead of {expected}");
                return Err(FloatModelError::Outputs(lengths));
            }
        }
        Ok(made.iter().map(Tensor::to_f64).collect())
    }

    /// The file's inputs in its order, from tensors by name.
    fn tensors(&self, given: &[(&str, Vec<u32>, &Vec<f64>)]) -> Result<Vec<Tensor>, FloatModelError> {
        let tensor = |port: &Port| {
            let name = &port.name;
            let (_, shape, values) = given
                .iter()
                .find(|(of, _, _)| of == name)
                .ok_or_else(|| FloatModelError::Missing(name.to_owned()))?;
            let shape = shape.iter().map(|&d| d as usize).collect();
            // Of the file's own type, so that 0.1 is the float that everybody else gives the model.
            let values = match port.element {
                kind if kind.is_float() => Values::Float(values.iter().map(|&v| kind.round(v)).collect()),
                _ if values.iter().any(|v| v.fract() != 0.0) => {
                    return Err(FloatModelError::Fraction(name.to_owned()));
                }
                ElementType::Bool => Values::Bool(values.iter().map(|v| *v != 0.0).collect()),
                _ => Values::Int(values.iter().map(|v| *v as i64).collect()),
            };
            Tensor::new(port.element, shape, values).map_err(|_| FloatModelError::Length(name.to_owned()))
        };
        self.0.inputs().iter().map(tensor).collect()
    }

    /// Rounds a sample to the types of the file's inputs, as everybody else gives it to the model.
    pub(crate) fn round(&self, graph: &FloatGraph, sample: &mut [Vec<f64>]) {
        let names = graph.inputs.iter().map(|id| graph.tensors.get(id.0 as usize));
        for (tensor, values) in names.zip(sample) {
            let port = tensor.and_then(|t| self.0.inputs().iter().find(|port| port.name == t.name));
            if let Some(port) = port {
                values.iter_mut().for_each(|v| *v = port.element.round(*v));
            }
        }
    }

    /// The first node of the graph whose values on one sample are not those that the file's node of that name makes, where
    /// any is found: nodes without a counterpart of the same length are passed over.
    pub(crate) fn first_difference(&self, graph: &FloatGraph, sample: &[Vec<f64>]) -> Option<String> {
        let mut made: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let see = &mut |value: &str, tensor: &Tensor| {
            made.insert(value.to_owned(), tensor.to_f64());
        };
        let inputs = self.tensors(&named(graph, sample)).ok()?;
        self.0.evaluate_seeing(&inputs, see).ok()?;
        let by_node: BTreeMap<&str, &Vec<f64>> = self
            .0
            .nodes()
            .iter()
            .filter_map(|n| Some((n.name.as_str(), made.get(n.outputs.first()?)?)))
            .collect();
        let own = graph.evaluate(sample).ok()?;
        // Of the nodes that share a name, the last makes what the file's node makes.
        let nodes = graph.nodes.iter().enumerate();
        let last: BTreeMap<&str, usize> = nodes.clone().map(|(at, n)| (n.name.as_str(), at)).collect();
        nodes
            .filter(|(at, node)| last.get(node.name.as_str()) == Some(at))
            .find_map(|(_, node)| {
                let theirs = by_node.get(node.name.as_str())?;
                let ours = own.get(node.output.0 as usize)?;
                let differs =
                    ours.len() == theirs.len() && output_error(ours, theirs, f64::MIN_POSITIVE) > DIFFERENT;
                differs.then(|| node.name.clone())
            })
    }
}

/// Twice as many bits change no settled output by more than this share of its greatest value: what an answer may be off
/// unless somebody says otherwise.
const SETTLED: f64 = DEFAULT_MAX_ERROR_MILLIONTHS as f64 / 1e6;

/// A node whose values are off by more than this share of their greatest is where a graph that differs begins to differ.
const DIFFERENT: f64 = 1e-4;

/// Inputs with names and shapes.
type Named<'a> = Vec<(&'a str, Vec<u32>, &'a Vec<f64>)>;

/// The integer graph's, of one input of a batch.
fn given<'a>(graph: &'a IntGraph, batch: u32, inputs: &'a [Vec<f64>]) -> Named<'a> {
    let infos = graph.inputs.iter().map(|id| graph.tensors.get(id.0 as usize));
    beside(
        infos.map(|info| info.map(|i| (i.name.as_str(), rows::one(i, batch).shape))),
        inputs,
    )
}

/// The float graph's.
fn named<'a>(graph: &'a FloatGraph, inputs: &'a [Vec<f64>]) -> Named<'a> {
    let tensors = graph.inputs.iter().map(|id| graph.tensors.get(id.0 as usize));
    beside(
        tensors.map(|tensor| tensor.map(|t| (t.name.as_str(), t.shape.clone()))),
        inputs,
    )
}

fn beside<'a>(ports: impl Iterator<Item = Option<(&'a str, Vec<u32>)>>, inputs: &'a [Vec<f64>]) -> Named<'a> {
    let each = ports.flatten().zip(inputs);
    each.map(|((name, shape), values)| (name, shape, values))
        .collect()
}
