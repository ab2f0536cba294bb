//! What the best tenth of the network takes.
//!
//! Invariant: a tenth of the work, not of the miners or of the proofs: neither who did it under how many names, nor into how
//! many slices it was cut, moves the reference. Where there are enough benchmarks it is theirs alone: those the operator makes, and
//! whoever has a client of its own makes none, so that its own requests move nothing.

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

/// What a reference is taken of: benchmarks alone, where there are so many of them, and all otherwise.
pub(super) fn of_benchmarks<T>(all: Vec<(bool, T)>, enough: usize) -> Vec<T> {
    let benchmarks = all.iter().filter(|(benchmark, _)| *benchmark).count();
    let alone = benchmarks >= enough;
    let taken = all.into_iter().filter(|(benchmark, _)| *benchmark || !alone);
    taken.map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_of_benchmarks_where_there_are_enough_and_of_all_where_there_are_not() {
        let all = || vec![(true, 1), (false, 2), (true, 3)];
        assert_eq!(of_benchmarks(all(), 2), [1, 3]);
        assert_eq!(of_benchmarks(all(), 3), [1, 2, 3]);
        assert!(of_benchmarks(Vec::<(bool, u8)>::new(), 1).is_empty());
    }

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
