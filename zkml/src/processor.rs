//! Which processors this program was built for: what is chosen when it is compiled decides how fast it proves.

/// [`instruction_set`] of a program that runs on every processor of its architecture.
pub const BASELINE: &str = "baseline";

/// The instruction set that this program was built for.
#[must_use]
pub const fn instruction_set() -> &'static str {
    if cfg!(target_feature = "avx512f") {
        "x86-64-v4"
    } else if cfg!(target_feature = "avx2") {
        "x86-64-v3"
    } else {
        BASELINE
    }
}
