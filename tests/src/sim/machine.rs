//! Machines, whose they are, and what they do with what they are given.
//!
//! Invariant: what a machine can do in a second does not depend on how it behaves or under how many names: so many workers,
//! each so quick. Attackers have the same machine as their honest twins.

use std::collections::BTreeMap;
use std::time::Duration;

use zkinfer_crds::{Digest, Identity};
use zkinfer_operator::dispatch::PoolId;

use super::random::Random;

/// How a machine behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Does what it is given.
    Honest,
    /// Honest, of the machine that attackers have: what they are compared with.
    Twin,
    /// One machine under two names in two namespaces, which asks under both.
    Sybil2,
    /// The same under eight.
    Sybil8,
    /// The same under eight names in one namespace.
    SybilOneOwner,
    /// Under eight names in as many namespaces, which all ask all the time: what they are given waits for the machine.
    SybilAtOnce,
    /// Lets every other claim lapse, and goes on to the next at once.
    Lazy,
    /// Lets one claim in ten lapse.
    Withholding,
    /// Hands in somebody else's proof, one time in twenty.
    Copying,
    /// Hands back at once what a quarter of the clients ask for.
    Censoring,
    /// Has a client whose requests, of higher priority, only it and a second owner of its own may serve.
    Collusion,
    /// Every claim fails at once, and it asks for the next.
    Broken,
    /// Is registered, and never there.
    Absent,
    /// Announces that it leaves every half hour, for five minutes.
    Restarting,
}

impl Kind {
    /// The attacks that are compared with honest work.
    pub const ATTACKS: [Self; 9] = [
        Self::Sybil2,
        Self::Sybil8,
        Self::SybilOneOwner,
        Self::SybilAtOnce,
        Self::Lazy,
        Self::Withholding,
        Self::Copying,
        Self::Censoring,
        Self::Collusion,
    ];

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Twin => "honest, the attackers' machine",
            Self::Sybil2 => "one machine, 2 owners",
            Self::Sybil8 => "one machine, 8 owners",
            Self::SybilOneOwner => "one machine, 8 names of one owner",
            Self::SybilAtOnce => "one machine, 8 owners at once",
            Self::Lazy => "lazy: every other claim lapses",
            Self::Withholding => "withholding one in ten",
            Self::Copying => "copying one in twenty",
            Self::Censoring => "censoring a quarter of the clients",
            Self::Collusion => "collusion with a client",
            Self::Broken => "broken",
            Self::Absent => "absent",
            Self::Restarting => "restarting",
        }
    }

    /// One machine under several names.
    #[must_use]
    pub const fn is_sybil(self) -> bool {
        matches!(
            self,
            Self::Sybil2 | Self::Sybil8 | Self::SybilOneOwner | Self::SybilAtOnce
        )
    }

    /// Whether it proves what it is given: it may be said to starve.
    #[must_use]
    pub const fn is_honest(self) -> bool {
        matches!(self, Self::Honest | Self::Twin | Self::Restarting)
    }

    const fn names(self) -> (usize, bool) {
        match self {
            Self::Sybil2 | Self::Collusion => (2, true),
            Self::Sybil8 | Self::SybilAtOnce => (8, true),
            Self::SybilOneOwner => (8, false),
            _ => (1, true),
        }
    }
}

/// What it does with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    Prove,
    Lapse,
    Copy,
    HandBack,
    Fail,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// How it behaves.
    pub kind: Kind,
    /// Work per second of a worker.
    pub speed: f64,
    /// How many slices it proves at once.
    pub workers: u32,
    /// When it comes first.
    pub joins: Duration,
    /// Its pools and identities.
    pub(super) names: Vec<(PoolId, Identity)>,
    pub(super) up: bool,
    /// Raised when it crashes: what was at work then never ends.
    pub(super) life: u32,
    /// Under which of its names it asks next.
    pub(super) next_name: usize,
    /// What the operator last found of its identities.
    pub(super) scores: BTreeMap<Identity, u32>,
    /// Workers that are at something.
    pub(super) busy: u32,
    /// When it will have done all that it was given, where it does one thing after the other.
    pub(super) free: Duration,
    /// The last moment at which it was not wholly there.
    pub(super) unwell: Option<Duration>,
    /// How often it has come under a new name.
    born: u32,
}

impl Machine {
    /// Number `n`, there from the start.
    #[must_use]
    pub fn new(n: usize, kind: Kind, speed: f64, workers: u32) -> Self {
        let mut machine = Self {
            kind,
            speed,
            workers,
            joins: Duration::ZERO,
            names: Vec::new(),
            up: false,
            life: 0,
            next_name: 0,
            scores: BTreeMap::new(),
            busy: 0,
            free: Duration::ZERO,
            unwell: None,
            born: 0,
        };
        machine.be_born(n);
        machine
    }

    /// Takes new names: to everybody else it is another.
    pub(super) fn be_born(&mut self, n: usize) {
        let (names, owners) = self.kind.names();
        let born = self.born;
        let name = |i: usize| {
            let owner = if owners { i } else { 0 };
            let pool = PoolId::new(&format!("owner-{n}-{born}-{owner}"), &format!("pool-{i}"));
            let key = Digest::of(format!("{n}-{born}-{i}").as_bytes());
            (pool, Identity::new(*key.as_bytes()))
        };
        self.names = (0..names).map(name).collect();
        self.scores.clear();
        self.next_name = 0;
        self.born += 1;
    }

    /// What was at work never ends.
    pub(super) fn dies(&mut self) {
        self.life += 1;
        self.busy = 0;
    }

    /// Work per second.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        self.speed * f64::from(self.workers)
    }

    /// How many of its workers ask at once.
    pub(super) fn askers(&self) -> u32 {
        match self.kind {
            Kind::SybilAtOnce => self.names.len() as u32,
            _ => self.workers,
        }
    }

    /// What its pools say that their workers can hold: who means to let claims lapse says that it is large.
    pub(super) const fn claims(&self) -> u32 {
        match self.kind {
            Kind::Lazy | Kind::Withholding => 64,
            _ => self.workers,
        }
    }

    /// What it does with the next claim, of a client with this number.
    pub(super) fn deed(&self, client: u64, random: &mut Random) -> Deed {
        match self.kind {
            Kind::Lazy if random.chance(0.5) => Deed::Lapse,
            Kind::Withholding if random.chance(0.1) => Deed::Lapse,
            Kind::Copying if random.chance(0.05) => Deed::Copy,
            Kind::Censoring if client.is_multiple_of(4) => Deed::HandBack,
            Kind::Broken => Deed::Fail,
            _ => Deed::Prove,
        }
    }
}

/// A network of so many machines: mostly honest ones of all sizes, and of each attack some with as many honest twins.
#[must_use]
pub fn network(miners: usize, attacks: bool, hours: f64, seed: &str) -> Vec<Machine> {
    let mut random = Random::of(&format!("machines of {seed}"));
    let each = if attacks { (miners / 100).max(2) } else { 0 };
    let mut kinds: Vec<Kind> = Kind::ATTACKS
        .into_iter()
        .flat_map(|kind| std::iter::repeat_n(kind, each))
        .collect();
    kinds.extend(std::iter::repeat_n(Kind::Twin, each * 2));
    let mut machines: Vec<Machine> = Vec::with_capacity(miners);
    for n in 0..miners {
        let machine = match kinds.get(n) {
            Some(kind) => Machine::new(n, *kind, 1.0, 1),
            None => {
                let workers = *[1, 1, 1, 1, 1, 2, 4].get(random.below(7) as usize).unwrap_or(&1);
                let mut honest = Machine::new(n, Kind::Honest, random.between(0.5, 2.0), workers);
                if random.chance(0.05) {
                    honest.joins = Duration::from_secs_f64(random.between(0.0, hours * 1800.0));
                }
                honest
            }
        };
        machines.push(machine);
    }
    machines
}
