//! Which rule is in force, as the ledger says it: its name, its version, and its constants.
//!
//! Invariant: whoever cannot compute a rule can still read and verify the ledger that names it; nobody takes another for it.

use std::collections::BTreeMap;

use super::bytes::{LedgerError, Reader, put_count, text};
use crate::rules::{Constants, Rule, RuleError, RuleName};

/// Bytes of a rule's name, of a namespace or of an owner's name.
const MAX_TEXT: usize = 253;
/// Owners of namespaces: as many as a rule has.
const MAX_OWNERS: usize = 100_000;

/// Scores are by this rule from a time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRecord {
    /// From this Unix millisecond on.
    pub at: u64,
    /// The rule's name.
    pub name: String,
    /// The version of what it computes.
    pub version: u32,
    /// Its constants.
    pub constants: Constants,
}

impl RuleRecord {
    /// A rule that is in force from a time on.
    #[must_use]
    pub fn new(rule: &Rule, at: u64) -> Self {
        Self {
            at,
            name: rule.name().word().to_owned(),
            version: rule.name().version(),
            constants: rule.constants().clone(),
        }
    }

    /// The rule, where this program computes it.
    ///
    /// # Errors
    /// A name or a version that is not known here, or a constant out of its range.
    pub fn rule(&self) -> Result<Rule, RuleError> {
        let name: RuleName = self.name.parse()?;
        if name.version() != self.version {
            return Err(RuleError::Version {
                name,
                got: self.version,
            });
        }
        Rule::new(name, self.constants.clone())
    }

    /// Whether it is this rule, whenever it came into force.
    #[must_use]
    pub fn is(&self, rule: &Rule) -> bool {
        *self == Self::new(rule, self.at)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Result<(), LedgerError> {
    if text.len() > MAX_TEXT {
        return Err(LedgerError::Long("a rule's name, a namespace or an owner"));
    }
    out.push(text.len() as u8);
    out.extend(text.as_bytes());
    Ok(())
}

fn read_text(from: &mut Reader<'_>) -> Result<String, LedgerError> {
    let many = from.u8("a text")?;
    let bytes = from.take(many.into(), "a text")?;
    text(bytes, from.at()).map(str::to_owned)
}

pub(super) fn put_rule(out: &mut Vec<u8>, record: &RuleRecord) -> Result<(), LedgerError> {
    let Constants {
        window_hours,
        half_life_minutes,
        least_work,
        cold_start,
        skip_hours,
        fault_millionths,
        power_millionths,
        owner_cap_millionths,
        speed_millionths,
        owners,
    } = &record.constants;
    out.extend(record.at.to_be_bytes());
    put_text(out, &record.name)?;
    out.extend(record.version.to_be_bytes());
    for number in [
        window_hours,
        half_life_minutes,
        least_work,
        cold_start,
        skip_hours,
    ] {
        out.extend(number.to_be_bytes());
    }
    for number in [
        fault_millionths,
        power_millionths,
        owner_cap_millionths,
        speed_millionths,
    ] {
        out.extend(number.to_be_bytes());
    }
    put_count(out, owners.len(), "owners")?;
    for (namespace, owner) in owners {
        put_text(out, namespace)?;
        put_text(out, owner)?;
    }
    Ok(())
}

pub(super) fn read_rule(from: &mut Reader<'_>) -> Result<RuleRecord, LedgerError> {
    let at = from.u64("a time")?;
    let name = read_text(from)?;
    let version = from.u32("a version")?;
    let mut constants = Constants {
        window_hours: from.u64("a constant")?,
        half_life_minutes: from.u64("a constant")?,
        least_work: from.u64("a constant")?,
        cold_start: from.u64("a constant")?,
        skip_hours: from.u64("a constant")?,
        fault_millionths: from.u32("a constant")?,
        power_millionths: from.u32("a constant")?,
        owner_cap_millionths: from.u32("a constant")?,
        speed_millionths: from.u32("a constant")?,
        owners: BTreeMap::new(),
    };
    for _ in 0..from.count(MAX_OWNERS, 2, "owners")? {
        let namespace = read_text(from)?;
        constants.owners.insert(namespace, read_text(from)?);
    }
    Ok(RuleRecord {
        at,
        name,
        version,
        constants,
    })
}
