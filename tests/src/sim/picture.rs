//! An outcome as plots, each with the name of its file.

use zkinfer_scoring::RuleName;

use super::machine::Kind;
use super::outcome::Outcome;
use super::svg::Plot;

const COLOURS: [&str; 3] = ["#1f77b4", "#ff7f0e", "#2ca02c"];
const ATTACKER: &str = "#d62728";

/// All of them.
#[must_use]
pub fn pictures(outcome: &Outcome) -> Vec<(&'static str, String)> {
    vec![
        ("scoring-shares.svg", shares(outcome)),
        ("scoring-attacks.svg", attacks(outcome)),
        ("scoring-hours.svg", hours(outcome)),
        ("scoring-sizes.svg", sizes(outcome)),
    ]
}

fn shares(outcome: &Outcome) -> String {
    // Ten thousandths of everything.
    let of = |part: f64| part * 1e4;
    let machines = || {
        outcome
            .machines
            .iter()
            .map(|(kind, capacity, share)| (kind, of(*capacity), of(*share)))
    };
    let most = machines().fold((0.0f64, 0.0f64), |most, (_, x, y)| (most.0.max(x), most.1.max(y)));
    let mut plot = Plot::new(
        "Share of everything earned against part of all capacity, each machine, in ten thousandths",
        ("part of all capacity", most.0),
        ("share", most.1),
    )
    .ticks(5);
    plot.key(COLOURS[0], "honest");
    plot.key(ATTACKER, "attackers");
    for (kind, x, y) in machines() {
        plot.point((x, y), if kind.is_honest() { COLOURS[0] } else { ATTACKER });
    }
    plot.end()
}

fn attacks(outcome: &Outcome) -> String {
    let there: Vec<Kind> = Kind::ATTACKS
        .into_iter()
        .filter(|kind| outcome.earned.contains_key(&(RuleName::SpeedSizeAccuracy, *kind)))
        .collect();
    let mut plot = Plot::new(
        "What attacks earn, in times of honest work with the same machine",
        ("", there.len() as f64),
        ("times", 2.0),
    );
    for (rule, colour) in RuleName::ALL.into_iter().zip(COLOURS) {
        plot.key(colour, rule.word());
    }
    for (n, kind) in there.iter().enumerate() {
        let at = n as f64;
        for (i, (rule, colour)) in RuleName::ALL.into_iter().zip(COLOURS).enumerate() {
            let from = at + 0.12 + 0.25 * i as f64;
            let times = outcome.earned.get(&(rule, *kind)).copied().unwrap_or_default();
            plot.bar((from, from + 0.22), times, colour);
        }
        // Three words a line are as wide as three bars.
        let words: Vec<&str> = kind.words().split(' ').collect();
        for (line, words) in words.chunks(2).enumerate() {
            plot.under(at + 0.5, &words.join(" "), line as u32);
        }
    }
    plot.line(&[(0.0, 1.0), (there.len() as f64, 1.0)], "#555");
    plot.end()
}

fn hours(outcome: &Outcome) -> String {
    let last = outcome.hours.len() as f64;
    let mut plot = Plot::new(
        "What healthy miners delivered of their fair share, by the hour",
        ("hour", last),
        ("of the fair share", 1.2),
    )
    .ticks(4);
    let of = |of: fn(&super::Hour) -> f64| -> Vec<(f64, f64)> {
        outcome
            .hours
            .iter()
            .zip(1..)
            .map(|(hour, n)| (f64::from(n), of(hour)))
            .collect()
    };
    plot.key(COLOURS[0], "the median");
    plot.key(ATTACKER, "the least");
    plot.key(COLOURS[2], "capacity that is used");
    plot.line(&of(|h| h.median), COLOURS[0]);
    plot.line(&of(|h| h.least), ATTACKER);
    plot.line(&of(|h| h.busy), COLOURS[2]);
    plot.end()
}

fn sizes(outcome: &Outcome) -> String {
    let last = outcome.hours.len() as f64;
    let of = |of: fn(&super::Hour) -> usize| -> Vec<(f64, f64)> {
        let hours = outcome.hours.iter().zip(1..);
        hours.map(|(hour, n)| (f64::from(n), of(hour) as f64)).collect()
    };
    let (claims, slices, pools) = (
        of(|h| h.sizes.claims),
        of(|h| h.sizes.slices),
        of(|h| h.sizes.pools),
    );
    let all = claims.iter().chain(&slices).chain(&pools);
    let most = all.map(|(_, y)| *y).fold(1.0, f64::max);
    let mut plot = Plot::new("What the queue holds, by the hour", ("hour", last), ("", most)).ticks(4);
    for (colour, (words, points)) in
        COLOURS
            .into_iter()
            .zip([("open claims", &claims), ("slices", &slices), ("pools", &pools)])
    {
        plot.key(colour, words);
        plot.line(points, colour);
    }
    plot.end()
}
