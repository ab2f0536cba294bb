//! Tensors of the reference: floats of every width as f64, integers of every width as i64, booleans.
//!
//! Invariant: there are as many values as the shape says.

use std::sync::Arc;

use prost::Message;

use crate::{ReadError, Step, constant, proto::TensorProto};

/// ONNX's element types that the reference knows. Floats are held in f64 whatever their width, as what they would be
/// without rounding; a constant has the width that the file says, and integer arithmetic wraps at the width, as the
/// specification's implementations do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // their names say all
pub enum ElementType {
    Float16,
    BFloat16,
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Bool,
}

/// The values of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Of any float type.
    Float(Vec<f64>),
    /// Of any integer type; unsigned 64-bit values by their bits.
    Int(Vec<i64>),
    /// Of type bool.
    Bool(Vec<bool>),
}

/// A tensor of known shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    element: ElementType,
    shape: Vec<usize>,
    values: Values,
}

/// Why values are no tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The shape asks for another number of values.
    #[error("{got} values do not have the shape {shape:?}")]
    Length {
        /// The shape.
        shape: Vec<usize>,
        /// The number of values.
        got: usize,
    },
    /// Values of another kind than the element type.
    #[error("the values are not of type {0:?}")]
    Kind(ElementType),
}

impl Values {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Float(v) => v.len(),
            Self::Int(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ElementType {
    /// Whether values of this type are [`Values::Float`].
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(
            self,
            Self::Float16 | Self::BFloat16 | Self::Float32 | Self::Float64
        )
    }
}

impl Tensor {
    /// A tensor from its parts.
    ///
    /// # Errors
    /// A shape of another length, or values of another kind than the element type.
    pub fn new(element: ElementType, shape: Vec<usize>, values: Values) -> Result<Self, TensorError> {
        if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(values.len()) {
            let got = values.len();
            return Err(TensorError::Length { shape, got });
        }
        let fits = match &values {
            Values::Float(_) => element.is_float(),
            Values::Bool(_) => element == ElementType::Bool,
            Values::Int(_) => !element.is_float() && element != ElementType::Bool,
        };
        if fits {
            Ok(Self {
                element,
                shape,
                values,
            })
        } else {
            Err(TensorError::Kind(element))
        }
    }

    /// A tensor of 32-bit floats.
    ///
    /// # Errors
    /// A shape of another length.
    pub fn float(shape: Vec<usize>, values: Vec<f64>) -> Result<Self, TensorError> {
        Self::new(ElementType::Float32, shape, Values::Float(values))
    }

    /// The same with every float rounded to the element type.
    #[must_use]
    pub(crate) fn rounded(mut self) -> Self {
        if let Values::Float(values) = &mut self.values {
            values.iter_mut().for_each(|v| *v = self.element.round(*v));
        }
        self
    }

    /// Its element type.
    #[must_use]
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Dimensions, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its values.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Every value as a number: booleans are 0 and 1.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.values {
            Values::Float(v) => v.clone(),
            Values::Int(v) => v.iter().map(|&i| self.element.number(i) as f64).collect(),
            Values::Bool(v) => v.iter().map(|&b| f64::from(u8::from(b))).collect(),
        }
    }

    /// A tensor as the file format stores one (`TensorProto`).
    ///
    /// # Errors
    /// Bytes that are no tensor of a known element type, in a sentence.
    pub fn from_onnx(bytes: &[u8]) -> Result<Self, ReadError> {
        let proto = TensorProto::decode(bytes).map_err(|e| ReadError::Malformed(e.to_string()))?;
        let tensor = constant::read(&proto).map_err(ReadError::Unsupported)?;
        Ok(Arc::unwrap_or_clone(tensor))
    }

    /// [`Tensor::new`] for operators.
    pub(crate) fn make(element: ElementType, shape: Vec<usize>, values: Values) -> Step<Self> {
        Self::new(element, shape, values).map_err(|e| e.to_string())
    }

    /// 64-bit integers.
    pub(crate) fn int64(shape: Vec<usize>, values: Vec<i64>) -> Step<Self> {
        Self::make(ElementType::Int64, shape, Values::Int(values))
    }

    /// Booleans.
    pub(crate) fn bool(shape: Vec<usize>, values: Vec<bool>) -> Step<Self> {
        Self::make(ElementType::Bool, shape, Values::Bool(values))
    }

    /// The same values in another shape.
    pub(crate) fn with_shape(&self, shape: Vec<usize>) -> Step<Self> {
        Self::make(self.element, shape, self.values.clone())
    }

    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }

    pub(crate) fn floats(&self) -> Step<&[f64]> {
        match &self.values {
            Values::Float(v) => Ok(v),
            _ => Err(format!("a float tensor is wanted, not {}", self.element)),
        }
    }

    pub(crate) fn ints(&self) -> Step<&[i64]> {
        match &self.values {
            Values::Int(v) => Ok(v),
            _ => Err(format!("an integer tensor is wanted, not {}", self.element)),
        }
    }

    pub(crate) fn bools(&self) -> Step<&[bool]> {
        match &self.values {
            Values::Bool(v) => Ok(v),
            _ => Err(format!("a boolean tensor is wanted, not {}", self.element)),
        }
    }

    /// The one integer of a tensor with one value.
    pub(crate) fn one_int(&self) -> Step<i64> {
        match self.ints()? {
            [value] => Ok(*value),
            values => Err(format!("one integer is wanted, not {}", values.len())),
        }
    }

    /// The one value of a tensor, as a number.
    pub(crate) fn one_number(&self) -> Step<f64> {
        match self.len() {
            1 => Ok(self.number(0)),
            len => Err(format!("one number is wanted, not {len}")),
        }
    }

    /// The value at a place as a number; 0 beyond the end.
    pub(crate) fn number(&self, at: usize) -> f64 {
        match &self.values {
            Values::Float(v) => v.get(at).copied().unwrap_or(0.0),
            Values::Int(v) => v.get(at).map_or(0.0, |&i| self.element.number(i) as f64),
            Values::Bool(v) => v.get(at).map_or(0.0, |&b| f64::from(u8::from(b))),
        }
    }
}
