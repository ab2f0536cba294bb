//! A node as the file has it, for messages.
//!
//! Invariant: nothing is evaluated by these names.

/// A node of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, or its first output's where it has none.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// The values that it reads, by name; an input that is left out is empty.
    pub inputs: Vec<String>,
    /// The values that it makes, by name; an output that is left out is empty.
    pub outputs: Vec<String>,
}
