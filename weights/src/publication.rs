//! Whether weights may leave, before anything does.
//!
//! Invariants: what is published is what the settings name: their netuid, their version key, their chain. It leaves at most once in
//! a window of at least 100 blocks; a window is counted from the chain's own word and from what this validator has sent, whichever
//! is later, so that a chain that lags does not get it twice. A runtime that is not in the settings' list gets nothing: the same
//! bytes may mean another call there. A subnet that wants commits gets no plain weights, and the other way round.

use crate::call::{Call, CommitTooLong, commit_payload};
use crate::extrinsic::Runtime;
use crate::hotkey::Hotkey;
use crate::schedule::Schedule;
use crate::vector::{Limits, Vector, VectorError};

/// Weights are set this many blocks apart at least, whatever anybody says.
pub const LEAST_INTERVAL: u64 = 100;

/// What a validator has declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The subnet.
    pub netuid: u16,
    /// The version key of its rules.
    pub version_key: u64,
    /// Blocks between two publications; at least [`LEAST_INTERVAL`] hold.
    pub least_interval: u64,
    /// The hash of the chain's block 0.
    pub genesis: [u8; 32],
    /// Runtimes for which calls and extensions are known to be these: spec version and transaction version.
    pub runtimes: Vec<(u32, u32)>,
}

impl Settings {
    /// Whether this is the declared chain, under a runtime for which calls are known to be what they are. Nothing else that a chain
    /// says means anything before.
    ///
    /// # Errors
    /// Another chain, or an unknown runtime.
    pub fn knows(&self, runtime: &Runtime) -> Result<(), Refusal> {
        if runtime.genesis != self.genesis {
            let shown = |hash: [u8; 32]| format!("0x{}", hex::encode(hash));
            return Err(Refusal::Chain {
                got: shown(runtime.genesis),
                expected: shown(self.genesis),
            });
        }
        let (spec, transaction) = (runtime.spec_version, runtime.transaction_version);
        if !self.runtimes.contains(&(spec, transaction)) {
            return Err(Refusal::Runtime { spec, transaction });
        }
        Ok(())
    }

    /// Whether any weights may leave in this block in this form, after what has been `sent` last: what can be asked before they are
    /// made. Nothing leaves by this alone: see [`Permitted`].
    ///
    /// # Errors
    /// The first reason why not.
    pub fn may_leave(&self, observed: &Observed, form: Form, sent: Option<u64>) -> Result<(), Refusal> {
        same_chain(self, observed)?;
        if observed.uid.is_none() {
            return Err(Refusal::NotRegistered(self.netuid));
        }
        in_time(self, observed, sent)?;
        match form_of(observed) {
            takes if takes == form => Ok(()),
            takes => Err(Refusal::Form {
                netuid: self.netuid,
                takes,
                got: form,
            }),
        }
    }
}

/// How a subnet takes weights.
const fn form_of(observed: &Observed) -> Form {
    if observed.commits {
        Form::Committed
    } else {
        Form::Plain
    }
}

/// What the chain says at one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// Which chain and runtime it is.
    pub runtime: Runtime,
    /// The validator's uid in the subnet; `None` while its hotkey is not registered.
    pub uid: Option<u16>,
    /// `LastUpdate` of that uid; 0 for never.
    pub last_update: u64,
    /// `WeightsSetRateLimit`.
    pub rate_limit: u64,
    /// `WeightsVersionKey`; 0 for none.
    pub version_key: u64,
    /// `CommitRevealWeightsEnabled`.
    pub commits: bool,
    /// What vectors it takes.
    pub limits: Limits,
    /// The subnet's epochs, and the block.
    pub schedule: Schedule,
}

/// Weights that are to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights<'a> {
    /// Of which subnet they are.
    pub netuid: u16,
    /// By which rules.
    pub version_key: u64,
    /// The vector.
    pub vector: &'a Vector,
}

/// Why nothing leaves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Of another subnet.
    #[error("the weights are of netuid {got}, and the Validator publishes to netuid {expected}")]
    Netuid {
        /// The weights'.
        got: u16,
        /// The settings'.
        expected: u16,
    },
    /// By other rules.
    #[error("the weights have version key {got}, and the Validator has {expected}")]
    VersionKey {
        /// The weights'.
        got: u64,
        /// The settings'.
        expected: u64,
    },
    /// The subnet has newer rules.
    #[error("version key {got} is older than the {wanted} that the subnet wants")]
    Outdated {
        /// The settings'.
        got: u64,
        /// The chain's.
        wanted: u64,
    },
    /// Another chain.
    #[error("the endpoint is of the chain with genesis {got}, and the Validator publishes to {expected}")]
    Chain {
        /// What it is.
        got: String,
        /// What it should be.
        expected: String,
    },
    /// A runtime that nobody has said anything of.
    #[error(
        "the chain runs spec version {spec} with transaction version {transaction}, which the Validator does not list"
    )]
    Runtime {
        /// Its spec version.
        spec: u32,
        /// Its transaction version.
        transaction: u32,
    },
    /// The hotkey has no uid.
    #[error("the validator's hotkey is not registered in netuid {0}")]
    NotRegistered(u16),
    /// Twice in a window.
    #[error(
        "weights were last sent in block {last}; the next leave in block {next} at the earliest, and this is block {block}"
    )]
    TooSoon {
        /// When they were sent.
        last: u64,
        /// When they may be.
        next: u64,
        /// Which block it is.
        block: u64,
    },
    /// The subnet wants it the other way.
    #[error("netuid {netuid} takes {takes}, and these are {got}")]
    Form {
        /// The subnet.
        netuid: u16,
        /// What it takes.
        takes: Form,
        /// What is to be sent.
        got: Form,
    },
    /// The subnet does not take this vector.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// The chain does not take this commit.
    #[error(transparent)]
    Commit(#[from] CommitTooLong),
}

/// How weights are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For all to see.
    Plain,
    /// Locked until a round of the beacon.
    Committed,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Plain => "plain weights",
            Self::Committed => "time-locked commits",
        })
    }
}

/// What may leave: nothing else makes a call of weights that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted {
    takes: Form,
    netuid: u16,
    version_key: u64,
    vector: Vector,
}

impl Permitted {
    /// Asks whether these weights may leave in this block, after what has `sent` last, if anything.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn ask(
        weights: Weights<'_>,
        settings: &Settings,
        observed: &Observed,
        sent: Option<u64>,
    ) -> Result<Self, Refusal> {
        same_weights(weights, settings)?;
        same_chain(settings, observed)?;
        let netuid = settings.netuid;
        let uid = observed.uid.ok_or(Refusal::NotRegistered(netuid))?;
        in_time(settings, observed, sent)?;
        weights.vector.fits(observed.limits, uid)?;
        Ok(Self {
            takes: form_of(observed),
            netuid,
            version_key: settings.version_key,
            vector: weights.vector.clone(),
        })
    }

    /// How the subnet takes it.
    #[must_use]
    pub const fn takes(&self) -> Form {
        self.takes
    }

    /// The call of plain weights.
    ///
    /// # Errors
    /// A subnet that takes commits.
    pub fn set_weights(&self) -> Result<Call, Refusal> {
        self.as_form(Form::Plain)?;
        Ok(Call::set_weights(self.netuid, &self.vector, self.version_key))
    }

    /// What a commit of this hotkey has to hold, before it is locked.
    #[must_use]
    pub fn payload(&self, hotkey: &Hotkey) -> Vec<u8> {
        commit_payload(hotkey, &self.vector, self.version_key)
    }

    /// The call of a commit: the payload, locked until a round.
    ///
    /// # Errors
    /// A subnet that takes plain weights, or a commit that is too long.
    pub fn commit(&self, locked: &[u8], round: u64) -> Result<Call, Refusal> {
        self.as_form(Form::Committed)?;
        Ok(Call::commit_timelocked_weights(self.netuid, locked, round)?)
    }

    fn as_form(&self, got: Form) -> Result<(), Refusal> {
        if self.takes == got {
            return Ok(());
        }
        Err(Refusal::Form {
            netuid: self.netuid,
            takes: self.takes,
            got,
        })
    }
}

fn same_weights(weights: Weights<'_>, settings: &Settings) -> Result<(), Refusal> {
    if weights.netuid != settings.netuid {
        return Err(Refusal::Netuid {
            got: weights.netuid,
            expected: settings.netuid,
        });
    }
    if weights.version_key != settings.version_key {
        return Err(Refusal::VersionKey {
            got: weights.version_key,
            expected: settings.version_key,
        });
    }
    Ok(())
}

fn same_chain(settings: &Settings, observed: &Observed) -> Result<(), Refusal> {
    settings.knows(&observed.runtime)?;
    if settings.version_key < observed.version_key {
        return Err(Refusal::Outdated {
            got: settings.version_key,
            wanted: observed.version_key,
        });
    }
    Ok(())
}

fn in_time(settings: &Settings, observed: &Observed, sent: Option<u64>) -> Result<(), Refusal> {
    let block = observed.schedule.block;
    let last = observed.last_update.max(sent.unwrap_or_default());
    let interval = LEAST_INTERVAL
        .max(settings.least_interval)
        .max(observed.rate_limit);
    let next = last.saturating_add(interval);
    // Never is block 0, which no weights were set in.
    if last > 0 && block < next {
        return Err(Refusal::TooSoon { last, next, block });
    }
    Ok(())
}
