//! What each namespace takes of the store, beside what the Validator lets it take.
//!
//! Invariants: what is counted anew stands in the place of what was counted before and added since, so that nothing adds up to more than
//! there is for longer than from one look to the next; who is refused is told the quota's field, what is taken, and what there may be.

use std::collections::BTreeMap;
use std::sync::Mutex;

use zkinfer_crds::k8s::Memory;
use zkinfer_crds::k8s::validator::{NamespaceUsage, Quotas};

use super::lock;

/// Namespaces that a status names.
const TOLD: usize = 16;

/// What is counted of a namespace, in the order of [`Quotas::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Files that were handed in.
    Uploads,
    /// Receipts.
    Receipts,
    /// Inputs of slices.
    Inputs,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Uploads, Self::Receipts, Self::Inputs];

    /// As the Validator's field is called.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Uploads => "uploadBytes",
            Self::Receipts => "receiptBytes",
            Self::Inputs => "inputBytes",
        }
    }

    /// For people, and as metrics call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Receipts => "receipts",
            Self::Inputs => "inputs",
        }
    }
}

/// A namespace takes all that it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} of namespace `{namespace}` take {taken} bytes of the store, and spec.quotas.{} of the Validator is {quota}: delete what nobody \
     needs, or ask an administrator for more",
    .kept.word(),
    .kept.field()
)]
pub struct Reached {
    /// The namespace.
    pub namespace: String,
    /// Of what.
    pub kept: Kept,
    /// In bytes.
    pub taken: u64,
    /// What it may take.
    pub quota: Memory,
}

/// Bytes of uploads, receipts and inputs, by namespace.
pub type Counted = BTreeMap<String, [u64; 3]>;

/// See the module.
#[derive(Debug, Default)]
pub struct Usage(Mutex<Counted>);

impl Usage {
    /// The store was looked through.
    pub fn counted(&self, all: Counted) {
        *lock(&self.0) = all;
    }

    /// Something was stored since.
    pub fn add(&self, namespace: &str, kept: Kept, bytes: u64) {
        let mut all = lock(&self.0);
        let taken = &mut all.entry(namespace.to_owned()).or_default()[kept as usize];
        *taken = taken.saturating_add(bytes);
    }

    /// What the namespace may take beside what it has, in bytes; `None` without a bound.
    ///
    /// # Errors
    /// It has all that it may.
    pub fn left(&self, quotas: &Quotas, namespace: &str, kept: Kept) -> Result<Option<u64>, Reached> {
        let Some(quota) = quotas.of(namespace)[kept as usize] else {
            return Ok(None);
        };
        let taken = lock(&self.0)
            .get(namespace)
            .map_or(0, |taken| taken[kept as usize]);
        match quota.bytes().checked_sub(taken) {
            Some(left) if left > 0 => Ok(Some(left)),
            _ => Err(Reached {
                namespace: namespace.to_owned(),
                kept,
                taken,
                quota: quota.clone(),
            }),
        }
    }

    /// Why no request of the namespace may begin.
    ///
    /// # Errors
    /// Its receipts or its inputs take all that they may.
    pub fn may_begin(&self, quotas: &Quotas, namespace: &str) -> Result<(), Reached> {
        [Kept::Receipts, Kept::Inputs]
            .into_iter()
            .try_for_each(|kept| self.left(quotas, namespace, kept).map(|_| ()))
    }

    /// Each namespace with a quota, what of it, how much it takes and how much it may, in bytes.
    #[must_use]
    pub fn beside(&self, quotas: &Quotas) -> Vec<(String, Kept, u64, u64)> {
        let all = lock(&self.0);
        let mut rows = Vec::new();
        for (namespace, taken) in &*all {
            let of = quotas.of(namespace);
            let bounded = Kept::ALL
                .into_iter()
                .filter_map(|kept| Some((kept, of[kept as usize]?)));
            rows.extend(
                bounded.map(|(kept, quota)| (namespace.clone(), kept, taken[kept as usize], quota.bytes())),
            );
        }
        rows
    }

    /// The namespaces that take four fifths of a quota or more, the fullest first.
    #[must_use]
    pub fn nearly_full(&self, quotas: &Quotas) -> Vec<NamespaceUsage> {
        let mut fullest: BTreeMap<String, u64> = BTreeMap::new();
        for (namespace, _, taken, quota) in self.beside(quotas) {
            let percent = u128::from(taken) * 100 / u128::from(quota.max(1));
            let percent = u64::try_from(percent).unwrap_or(u64::MAX);
            let held = fullest.entry(namespace).or_default();
            *held = (*held).max(percent);
        }
        let mut fullest: Vec<(u64, String)> = fullest
            .into_iter()
            .filter(|(_, percent)| *percent >= 80)
            .map(|(namespace, percent)| (percent, namespace))
            .collect();
        fullest.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        fullest.truncate(TOLD);
        let all = lock(&self.0);
        let told = fullest.into_iter().map(|(_, namespace)| {
            let [upload_bytes, receipt_bytes, input_bytes] = all.get(&namespace).copied().unwrap_or_default();
            NamespaceUsage {
                namespace,
                upload_bytes,
                receipt_bytes,
                input_bytes,
            }
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas() -> Quotas {
        serde_json::from_str(
            r#"{"uploadBytes":"1Ki","inputBytes":"500","namespaces":[{"namespace":"large","uploadBytes":"1Mi"}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_namespace_has_the_quota_of_all_where_it_has_none_of_its_own() {
        let quotas = quotas();
        let bytes = |namespace| quotas.of(namespace).map(|quota| quota.map(Memory::bytes));
        assert_eq!(bytes("small"), [Some(1024), None, Some(500)]);
        assert_eq!(bytes("large"), [Some(1 << 20), None, Some(500)]);
        assert!(!quotas.is_empty() && Quotas::default().is_empty());
    }

    #[test]
    fn what_is_left_is_told_until_nothing_is_and_then_the_quota_by_its_name() {
        let (usage, quotas) = (Usage::default(), quotas());
        assert_eq!(usage.left(&quotas, "a", Kept::Uploads), Ok(Some(1024)));
        usage.add("a", Kept::Uploads, 1000);
        assert_eq!(usage.left(&quotas, "a", Kept::Uploads), Ok(Some(24)));
        assert_eq!(
            usage.left(&quotas, "b", Kept::Uploads),
            Ok(Some(1024)),
            "each for itself"
        );
        assert_eq!(
            usage.left(&quotas, "a", Kept::Receipts),
            Ok(None),
            "without a bound"
        );
        usage.add("a", Kept::Uploads, 24);
        let told = usage.left(&quotas, "a", Kept::Uploads).unwrap_err().to_string();
        assert_eq!(
            told,
            "uploads of namespace `a` take 1024 bytes of the store, and spec.quotas.uploadBytes of the Validator is 1Ki: delete what \
             nobody needs, or ask an administrator for more"
        );
        // What has gone since is found at the next look.
        usage.counted(Counted::from([("a".to_owned(), [10, 0, 0])]));
        assert_eq!(usage.left(&quotas, "a", Kept::Uploads), Ok(Some(1014)));
        assert_eq!(usage.left(&Quotas::default(), "a", Kept::Uploads), Ok(None));
    }

    #[test]
    fn no_request_begins_where_inputs_or_receipts_take_all_and_uploads_hold_back_none() {
        let (usage, quotas) = (Usage::default(), quotas());
        usage.add("a", Kept::Uploads, 9999);
        usage.add("b", Kept::Inputs, 500);
        assert_eq!(usage.may_begin(&quotas, "a"), Ok(()));
        let reached = usage.may_begin(&quotas, "b").unwrap_err();
        assert_eq!((reached.kept, reached.taken), (Kept::Inputs, 500));
    }

    #[test]
    fn the_fullest_are_told_first_and_no_more_than_a_status_holds() {
        let (usage, quotas) = (Usage::default(), quotas());
        for n in 0..40u64 {
            usage.add(&format!("n{n:02}"), Kept::Inputs, 400 + n);
        }
        usage.add("few", Kept::Inputs, 399);
        usage.add("over", Kept::Uploads, u64::MAX);
        let told: Vec<String> = usage
            .nearly_full(&quotas)
            .into_iter()
            .map(|u| u.namespace)
            .collect();
        assert_eq!(told.len(), TOLD);
        assert_eq!(&told[..3], ["over", "n35", "n36"].map(str::to_owned).as_slice());
    }
}
