//! How far a compiled model is from its floats.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::words::Profile;

/// How far the integer graph is from the float model, over the calibration inputs.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Accuracy {
    /// The profile that was used.
    pub profile: Profile,
    /// How many inputs were compared.
    pub samples: u32,
    /// The inputs were made up, because no calibration data was given.
    #[serde(default)]
    pub synthetic: bool,
    /// The largest error of any output.
    pub max_abs_error_millionths: u64,
    /// The mean error over all outputs.
    pub mean_abs_error_millionths: u64,
    /// By output, the natural magnitude that errors are measured with: the spec's, or the greatest of the float model's
    /// outputs over the calibration inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_scale: Vec<f64>,
    /// How often both models agree on the largest output; absent where there is nothing to rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1_agreement_millionths: Option<u32>,
    /// The least distance of the float model's largest output from the next, in the measure of errors: no error below half of it
    /// changes the class. Absent where there is nothing to rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_margin_millionths: Option<u64>,
    /// The outputs' power over that of their errors, in hundredths of a decibel; absent where there is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqnr_millibels: Option<i64>,
    /// Values of all tensors that stood at the end of their range, beyond which an input is refused.
    #[serde(default)]
    pub saturations: u64,
    /// How many tensors have more bits than the profile gives them, because the budget asked for it.
    #[serde(default)]
    pub widened: u32,
    /// The nodes whose tensors were furthest off, in the order in which they are computed; at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst_nodes: Vec<NodeAccuracy>,
}

/// A node's tensor against the float model's, over some of the calibration inputs.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeAccuracy {
    /// The node's name in the integer graph.
    pub node: String,
    /// Bits of its integers.
    pub bits: u8,
    /// The largest error, as a share of the tensor's greatest value.
    pub max_error_millionths: u64,
    /// The tensor's power over that of its errors, in hundredths of a decibel; absent where there is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqnr_millibels: Option<i64>,
}
