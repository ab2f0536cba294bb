//! What a simulation comes to, in words, and the bars that it is held against.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use zkinfer_scoring::{Rule, RuleName, Scores};

use super::machine::{Kind, Machine};
use super::measure::{Hour, gini, quantile};
use super::settings::Settings;
use super::stated;
use super::world::World;
use super::yuma::{Yuma, yuma};

/// One machine under several names earns at most this, in times of what it earns under one.
const SYBIL: f64 = 1.02;
/// What any other attack earns beside honest work, with what is left of chance in a comparison of a few machines.
const ATTACK: f64 = 1.02;
/// No healthy miner delivers less of its fair share in any hour.
const STARVED: f64 = 0.5;
/// Shares are those stated.
const STATED: f64 = 0.05;

/// What is looked at of an hour.
type Size = fn(&Hour) -> usize;

/// See the module.
#[derive(Debug)]
pub struct Outcome {
    /// What was simulated.
    pub settings: Settings,
    /// Hour by hour.
    pub hours: Vec<Hour>,
    /// What each attack earns by each rule, in times of what honest work with the same machine earns.
    pub earned: BTreeMap<(RuleName, Kind), f64>,
    /// Gini of what machines that are honest earn by each rule, per capacity.
    pub gini: BTreeMap<RuleName, f64>,
    /// Each machine: its kind, its part of all capacity, and its part of everything earned by the rule in force.
    pub machines: Vec<(Kind, f64, f64)>,
    /// By how much a share differs from the stated one, at most.
    pub deviation: f64,
    /// Predicted seconds of verified work of each machine.
    pub delivered: Vec<f64>,
    /// What several validators make of it.
    pub yuma: Yuma,
}

/// Simulates these machines.
#[must_use]
pub fn simulate(settings: Settings, machines: Vec<Machine>) -> Outcome {
    let mut world = World::new(settings, machines);
    world.run();
    let at = world.unix_millis();
    let rule = Rule::from(RuleName::SpeedSizeAccuracy);
    let entries = world.totals.entries();
    let scores = Scores::of(&rule, entries, at);
    let stated = stated::shares(rule.constants(), entries, at);
    let deviation = stated::deviation(&stated, &scores.miners);
    let friend = world.machines.iter().find(|m| m.kind == Kind::Twin);
    let yuma = yuma(&rule, entries, at, friend.map(|m| m.names[0].1));
    let mut earned = BTreeMap::new();
    let mut evenness = BTreeMap::new();
    let mut by_default = vec![0.0; world.machines.len()];
    for (rule, (looks, shares)) in &world.measured.shares {
        let mean = |kind: Kind| {
            let of = world.machines.iter().zip(shares).filter(|(m, _)| m.kind == kind);
            let of: Vec<f64> = of.map(|(_, share)| *share).collect();
            of.iter().sum::<f64>() / (of.len() as f64).max(1.0)
        };
        let honest = mean(Kind::Twin);
        for kind in Kind::ATTACKS {
            let there = honest > 0.0 && world.machines.iter().any(|m| m.kind == kind);
            if there {
                earned.insert((*rule, kind), mean(kind) / honest);
            }
        }
        let of = world.machines.iter().zip(shares);
        let honest = of.filter(|(m, _)| m.kind.is_honest());
        let per: Vec<f64> = honest.map(|(m, share)| share / m.capacity()).collect();
        evenness.insert(*rule, gini(&per));
        if *rule == world.settings.rule.name() {
            by_default = shares.iter().map(|share| share / f64::from(*looks)).collect();
        }
    }
    let all: f64 = world.machines.iter().map(Machine::capacity).sum();
    let machines = world.machines.iter().zip(by_default);
    Outcome {
        earned,
        gini: evenness,
        machines: machines
            .map(|(m, share)| (m.kind, m.capacity() / all, share))
            .collect(),
        deviation,
        delivered: world.measured.delivered,
        yuma,
        hours: world.measured.hours,
        settings: world.settings,
    }
}

impl Outcome {
    /// The least of its fair share that a healthy miner delivered in any hour.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.hours
            .iter()
            .map(|hour| hour.least)
            .fold(f64::INFINITY, f64::min)
    }

    /// What of the bars for the default rule does not hold. Where nobody makes benchmarks, what attacks earn is not held
    /// against any: who has a client of its own then has work while the others have none.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = self.grows();
        if self.deviation > STATED {
            broken.push(format!(
                "a share differs by {:.3} from the stated one",
                self.deviation
            ));
        }
        if self.least() < STARVED {
            broken.push(format!(
                "a healthy miner had {:.3} of its fair share in an hour",
                self.least()
            ));
        }
        for ((rule, kind), times) in &self.earned {
            let most = if kind.is_sybil() { SYBIL } else { ATTACK };
            if self.settings.benchmarks && *rule == RuleName::SpeedSizeAccuracy && *times > most {
                broken.push(format!("{} earns {times:.3} of honest work", kind.words()));
            }
        }
        broken
    }

    /// What has grown from the first half of the hours to the second: with the same demand it should not.
    fn grows(&self) -> Vec<String> {
        let (first, second) = self.hours.split_at(self.hours.len() / 2);
        let most = |hours: &[Hour], of: Size| hours.iter().map(of).max().unwrap_or_default();
        let sizes: [(&str, Size); 6] = [
            ("requests", |h| h.sizes.requests),
            ("slices", |h| h.sizes.slices),
            ("claims", |h| h.sizes.claims),
            ("workers that wait", |h| h.sizes.waiting),
            ("pools", |h| h.sizes.pools),
            ("consents", |h| h.sizes.consents),
        ];
        let grown = sizes.into_iter().filter_map(|(name, of)| {
            let (before, after) = (most(first, of), most(second, of));
            (!first.is_empty() && after > before * 3 / 2 + 50)
                .then(|| format!("{name} in the queue grow: {before}, then {after}"))
        });
        let mut grown: Vec<String> = grown.collect();
        // An entry is kept for the window and the hour that has begun.
        let window = self.settings.rule.constants();
        let hours = window.window_hours.max(window.skip_hours) as usize + 2;
        let ended: usize = self.hours.iter().rev().take(hours).map(|h| h.ended).sum();
        let kept = self.hours.last().map_or(0, |h| h.entries);
        if kept > ended {
            grown.push(format!("{kept} entries are kept of {ended} in the window"));
        }
        grown
    }

    /// All of it, in words.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = String::new();
        let s = &self.settings;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{} machines, {} h, seed {}, slices of {:.0} s, clients ask for {:.0} % of the capacity, benchmarks {}, rule {}",
            self.machines.len(),
            s.hours,
            s.seed,
            s.slice,
            s.organic * 100.0,
            if s.benchmarks { "on" } else { "off" },
            s.rule.name()
        );
        let _ = writeln!(
            out,
            "\nhour  well  busy  least  median  verified  faults  organic   p95 s  requests  claims  pools  entries     MiB"
        );
        for (n, h) in self.hours.iter().enumerate() {
            let _ = writeln!(
                out,
                "{n:>4} {:>5} {:>5.2} {:>6.2} {:>7.2} {:>9} {:>7} {:>8} {:>7.0} {:>9} {:>7} {:>6} {:>8} {:>7}",
                h.well,
                h.busy,
                h.least,
                h.median,
                h.verified,
                h.faults,
                h.organic,
                h.p95,
                h.sizes.requests,
                h.sizes.claims,
                h.sizes.pools,
                h.entries,
                h.resident.unwrap_or_default() >> 20
            );
        }
        let _ = writeln!(
            out,
            "\n{:<36}{}",
            "times of honest work with the same machine",
            heads()
        );
        for kind in Kind::ATTACKS {
            let of = |rule| match self.earned.get(&(rule, kind)) {
                Some(times) => format!("{times:>20.3}"),
                None => format!("{:>20}", "-"),
            };
            let _ = writeln!(out, "{:<42}{}", kind.words(), RuleName::ALL.map(of).concat());
        }
        let of = |rule| format!("{:>20.3}", self.gini.get(&rule).copied().unwrap_or_default());
        let _ = writeln!(
            out,
            "{:<42}{}",
            "Gini of honest shares per capacity",
            RuleName::ALL.map(of).concat()
        );
        let mut per: Vec<f64> = self
            .machines
            .iter()
            .filter(|m| m.0.is_honest())
            .map(|m| m.2 / m.1)
            .collect();
        let _ = writeln!(
            out,
            "\nshare by capacity of honest machines, 5 %, half, 95 %: {:.2} {:.2} {:.2}",
            quantile(&mut per, 0.05),
            quantile(&mut per, 0.5),
            quantile(&mut per, 0.95)
        );
        let _ = writeln!(
            out,
            "a share differs from the stated one by {:.5} at most",
            self.deviation
        );
        let _ = writeln!(
            out,
            "the least of its fair share that a healthy miner had in an hour: {:.3}",
            self.least()
        );
        let y = &self.yuma;
        let _ = writeln!(
            out,
            "{} validators: incentives differ by {:.3} of everything from the shares of one; {:.3} is left of an honest \
             validator's weights at least; one that has a fifth of the stake and gives it all to a friend keeps {:.3} of its \
             weights, and its friend has {:.2} times its share",
            y.validators, y.off, y.honest_trust, y.liar_trust, y.friend
        );
        for broken in self.broken() {
            let _ = writeln!(out, "BAR: {broken}");
        }
        out
    }
}

fn heads() -> String {
    RuleName::ALL.map(|rule| format!("{:>20}", rule.word())).concat()
}
