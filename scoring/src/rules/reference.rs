//! What the best tenth of the network takes.
//!
//! Invariant: a tenth of the work, not of the miners or of the proofs: neither who did it under how many names, nor into how
//! many slices it was cut, moves the reference.

/// The least value such that a tenth of all weight has it or less. `None` of nothing.
pub(super) fn best_tenth(mut of: Vec<(u128, u64)>) -> Option<u128> {
    of.sort_unstable();
    let all: u128 = of.iter().map(|(_, weight)| u128::from(*weight)).sum();
    let mut below = 0u128;
    for (value, weight) in &of {
        below += u128::from(*weight);
        if below * 10 >= all {
            return Some(*value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_tenth_is_of_the_weight() {
        assert_eq!(best_tenth(vec![]), None);
        assert_eq!(best_tenth(vec![(7, 1)]), Some(7));
        let ten = (1..=10).map(|v| (v, 5)).collect();
        assert_eq!(best_tenth(ten), Some(1));
        assert_eq!(best_tenth(vec![(1, 9), (2, 91)]), Some(2));
        let split = (0..9).map(|_| (1, 1)).chain([(2, 91)]).collect();
        assert_eq!(best_tenth(split), Some(2));
        assert_eq!(best_tenth(vec![(3, 0)]), Some(3));
        assert_eq!(best_tenth(vec![(3, u64::MAX), (4, u64::MAX)]), Some(3));
    }
}
