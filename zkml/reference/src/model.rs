//! The model: read from ONNX bytes, evaluated on tensors.

use crate::{
    ElementType, EvaluateError, Node, ReadError, Tensor, evaluate::evaluate, limits::MAX_WORK, ops::Body,
    read,
};

/// A dimension of an input as the file states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// A number.
    Fixed(usize),
    /// A name, or nothing: any size.
    Free(String),
}

/// An input or output of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// Its element type.
    pub element: ElementType,
    /// Its dimensions, outermost first; `None` where the file states none.
    pub shape: Option<Vec<Dimension>>,
}

/// How the floats that nodes make are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// In 64 bits, whatever their type: what the model means.
    Double,
    /// Rounded to their type by the node that makes them: what implementations come to, each with roundings of its own
    /// inside a node.
    Declared,
}

/// A model as it stands in its file. Values are numbered; a name is only for messages.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    /// How many values there are: inputs, constants and what nodes make, those within nodes included.
    pub(crate) values: usize,
    /// Value of each input.
    pub(crate) input_values: Vec<usize>,
    pub(crate) body: Body,
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// See [`ReadError`]; never a panic.
    pub fn read(onnx: &[u8]) -> Result<Self, ReadError> {
        read::model(onnx)
    }

    /// Whether a file has few enough records to be decoded, and names that can be shown: what every reader of it asks first.
    ///
    /// # Errors
    /// [`ReadError::Malformed`].
    pub fn admit(onnx: &[u8]) -> Result<(), ReadError> {
        crate::proto::admit(onnx).map_err(ReadError::Malformed)
    }

    /// The inputs that a caller gives, in the file's order: those that are no initializers.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The outputs, in the file's order.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The nodes, one to one with the file's and in its order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.body.nodes
    }

    /// The outputs for these inputs, in the file's order.
    ///
    /// # Errors
    /// See [`EvaluateError`]; never a panic.
    pub fn evaluate(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EvaluateError> {
        self.evaluate_seeing(inputs, &mut |_, _| ())
    }

    /// [`Model::evaluate`], showing every value that a node of [`Model::nodes`] makes by its name.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_seeing(
        &self,
        inputs: &[Tensor],
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Vec<Tensor>, EvaluateError> {
        evaluate(self, inputs, MAX_WORK, Precision::Double, see)
    }

    /// [`Model::evaluate`] in another precision.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_in(&self, precision: Precision, inputs: &[Tensor]) -> Result<Vec<Tensor>, EvaluateError> {
        evaluate(self, inputs, MAX_WORK, precision, &mut |_, _| ())
    }

    /// [`Model::evaluate_seeing`] with at most `work` multiply-adds, every value that is made counted as eight: an answer
    /// soon, or none.
    ///
    /// # Errors
    /// As [`Model::evaluate`]; [`EvaluateError::Work`].
    pub fn evaluate_within(
        &self,
        work: u64,
        inputs: &[Tensor],
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Vec<Tensor>, EvaluateError> {
        evaluate(self, inputs, work.min(MAX_WORK), Precision::Double, see)
    }
}
