//! Why claims end without counting, and who is to blame: the one list, which the code and docs/troubleshooting.md share.
//!
//! Invariants: every end of a claim that is not a counted proof has exactly one cause here, and a cause has one culprit; a
//! cause's code is in ledgers for ever, so that none is given twice or changed.

use zkinfer_crds::wire::RefuseReason;

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The miner's: it costs the miner.
    Miner,
    /// The machines' and networks' that nobody here has in hand. It is rationed, for a miner may only say so.
    Infrastructure,
    /// The validator's own.
    Operator,
    /// Nobody's: somebody else decided.
    Nobody,
}

impl Blame {
    const fn word(self) -> &'static str {
        match self {
            Self::Miner => "the miner",
            Self::Infrastructure => "infrastructure",
            Self::Operator => "the operator",
            Self::Nobody => "nobody",
        }
    }
}

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $code:literal $name:ident: $blame:ident, $do:literal;)+) => {
        /// Why a claim ended without a counted proof.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Cause {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Cause {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// A stable word, as in a pool's `status.failures` and in the ledger.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// Its number in ledgers.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)+ }
            }

            /// The cause of a code, if there is one.
            #[must_use]
            pub const fn of_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }

            /// Who is to blame.
            #[must_use]
            pub const fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)+ }
            }

            const fn row(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => (concat!($($doc),+), $do),)+ }
            }
        }
    };
}

causes! {
    /// the proof does not hold
    1 InvalidProof: Miner, "the image is broken or lies; an event says so too";
    /// more bytes than any proof has
    2 TooLarge: Miner, "the same";
    /// no proof in time
    3 LeaseExpired: Miner, "the worker died or is too slow: its pod's log, more `cpu`, a longer `leases.leastSeconds` of the Validator";
    /// handed back when a quarter of the lease was over, whatever the reason given
    4 LateHandBack: Miner, "hand back at once what cannot be proved; a worker that is told to stop has 10 s";
    /// the worker cannot read keys or relations
    5 Unsupported: Miner, "an image of another version than the operator: use the same";
    /// proving failed
    6 Failed: Miner, "the pod's log";
    /// refused for want of memory
    7 TooLittleMemory: Infrastructure, "more `resources.memory`";
    /// a blob did not arrive
    8 Fetch: Infrastructure, "NetworkPolicies, the gateway, the artifact store";
    /// told to stop, or gone before it had its answer
    9 Draining: Infrastructure, "nothing, if it is seldom";
    /// the proof holds, and another pool's came first
    10 Overtaken: Nobody, "nothing: it earns and costs nothing";
    /// the request ended first
    11 Cancelled: Nobody, "nothing";
    /// the Model's side lets the pool see it no more
    12 ConsentWithdrawn: Nobody, "nothing, or ask the Model's side for its [consent](install.md#who-may-see-models-and-inputs)";
    /// the operator could not verify or answer, or it or its store was away while the proof was due
    13 Operator: Operator, "the operator's log";
}

impl Cause {
    /// The cause of a word, if there is one.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.word() == word)
    }

    /// Of a slice that was handed back in time.
    #[must_use]
    pub const fn of(reason: RefuseReason) -> Self {
        match reason {
            RefuseReason::TooLittleMemory => Self::TooLittleMemory,
            RefuseReason::Unsupported => Self::Unsupported,
            RefuseReason::Draining => Self::Draining,
            RefuseReason::Fetch => Self::Fetch,
            RefuseReason::Failed => Self::Failed,
        }
    }

    /// The table in docs/troubleshooting.md.
    #[must_use]
    pub fn table() -> String {
        let mut table = "| word | means | to blame | do |\n|---|---|---|---|\n".to_owned();
        for cause in Self::ALL {
            let (means, remedy) = cause.row();
            let cells = [
                &format!("`{}`", cause.word()),
                means.trim(),
                cause.blame().word(),
                remedy,
            ];
            table.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_lead_back_to_their_causes() {
        for cause in Cause::ALL {
            assert_eq!(Cause::of_code(cause.code()), Some(*cause));
            assert_eq!(Cause::of_word(cause.word()), Some(*cause));
        }
        assert_eq!((Cause::of_code(0), Cause::of_word("")), (None, None));
        // In ledgers for ever.
        assert_eq!((Cause::InvalidProof.code(), Cause::Operator.code()), (1, 13));
    }

    #[test]
    fn the_list_is_the_one_in_the_docs() {
        let docs = include_str!("../../docs/troubleshooting.md");
        let table = Cause::table();
        assert!(
            docs.contains(&table),
            "docs/troubleshooting.md needs this table:\n{table}"
        );
    }
}
