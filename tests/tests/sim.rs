//! Networks in virtual time, by the operator's own queue and rules: the bars for the default rule, and that nobody starves.
//!
//! `./check --long` simulates 1,500 miners for a day.
#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

use zkinfer_scoring::{Constants, Rule, RuleName};
use zkinfer_tests::measured;
use zkinfer_tests::sim::{Kind, Machine, Outcome, Settings, network, simulate};

/// Machines of these kinds, speeds and workers, which stay, for so many hours.
fn small(hours: f64, seed: &str, machines: &[(usize, Kind, f64, u32)]) -> (Settings, Vec<Machine>) {
    let mut settings = Settings::new(hours, seed);
    settings.hours_between_absences = 0.0;
    let each = machines
        .iter()
        .flat_map(|(many, kind, speed, workers)| std::iter::repeat_n((*kind, *speed, *workers), *many));
    let machine = |(n, (kind, speed, workers))| Machine::new(n, kind, speed, workers);
    (settings, each.enumerate().map(machine).collect())
}

/// What machines of a kind have delivered, each.
fn delivered(of: &Outcome, kind: Kind) -> Vec<f64> {
    let machines = of.machines.iter().zip(&of.delivered);
    machines.filter(|(m, _)| m.0 == kind).map(|(_, d)| *d).collect()
}

fn least(of: &[f64]) -> f64 {
    of.iter().copied().fold(f64::INFINITY, f64::min)
}

fn ended(of: &Outcome) -> usize {
    of.hours.iter().map(|hour| hour.ended).sum()
}

fn faults(of: &Outcome) -> u64 {
    of.hours.iter().map(|hour| hour.faults).sum()
}

fn failed(of: &Outcome) -> u64 {
    of.hours.iter().map(|hour| hour.failed).sum()
}

#[test]
fn a_hundred_miners_meet_the_bars_of_the_default_rule() {
    let outcome = simulate(Settings::new(2.0, "check"), network(100, true, 2.0, "check"));
    let report = outcome.report();
    assert!(outcome.broken().is_empty(), "{report}");
    assert_eq!(
        outcome.earned.len(),
        3 * Kind::ATTACKS.len(),
        "every attack, by every rule: {report}"
    );
    for kind in Kind::ATTACKS {
        let times = outcome.earned[&(RuleName::SpeedSizeAccuracy, kind)];
        measured(format_args!("{} earns {times:.3} of honest work", kind.words()));
    }
    measured(format_args!(
        "the least of a fair share in an hour is {:.3}",
        outcome.least()
    ));
}

#[test]
fn the_same_seed_gives_the_same_network_and_another_one_another() {
    let of = |seed: &str| {
        let outcome = simulate(Settings::new(1.0, seed), network(20, true, 1.0, seed));
        (
            ended(&outcome),
            format!("{:?} {:?}", outcome.earned, outcome.machines),
        )
    };
    assert_eq!(of("one"), of("one"));
    assert_ne!(of("one"), of("two"));
}

/// Complaint 2 of the network that this one follows: six broken miners took most of every run's slices.
#[test]
fn six_broken_miners_do_not_absorb_what_thirty_could_do() {
    let (settings, machines) = small(
        2.0,
        "broken",
        &[(30, Kind::Honest, 1.0, 1), (6, Kind::Broken, 1.0, 1)],
    );
    let outcome = simulate(settings, machines);
    let report = outcome.report();
    assert!(faults(&outcome) > 0, "they were tried: {report}");
    assert!(faults(&outcome) * 50 < ended(&outcome) as u64, "{report}");
    assert_eq!(failed(&outcome), 0, "{report}");
    assert!(outcome.least() > 0.8, "{report}");
}

/// Complaint 3: healthy miners were silently never asked.
#[test]
fn no_healthy_miner_is_left_out_whatever_its_size_and_however_little_there_is_to_do() {
    let sizes = [
        (10, Kind::Honest, 0.5, 1),
        (10, Kind::Honest, 1.0, 2),
        (10, Kind::Honest, 2.0, 4),
    ];
    for benchmarks in [true, false] {
        let (mut settings, machines) = small(2.0, "sizes", &sizes);
        settings.benchmarks = benchmarks;
        let outcome = simulate(settings, machines);
        let report = outcome.report();
        assert!(least(&delivered(&outcome, Kind::Honest)) > 0.0, "{report}");
        assert!(outcome.least() > 0.5, "{report}");
    }
}

/// Complaint 5: an estimate of what a miner can take fed on itself, until some had everything and others nothing.
#[test]
fn under_more_load_than_there_is_room_for_each_has_what_it_can_do_and_under_little_all_have_the_same() {
    let machines = [(15, Kind::Honest, 0.4, 1), (15, Kind::Honest, 2.0, 1)];
    let (mut settings, of) = small(3.0, "load", &machines);
    (settings.organic, settings.benchmarks) = (4.0, false);
    let outcome = simulate(settings, of);
    let report = outcome.report();
    assert!(outcome.hours.iter().all(|hour| hour.busy > 0.9), "{report}");
    assert!(outcome.least() > 0.8, "slow ones too: {report}");
    let (mut settings, of) = small(3.0, "little", &machines);
    (settings.organic, settings.benchmarks) = (0.3, false);
    let outcome = simulate(settings, of);
    let report = outcome.report();
    let each = delivered(&outcome, Kind::Honest);
    let most = each.iter().copied().fold(0.0, f64::max);
    assert!(least(&each) > 0.8 * most, "{report}");
}

/// Complaint 5 too: who did much while there was much to do has its part of the little that there is later.
#[test]
fn who_was_busy_at_noon_is_not_starved_in_the_evening() {
    let mut settings = Settings::new(24.0, "a day");
    (settings.slice, settings.benchmarks) = (60.0, false);
    let outcome = simulate(settings, network(60, false, 24.0, "a day"));
    let report = outcome.report();
    assert!(outcome.hours.iter().any(|hour| hour.busy > 0.5), "{report}");
    assert!(outcome.least() > 0.5, "{report}");
}

/// Complaint 6: whoever was away for a moment had nothing for an epoch.
#[test]
fn an_announced_restart_costs_its_time_and_nothing_else() {
    let machines = [(20, Kind::Honest, 1.0, 1), (5, Kind::Restarting, 1.0, 1)];
    let (settings, machines) = small(4.0, "restarts", &machines);
    let outcome = simulate(settings, machines);
    let report = outcome.report();
    assert_eq!(faults(&outcome), 0, "{report}");
    let share = |kind: Kind| -> f64 { outcome.machines.iter().filter(|m| m.0 == kind).map(|m| m.2).sum() };
    let work = |kind: Kind| -> f64 { delivered(&outcome, kind).iter().sum() };
    // It is there for 30 of 35 minutes.
    let there = (work(Kind::Restarting) / 5.0) / (work(Kind::Honest) / 20.0);
    assert!((0.8..0.95).contains(&there), "{there}: {report}");
    let paid = (share(Kind::Restarting) / 5.0) / (share(Kind::Honest) / 20.0);
    assert!((paid / there - 1.0).abs() < 0.08, "{paid} for {there}: {report}");
}

/// Complaint 10: slices were sent to miners that were not connected.
#[test]
fn nothing_is_given_to_miners_that_are_not_there_and_nobody_waits_for_them() {
    let honest = (20, Kind::Honest, 1.0, 1);
    let (settings, machines) = small(1.0, "absent", &[honest, (10, Kind::Absent, 1.0, 4)]);
    let with = simulate(settings, machines);
    let (settings, machines) = small(1.0, "absent", &[honest]);
    let without = simulate(settings, machines);
    let report = with.report();
    assert_eq!(delivered(&with, Kind::Absent), [0.0; 10], "{report}");
    assert_eq!((faults(&with), failed(&with)), (0, 0), "{report}");
    assert!(with.least() > 0.8, "{report}");
    assert!(
        with.hours[0].p95 < without.hours[0].p95 * 1.25 + 10.0,
        "{report}{}",
        without.report()
    );
}

#[test]
fn what_is_kept_for_scores_is_that_of_the_rules_window() {
    let (mut settings, machines) = small(6.0, "window", &[(20, Kind::Honest, 1.0, 1)]);
    settings.slice = 10.0;
    let name = RuleName::SpeedSizeAccuracy;
    let constants = Constants {
        window_hours: 1,
        skip_hours: 1,
        ..name.constants()
    };
    settings.rule = Rule::new(name, constants).unwrap();
    let outcome = simulate(settings, machines);
    let report = outcome.report();
    let kept = outcome.hours.last().unwrap().entries;
    assert!(kept > 0 && kept * 2 < ended(&outcome), "{report}");
    assert!(outcome.broken().is_empty(), "{report}");
}
