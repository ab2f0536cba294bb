//! A network in virtual time: the operator's own queue and scoring rules, with machines and clients that are made up.
//!
//! It says what each rule makes of honest work and of attacks, whether a miner starves, and whether anything grows without
//! bound; docs/scoring.md has its figures.
//!
//! Invariants: what decides is what runs in the product ([`zkinfer_operator::dispatch::Queue`],
//! [`zkinfer_operator::scoring::Totals`], [`zkinfer_scoring::Scores`]); the same seed gives the same numbers. What is made up is
//! named: machines (`machine`), models and demand (`load`), and the benchmarks that fill idle time (`world`).

mod event;
mod load;
mod machine;
mod measure;
mod outcome;
mod picture;
mod random;
mod settings;
mod stated;
mod svg;
mod world;
mod yuma;

pub use machine::{Kind, Machine, network};
pub use measure::{Hour, gini, resident};
pub use outcome::{Outcome, simulate};
pub use picture::pictures;
pub use settings::Settings;
pub use yuma::Yuma;
