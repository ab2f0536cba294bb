//! Nothing: this crate is its list of dependencies, which `scripts/features.py` makes.
