//! Partitions a sequence into consecutive ranges by dynamic programming.

use std::ops::Range;

use zkml::backend::SliceCount;

/// Most parts that are tried where fewer were asked for and fewer will do.
const MOST_PARTS: usize = 256;

/// Splits `0..count` into at least `parts` ranges (fewer only if there are fewer feasible ones), each of at most `longest`
/// items: as many as `rule` says, then the least greatest cost, then the least total cost. `cost` is `None` for ranges that
/// may not be.
pub(super) fn partition(
    count: usize,
    parts: usize,
    longest: usize,
    rule: SliceCount,
    cost: impl Fn(&Range<usize>) -> Option<u64>,
) -> Option<Vec<Range<usize>>> {
    // More parts than these are no cheaper, and the search takes parts × items × the longest part.
    let most = count.min(parts.max(MOST_PARTS).max(4 * count.div_ceil(longest.max(1))));
    // best[p][end]: (greatest, total, start of the last range) over partitions of 0..end into p ranges.
    let mut best: Vec<Vec<Option<(u64, u64, usize)>>> = vec![vec![None; count + 1]; most + 1];
    best[0][0] = Some((0, 0, 0));
    for p in 1..=most {
        for end in p..=count {
            for start in end.saturating_sub(longest).max(p - 1)..end {
                let (Some((greatest, total, _)), Some(c)) = (best[p - 1][start], cost(&(start..end))) else {
                    continue;
                };
                let candidate = (greatest.max(c), total + c, start);
                if best[p][end].is_none_or(|b| (candidate.0, candidate.1) < (b.0, b.1)) {
                    best[p][end] = Some(candidate);
                }
            }
        }
    }
    let total = |p: usize| best[p][count].map(|(_, total, _)| total);
    let mut enough = (parts.min(count)..=most).filter(|p| total(*p).is_some());
    let parts = match rule {
        SliceCount::Fewest => enough.next(),
        SliceCount::Cheapest => enough.min_by_key(|p| (total(*p), *p)),
    }
    .or_else(|| (1..parts.min(count)).rev().find(|p| total(*p).is_some()))?;
    let (mut ranges, mut end) = (Vec::new(), count);
    for p in (1..=parts).rev() {
        let (_, _, start) = best[p][end]?;
        ranges.push(start..end);
        end = start;
    }
    ranges.reverse();
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: [u64; 6] = [5, 1, 1, 1, 5, 3];

    fn sum(range: &Range<usize>) -> Option<u64> {
        Some(WORK[range.clone()].iter().sum())
    }

    fn split(parts: usize, cost: impl Fn(&Range<usize>) -> Option<u64>) -> Option<Vec<Range<usize>>> {
        partition(6, parts, 6, SliceCount::Fewest, cost)
    }

    #[test]
    fn the_heaviest_part_is_as_light_as_it_can_be() {
        let heaviest = split(3, sum).map(|r| r.iter().filter_map(sum).max());
        assert_eq!(heaviest, Some(Some(7)));
    }

    #[test]
    fn there_are_as_many_parts_as_asked_for_where_possible() {
        assert_eq!(split(1, sum).map(|r| r.len()), Some(1));
        assert_eq!(split(9, sum).map(|r| r.len()), Some(6));
        // No part may end after item 0: at most five parts.
        let glued = |r: &Range<usize>| if r.end == 1 { None } else { sum(r) };
        assert_eq!(split(6, glued).map(|r| r.len()), Some(5));
        // A limit needs more parts than asked for.
        assert_eq!(split(1, |r| sum(r).filter(|c| *c <= 6)).map(|r| r.len()), Some(4));
        assert_eq!(split(1, |_| None), None);
        // So does a length.
        assert_eq!(
            partition(6, 1, 2, SliceCount::Fewest, sum).map(|r| r.len()),
            Some(3)
        );
    }

    #[test]
    fn the_cheapest_number_of_parts_fills_powers_of_two_and_is_at_least_what_was_asked_for() {
        let padded = |floor: u64| move |r: &Range<usize>| sum(r).map(|c| floor + c.next_power_of_two());
        let cheapest =
            |parts, floor| partition(6, parts, 6, SliceCount::Cheapest, padded(floor)).map(|r| r.len());
        // 16 in one part; 8 + 8 in two, each with a floor.
        assert_eq!(cheapest(1, 0), Some(1));
        assert_eq!(cheapest(1, 9), Some(1));
        assert_eq!(cheapest(4, 9), Some(4));
        // 17 would be 32; 13 and 4 are 16 + 4, and three parts are no cheaper.
        let more = |r: &Range<usize>| sum(r).map(|c| (c + u64::from(r.end == 6)).next_power_of_two());
        assert_eq!(
            partition(6, 1, 6, SliceCount::Cheapest, more).map(|r| r.len()),
            Some(2)
        );
    }
}
