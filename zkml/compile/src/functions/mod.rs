//! Functions of one value: each is one file here, and one line in the list below.
//!
//! Invariant: a function's rows are made by integer arithmetic alone (`fixed.rs`), so that two machines make the same bytes; a
//! rule's name has its version, and golden digests pin what it makes. Floats of the same function serve calibration and
//! nothing else. What the importer knows of these operators, it knows from here.

mod fixed;
mod inverse_power;
mod modulo;
mod power;
mod table;

#[cfg(test)]
mod tests;

use tract_onnx::pb::NodeProto;
use tract_onnx::pb::attribute_proto::AttributeType;

use self::fixed::{Argument, Value};
pub(crate) use self::table::{EXPONENTS_OUT, Tables};
pub use self::table::{FunctionError, MAX_BITS, Rows};

/// Declares the files and lists their operators.
macro_rules! functions {
    ($($file:ident),* $(,)?) => {
        $(mod $file;)*
        /// Every operator that is a function of one value, by name.
        const OPERATORS: &[Operator] = &[$($file::OPERATOR),*];
    };
}

functions! {
    abs,
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    ceil,
    celu,
    cos,
    cosh,
    elu,
    erf,
    exp,
    floor,
    gelu,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    log,
    mish,
    reciprocal,
    round,
    selu,
    shrink,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    softsign,
    sqrt,
    swish,
    tan,
    tanh,
    thresholded_relu,
}

/// The least exponent of a weight's argument.
pub(crate) const COARSEST: i16 = 4;

/// An operator of ONNX.
#[derive(Debug)]
pub(crate) struct Operator {
    /// Its name in ONNX.
    pub onnx: &'static str,
    /// The function of a node, from its attributes; or why there is none.
    read: fn(&Attributes<'_>) -> Result<Function, String>,
}

/// How a function's values are made, for any parameters.
#[derive(Debug)]
struct Rule {
    /// With the version of its integer arithmetic.
    name: &'static str,
    /// On floats.
    float: fn(f64, &[f32]) -> f64,
    /// On integers.
    exact: fn(Argument, &[f32]) -> Value,
    /// Whether its greatest value over a whole range says nothing of those that occur: it grows fast, or has no value somewhere.
    /// Then rows end at a clamp, and the requantisation behind them refuses those rows.
    grows: bool,
}

/// A function of one value.
#[derive(Debug, Clone)]
pub struct Function {
    rule: &'static Rule,
    parameters: Vec<f32>,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        let bits = |f: &Self| f.parameters.iter().map(|p| p.to_bits()).collect::<Vec<_>>();
        self.rule.name == other.rule.name && bits(self) == bits(other)
    }
}

impl Eq for Function {}

impl Function {
    fn new(rule: &'static Rule, parameters: &[f32]) -> Self {
        Self {
            rule,
            parameters: parameters.to_vec(),
        }
    }

    /// `x · sigmoid(alpha · x)`.
    pub(crate) fn swish(alpha: f32) -> Self {
        Self::new(&swish::SWISH, &[alpha])
    }

    /// `x · (1 + erf(x/√2)) / 2`.
    pub(crate) fn gelu() -> Self {
        Self::new(&gelu::EXACT, &[])
    }

    /// The hyperbolic tangent.
    pub(crate) fn tanh() -> Self {
        Self::new(&tanh::TANH, &[])
    }

    /// `1 / x`.
    pub(crate) fn reciprocal() -> Self {
        Self::new(&reciprocal::RECIPROCAL, &[])
    }

    /// `1 / (1 + e^-x)`.
    pub(crate) fn sigmoid() -> Self {
        Self::new(&sigmoid::SIGMOID, &[])
    }

    /// `|x|`.
    pub(crate) fn abs() -> Self {
        Self::new(&abs::ABS, &[])
    }

    /// `√x`.
    pub(crate) fn sqrt() -> Self {
        Self::new(&sqrt::SQRT, &[])
    }

    /// `e^x`.
    pub(crate) fn exp() -> Self {
        Self::new(&exp::EXP, &[])
    }

    /// The natural logarithm.
    pub(crate) fn log() -> Self {
        Self::new(&log::LOG, &[])
    }

    /// `e^x` of an `x` that is not above 0; 0 of all others.
    pub(crate) fn exp_of_negatives() -> Self {
        Self::new(&exp::OF_NEGATIVES, &[])
    }

    /// `e^(x − end)` of an `x` from 0 to `end`, which is 2^20 at most; 0 at 0.
    pub(crate) fn exp_from(end: u32) -> Self {
        Self::new(&exp::FROM, &[end as f32])
    }

    /// From which number on, to both sides, it stays within 2^-18 of what it is at infinity, where it is a gate of a network.
    pub(crate) fn flat_from(&self) -> Option<u32> {
        if self.is_sigmoid() {
            // e^-15 is below 2^-21, 2·e^-14 below 2^-19.
            Some(15)
        } else {
            (*self == Self::tanh()).then_some(7)
        }
    }

    /// The logarithm of an `x` that is 1 at least; 0 below.
    pub(crate) fn log_from_one() -> Self {
        Self::new(&log::FROM_ONE, &[])
    }

    /// `1 / x` of an `x` that is 1 at least; 1 below.
    pub(crate) fn reciprocal_from_one() -> Self {
        Self::new(&reciprocal::FROM_ONE, &[])
    }

    /// Whether it is the logistic function.
    pub(crate) fn is_sigmoid(&self) -> bool {
        *self == Self::new(&sigmoid::SIGMOID, &[])
    }

    /// Whether it is the error function.
    pub(crate) fn is_erf(&self) -> bool {
        *self == Self::new(&erf::ERF, &[])
    }

    /// The least exponent of its argument, where coarser steps would leave nothing of what the model makes of it: with steps of more
    /// than 2^-4 a weight `e^d` is off by a thirtieth and more, which samples of one great logit each do not show.
    pub(crate) fn least_exponent(&self) -> Option<i16> {
        let weighs = [exp::OF_NEGATIVES.name, exp::FROM.name].contains(&self.rule.name);
        weighs.then_some(COARSEST)
    }

    /// Whether rows may end at a clamp, which the node behind it refuses.
    pub(crate) fn grows(&self) -> bool {
        self.rule.grows
    }

    /// Its value in floats.
    #[must_use]
    pub fn of(&self, x: f64) -> f64 {
        (self.rule.float)(x, &self.parameters)
    }

    /// With version and parameters: `leaky_relu/1(0.01)`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.parameters.is_empty() {
            return self.rule.name.to_owned();
        }
        let parameters: Vec<_> = self.parameters.iter().map(f32::to_string).collect();
        format!("{}({})", self.rule.name, parameters.join(", "))
    }
}

/// Every operator that is a function of one value, by name.
pub(crate) fn operators() -> &'static [Operator] {
    OPERATORS
}

/// The function of a node, where its operator is one of these.
pub(crate) fn read(node: &NodeProto) -> Option<Result<Function, String>> {
    let operator = OPERATORS.iter().find(|o| o.onnx == node.op_type)?;
    Some((operator.read)(&Attributes(node)))
}

/// The function of an operator without attributes.
pub(crate) fn named(operator: &str) -> Option<Function> {
    let node = NodeProto {
        op_type: operator.to_owned(),
        ..NodeProto::default()
    };
    read(&node)?.ok()
}

/// The function of an operator with these attributes.
///
/// # Errors
/// A number that it does not take, or no such operator.
pub(crate) fn with_numbers(operator: &str, numbers: &[(&str, f32)]) -> Result<Function, String> {
    let attribute = |(name, f): &(&str, f32)| tract_onnx::pb::AttributeProto {
        name: (*name).to_owned(),
        r#type: AttributeType::Float as i32,
        f: *f,
        ..Default::default()
    };
    let node = NodeProto {
        op_type: operator.to_owned(),
        attribute: numbers.iter().map(attribute).collect(),
        ..NodeProto::default()
    };
    read(&node).unwrap_or_else(|| Err(format!("`{operator}` is no function of one value")))
}

/// A node's attributes.
struct Attributes<'a>(&'a NodeProto);

impl Attributes<'_> {
    fn find(
        &self,
        name: &str,
        kind: AttributeType,
    ) -> Result<Option<&tract_onnx::pb::AttributeProto>, String> {
        let mut named = self.0.attribute.iter().filter(|a| a.name == name);
        let (found, again) = (named.next(), named.next());
        if again.is_some() {
            return Err(format!("its attribute `{name}` is given twice"));
        }
        match found {
            Some(found) if !found.ref_attr_name.is_empty() => Err(format!(
                "its attribute `{name}` refers to one of a function, and there is none around it"
            )),
            Some(found) if found.r#type != kind as i32 => Err(format!(
                "its attribute `{name}` is of another type than ONNX says"
            )),
            found => Ok(found),
        }
    }

    /// A float.
    fn number(&self, name: &str, default: f32) -> Result<f32, String> {
        let value = self.find(name, AttributeType::Float)?.map_or(default, |a| a.f);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(format!("its attribute `{name}` is not finite"))
        }
    }

    /// A text.
    fn text(&self, name: &str, default: &str) -> Result<String, String> {
        let found = self.find(name, AttributeType::String)?;
        Ok(found.map_or(default.to_owned(), |a| String::from_utf8_lossy(&a.s).into_owned()))
    }
}
