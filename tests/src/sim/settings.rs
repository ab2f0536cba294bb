//! What is simulated.

use zkinfer_scoring::Rule;

/// Settings of a simulation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Virtual hours.
    pub hours: f64,
    /// The word that everything random comes of.
    pub seed: String,
    /// Predicted seconds of a slice, in the mean.
    pub slice: f64,
    /// Which part of what the machines can do clients ask for, in the mean of a day.
    pub organic: f64,
    /// Whether benchmarks are made while a worker waits and nothing is there for it.
    pub benchmarks: bool,
    /// How long honest machines stay, in the mean; zero: for ever.
    pub hours_between_absences: f64,
    /// The rule by which the operator scores.
    pub rule: Rule,
}

impl Settings {
    /// Of so many hours. Slices are as long as makes a miner's day of a few hundred proofs.
    #[must_use]
    pub fn new(hours: f64, seed: &str) -> Self {
        Self {
            hours,
            seed: seed.to_owned(),
            slice: (hours * 10.0).clamp(10.0, 300.0),
            organic: 0.4,
            benchmarks: true,
            hours_between_absences: 12.0,
            rule: Rule::default(),
        }
    }
}
