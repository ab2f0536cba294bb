//! What an operator sees of a plan while it is quantised.

use std::collections::BTreeMap;

use zkinfer_crds::Digest;
use zkml::graph::{GraphError, IntRange, QuantisationPlan, TableRef, TensorId, TensorInfo, TensorScale};

use crate::functions::{Function, FunctionError, Rows, Tables};
use crate::hold::Hold;

/// Why a plan does not turn a float graph into an integer graph.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuantiseError {
    /// The plan is for another graph.
    #[error("the plan has {got} {what}, the model has {expected}")]
    PlanLength {
        /// `tensors` or `shifts`.
        what: &'static str,
        /// The model's.
        expected: usize,
        /// The plan's.
        got: usize,
    },
    /// A number of the plan is outside the profile's limits.
    #[error("{place}: {what} is {got}, the profile allows {min} to {max}")]
    Limit {
        /// The tensor or node.
        place: String,
        /// Which number.
        what: &'static str,
        /// Its value.
        got: i64,
        /// Least accepted value.
        min: i64,
        /// Greatest accepted value.
        max: i64,
    },
    /// The output of a node that is not linear has another scale than its input.
    #[error("tensor `{tensor}` must have the scale of the tensor that it is taken from")]
    NotInherited {
        /// The tensor.
        tensor: String,
    },
    /// A node that is not linear has a shift.
    #[error("node `{node}` is not linear: its shift must be 0")]
    ShiftOfNonLinear {
        /// The node.
        node: String,
    },
    /// A coefficient is not finite, or beyond ±2^31 (a bias: ±2^62) at the plan's scale.
    #[error("node `{node}`: coefficient {value} is too large at the plan's scale")]
    Coefficient {
        /// The node.
        node: String,
        /// The scaled coefficient before rounding.
        value: f64,
    },
    /// The plan's exponents leave too little of a node's weights.
    #[error("node `{node}`: weights lose more than 2^-{resolution} of their sum by rounding")]
    Resolution {
        /// The node.
        node: String,
        /// The profile's floor.
        resolution: u8,
    },
    /// The plan's exponents and shift of a product are not one scale.
    #[error(
        "node `{node}`: a product of scale 2^{accumulator} cannot have the scale 2^{exponent} by a shift of {shift}"
    )]
    ProductScale {
        /// The node.
        node: String,
        /// The factors' exponents, added.
        accumulator: i32,
        /// The output's exponent.
        exponent: i16,
        /// The node's shift.
        shift: u8,
    },
    /// The plan holds whole numbers otherwise than the model says.
    #[error(
        "tensor `{tensor}` is of whole numbers, and the plan gives it another scale or range than they have"
    )]
    Whole {
        /// The tensor.
        tensor: String,
    },
    /// The plan's numbers are not those of a comparison.
    #[error("node `{node}`: the plan gives a comparison another scale or shift than it has")]
    Step {
        /// The node.
        node: String,
    },
    /// The plan's numbers are not those of a whole part, or the tensor's steps so fine that no shift drops them.
    #[error("node `{node}`: the plan gives a cast to whole numbers another scale or shift than it has")]
    Floor {
        /// The node.
        node: String,
    },
    /// A function's argument has steps that are too large for it.
    #[error(
        "node `{node}`: its argument would have steps of 2^{}, and with more than 2^-{least} its values say little of the \
         model's: are the inputs larger than they should be?",
        -exponent
    )]
    Coarse {
        /// The node.
        node: String,
        /// The argument's exponent.
        exponent: i16,
        /// The least that is accepted.
        least: i16,
    },
    /// A function has no table for the plan's integers.
    #[error("node `{node}`: {source}")]
    Function {
        /// The node.
        node: String,
        /// Why not.
        source: FunctionError,
    },
    /// A function's values are too small for a table.
    #[error(
        "node `{node}`: the function's values are so small that its table, whose finest step is 2^-{finest}, holds fewer than \
         {resolution} bits of them; scale the model's values there"
    )]
    Small {
        /// The node.
        node: String,
        /// The greatest exponent of a table's values.
        finest: i16,
        /// The profile's floor.
        resolution: u8,
    },
    /// Rows of a table end at a clamp, and nothing behind it refuses them.
    #[error("node `{node}`: the function leaves the range that the plan gives its values")]
    Clamped {
        /// The node.
        node: String,
    },
    /// The integer graph breaks an invariant, e.g. an accumulator could reach 2^62.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// A node and its place in the plan.
pub(crate) struct Place<'a> {
    /// The node.
    pub name: &'a str,
    /// Tensors read.
    pub inputs: &'a [TensorId],
    /// The tensor made.
    pub output: TensorId,
    /// Of the plan.
    pub shift: u8,
    /// Scales of all tensors.
    pub plan: &'a QuantisationPlan,
    /// All tensors, with the ranges that the nodes before this one give theirs.
    pub tensors: &'a [TensorInfo],
    /// Whether whatever reads the output has fewer bits at the same scale, and so refuses what needs the highest one.
    pub refused: &'a dyn Fn() -> Result<bool, QuantiseError>,
    /// What the output has room for.
    pub hold: Hold,
    /// Where the clamp ends, in steps, if the output is what is beyond it.
    pub end: &'a dyn Fn() -> Result<Option<i64>, QuantiseError>,
}

impl Place<'_> {
    /// The node's name, for an error.
    pub(super) fn node(&self) -> String {
        self.name.to_owned()
    }

    /// The first tensor read.
    pub(super) fn first_input(&self) -> Result<TensorId, QuantiseError> {
        let absent = QuantiseError::Graph(GraphError::UnknownTensor(self.output));
        self.inputs.first().copied().ok_or(absent)
    }

    /// The plan's scale of a tensor.
    pub(super) fn scale(&self, id: TensorId) -> Result<TensorScale, QuantiseError> {
        scale_of(self.plan, id)
    }

    /// A tensor as it will stand in the integer graph.
    pub(super) fn info(&self, id: TensorId) -> Result<&TensorInfo, QuantiseError> {
        let info = self.tensors.get(id.0 as usize);
        info.ok_or(QuantiseError::Graph(GraphError::UnknownTensor(id)))
    }

    /// Only a linear node has a shift.
    pub(super) fn no_shift(&self) -> Result<(), QuantiseError> {
        match self.shift {
            0 => Ok(()),
            _ => Err(QuantiseError::ShiftOfNonLinear { node: self.node() }),
        }
    }

    /// The range of what takes its values from the first tensor read.
    pub(super) fn inherited(&self) -> Result<IntRange, QuantiseError> {
        self.no_shift()?;
        let input = self.first_input()?;
        if self.scale(input)? != self.scale(self.output)? {
            let tensor = self.info(self.output)?.name.clone();
            return Err(QuantiseError::NotInherited { tensor });
        }
        Ok(self.info(input)?.range)
    }
}

/// The plan's scale of a tensor.
pub(crate) fn scale_of(plan: &QuantisationPlan, id: TensorId) -> Result<TensorScale, QuantiseError> {
    let scale = plan.tensors.get(id.0 as usize).copied();
    scale.ok_or(QuantiseError::Graph(GraphError::UnknownTensor(id)))
}

/// The tables of the graph that is made: each once, in the order of the first nodes that read them.
#[derive(Default)]
pub(crate) struct TableList {
    tables: Vec<TableRef>,
    places: BTreeMap<Digest, u32>,
    made: Tables,
}

impl TableList {
    /// A function's rows.
    pub(super) fn rows(
        &mut self,
        function: &Function,
        index: &TensorInfo,
        output: TensorScale,
    ) -> Result<Rows, FunctionError> {
        let scale = (output.exponent, output.bits);
        self.made.rows(function, index.range, index.exponent, scale)
    }

    /// The place of a table.
    pub(super) fn place(&mut self, table: TableRef) -> u32 {
        *self.places.entry(table.digest()).or_insert_with(|| {
            self.tables.push(table);
            self.tables.len() as u32 - 1
        })
    }

    /// All of them.
    pub(crate) fn into_tables(self) -> Vec<TableRef> {
        self.tables
    }
}
