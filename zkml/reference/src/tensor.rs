//! Tensors of the reference: floats of every width as f64, integers of every width as i64, booleans.
//!
//! Invariant: there are as many values as the shape says.

/// ONNX's element types that the reference knows. Floats are held in f64 whatever their width; a cast to a narrower
/// type rounds to it, and integer arithmetic wraps at the width, as the specification's implementations do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
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
            Values::Int(v) => v.iter().map(|&i| i as f64).collect(),
            Values::Bool(v) => v.iter().map(|&b| f64::from(u8::from(b))).collect(),
        }
    }
}
