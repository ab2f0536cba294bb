//! Whether a file's totals are those of a ledger.

use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::ledger::{Head, Ledger, LedgerError};
use zkinfer_scoring::{Rule, RuleError, RuleName, Score, Scores};

use super::content::{Row, WeightsFile};

/// Why a file's totals are not a ledger's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The ledger ends elsewhere.
    #[error("the file is of another ledger, or of another part of it: {0}")]
    Ledger(#[from] LedgerError),
    /// There is no such rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The rule has other constants, or another version.
    #[error("the file is by rule {name} {said}, and {name} is {here} here")]
    OtherRule {
        /// Its name.
        name: RuleName,
        /// The file's.
        said: Digest,
        /// That of this program.
        here: Digest,
    },
    /// Somebody is left out.
    #[error("{0} has a score in the ledger, and is not in the file")]
    LeftOut(Identity),
    /// Somebody is there who has no score.
    #[error("{0} is in the file, and has no score in the ledger")]
    Invented(Identity),
    /// Something of somebody's is not what the ledger makes.
    #[error("the file says that {what} of {miner} is {said}, and the ledger makes it {made}")]
    Differs {
        /// Whose.
        miner: Identity,
        /// What.
        what: &'static str,
        /// What the file says.
        said: String,
        /// What the ledger makes.
        made: String,
    },
}

impl WeightsFile {
    /// The rule by which it is, with the constants that the rule has unless somebody says otherwise.
    ///
    /// # Errors
    /// A rule that is not known here, or has another digest.
    pub fn known_rule(&self) -> Result<Rule, ReplayError> {
        let rule = Rule::from(self.rule.parse::<RuleName>()?);
        if rule.digest() != self.rule_digest {
            return Err(ReplayError::OtherRule {
                name: rule.name(),
                said: self.rule_digest,
                here: rule.digest(),
            });
        }
        Ok(rule)
    }

    /// Computes all scores again from the ledger, which ends where the file says, and compares each row.
    ///
    /// # Errors
    /// The first thing that differs.
    pub fn replay(&self, ledger: &Ledger, rule: &Rule) -> Result<(), ReplayError> {
        ledger.ends_at(&Head {
            validator: self.validator,
            sequence: self.ledger.sequence,
            digest: self.ledger.digest,
            entries: self.ledger.entries,
            at: self.at,
        })?;
        if rule.digest() != self.rule_digest || rule.name().word() != self.rule {
            return Err(ReplayError::OtherRule {
                name: rule.name(),
                said: self.rule_digest,
                here: rule.digest(),
            });
        }
        let scores = Scores::of(rule, ledger.entries(), self.at);
        for row in &self.rows {
            let score = scores.miners.get(&row.miner);
            same(row, score.ok_or(ReplayError::Invented(row.miner))?)?;
        }
        let has = |miner: &&Identity| self.rows.binary_search_by_key(*miner, |row| row.miner).is_ok();
        match scores.miners.keys().find(|miner| !has(miner)) {
            Some(miner) => Err(ReplayError::LeftOut(*miner)),
            None => Ok(()),
        }
    }
}

fn same(row: &Row, score: &Score) -> Result<(), ReplayError> {
    let differs = |what, said: String, made: String| {
        if said == made {
            return Ok(());
        }
        Err(ReplayError::Differs {
            miner: row.miner,
            what,
            said,
            made,
        })
    };
    differs("the owner", row.owner.clone(), score.owner.to_string())?;
    let numbers = [
        ("what is earned", row.total.credit, score.total.credit),
        ("what is owed", row.total.debit, score.total.debit),
        ("what is possible", row.total.possible, score.total.possible),
        (
            "the count of proofs",
            row.total.samples.into(),
            score.total.samples.into(),
        ),
        ("what is left", row.net, score.net),
        ("the weight", row.weight, score.weight),
    ];
    numbers
        .into_iter()
        .try_for_each(|(what, said, made)| differs(what, said.to_string(), made.to_string()))
}
