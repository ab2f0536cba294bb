//! What keeps pods from running, what it means, and what somebody can do: one table.
//!
//! Invariants: everything that is said of pods is said from a row of [`SYMPTOMS`]; of several the first row decides, so
//! the same things seen give the same words. A new symptom is a new row.

use zkinfer_crds::k8s::pods::reason;

use crate::legible::legible;

/// What shows a symptom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The API server has refused a Job, a pod or what they need.
    Refused,
    /// A Job that has too few pods, and nobody says why.
    NoPods,
    /// A container waits, and not only because starting takes a moment.
    Waiting,
    /// A container has ended that should not.
    Ended,
    /// The node has ended or refused a pod.
    Failed,
    /// A pod has no node.
    Unscheduled,
    /// A Job is suspended, and the operator suspends none.
    Suspended,
    /// The node of a pod does not answer.
    Lost,
}

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What shows it.
    pub kind: Kind,
    /// For people: names the thing, with the words of whoever told of it.
    pub text: String,
}

/// Whose pods they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Workers of a MinerPool.
    Pool,
    /// The compiler of a Model.
    Compiler,
}

/// What mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mends {
    /// A person has to do something.
    Person,
    /// It may pass by itself.
    Time,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The reason of the condition and of the event.
    pub reason: &'static str,
    /// Cause and way out.
    pub message: String,
    /// What mends it.
    pub mends: Mends,
    /// It stays true when nothing is left to look at: a pod that runs is the proof that it is over.
    pub lasts: bool,
}

struct Symptom {
    kind: Kind,
    /// The text has one of these; none: any text will do.
    says: &'static [&'static str],
    reason: &'static str,
    mends: Mends,
    lasts: bool,
    /// `{memory}`, `{amounts}` and `{image}` are where they are set.
    way_out: &'static str,
}

const fn symptom(
    kind: Kind,
    says: &'static [&'static str],
    reason: &'static str,
    mends: Mends,
    way_out: &'static str,
) -> Symptom {
    Symptom {
        kind,
        says,
        reason,
        mends,
        // A pod that has ended or never started is soon gone, and its successor fares no better.
        lasts: matches!(kind, Kind::Waiting | Kind::Ended | Kind::Failed),
        way_out,
    }
}

use Kind::{Ended, Failed, Lost, NoPods, Refused, Suspended, Unscheduled, Waiting};
use Mends::{Person, Time};

/// The first row that something shows decides: what a person has to mend comes before what may pass.
#[rustfmt::skip]
const SYMPTOMS: &[Symptom] = &[
    symptom(Refused, &["exceeded quota", "failed quota"], reason::QUOTA_EXCEEDED, Time,
        "raise the ResourceQuota of that namespace (kubectl describe resourcequota), end what uses it up, or ask for less in {amounts}"),
    symptom(Refused, &["usage per", "limit to request ratio"], reason::OUTSIDE_LIMIT_RANGE, Person,
        "change the LimitRange of that namespace (kubectl describe limitrange), or {amounts}"),
    symptom(Refused, &["no PriorityClass"], reason::NO_PRIORITY_CLASS, Person,
        "make that PriorityClass, or name another in spec.pod.priorityClassName"),
    symptom(Refused, &["violates PodSecurity"], reason::REFUSED, Person,
        "the operator's pods meet the profile `restricted`: see who changes them on their way (kubectl get mutatingwebhookconfigurations), or lower the namespace's Pod Security"),
    symptom(Refused, &["RuntimeClass"], reason::REFUSED, Person,
        "make that RuntimeClass, or name another in spec.pod.runtimeClassName"),
    symptom(Refused, &["error looking up service account"], reason::REFUSED, Person,
        "that ServiceAccount was removed: make it again as the operator's installation has it, or restart the operator, which makes those of pools"),
    symptom(Refused, &["being terminated"], reason::REFUSED, Person,
        "the namespace is being deleted: make the object in another"),
    symptom(Refused, &["failed calling webhook"], reason::REFUSED, Time,
        "ask whoever runs that admission webhook: it does not answer"),
    symptom(Refused, &["cannot create", "cannot patch", "cannot get", "cannot list"], reason::REFUSED, Person,
        "the operator lacks that right: install its Roles again as they are in manifests/ or the chart"),
    symptom(Refused, &[], reason::REFUSED, Person,
        "change what the message names, in the object's spec or in the namespace's admission policies"),
    symptom(Waiting, &["InvalidImageName"], reason::IMAGE_UNAVAILABLE, Person,
        "correct {image}"),
    symptom(Waiting, &["ErrImageNeverPull"], reason::IMAGE_UNAVAILABLE, Person,
        "load the image into every node, or allow the node to fetch it"),
    symptom(Waiting, &["ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"], reason::IMAGE_UNAVAILABLE, Person,
        "correct {image}, push the image, or give the node access to its registry (imagePullSecrets)"),
    symptom(Waiting, &["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CreatePodSandboxError"], reason::NOT_STARTED, Person,
        "kubectl describe pod says more: the image may have no such program or user, or the node no such runtime"),
    symptom(Waiting, &[], reason::NOT_STARTED, Time,
        "kubectl describe pod says more: a large image takes long to fetch, a volume or sandbox may be missing"),
    symptom(Ended, &["OOMKilled"], reason::OUT_OF_MEMORY, Person,
        "give more in {memory}"),
    symptom(Ended, &["No space left on device"], reason::CRASHING, Person,
        "the disk that it writes to is full: free it, or have it run where there is more"),
    symptom(Ended, &["exit code 1,"], reason::CRASHING, Person,
        "where its last words do not say why: the gateway may be out of reach of the pod (NetworkPolicies, DNS), or not know its token"),
    symptom(Ended, &["exit code 2,"], reason::CRASHING, Person,
        "where its last words do not say why: the image replaces arguments or environment, or is of another version than the operator"),
    symptom(Ended, &["exit code 137,"], reason::CRASHING, Person,
        "it was killed: its log and the node's own say by whom; give more in {memory}, or another {image}"),
    symptom(Ended, &["exit code 126,", "exit code 127,", "exit code 128,", "StartError", "ContainerCannotRun"], reason::NOT_STARTED, Person,
        "the image has no such program, or none that the node can run: correct {image}"),
    symptom(Ended, &["exit code 139,", "exit code 132,"], reason::CRASHING, Person,
        "the program does not suit the node's processor: another {image}, or another node"),
    symptom(Ended, &[], reason::CRASHING, Person,
        "its log has all that it said; another {image} may cure it"),
    symptom(Failed, &["Evicted"], reason::EVICTED, Time,
        "the node is short of what the message names: free it, add a node, or ask for more in {amounts} so that another is chosen"),
    symptom(Failed, &[], reason::EVICTED, Time,
        "kubectl describe node says what the node lacks; another is chosen if there is one"),
    symptom(Lost, &[], reason::NODE_LOST, Time,
        "what ran there is given elsewhere when its lease ends; bring the node back, or remove it (kubectl delete node)"),
    symptom(Suspended, &[], reason::SUSPENDED, Time,
        "the operator suspends no Job: ask whoever does; with Kueue, kubectl describe workload and clusterqueue say what is short"),
    symptom(Unscheduled, &["SchedulingGated"], reason::SUSPENDED, Time,
        "ask whoever put the scheduling gate on the pod; with Kueue, kubectl describe workload says what is short"),
    symptom(Unscheduled, &[], reason::UNSCHEDULABLE, Time,
        "add a node or free one, ask for less in {amounts}, or change nodeSelector and tolerations"),
    symptom(NoPods, &[], reason::NO_PODS, Time,
        "kubectl describe job says more; the Job controller (kube-controller-manager) may be down"),
];

/// Longest cause in a message, so that there is room for the way out.
const MAX_CAUSE: usize = 640;

/// What is wrong, if anything is: the first symptom that something shows.
#[must_use]
pub fn diagnose(seen: &[Evidence], whose: Whose) -> Option<Finding> {
    SYMPTOMS.iter().find_map(|symptom| {
        let shows = |e: &&Evidence| {
            e.kind == symptom.kind
                && (symptom.says.is_empty() || symptom.says.iter().any(|s| e.text.contains(s)))
        };
        let evidence = seen.iter().find(shows)?;
        let (memory, amounts, image) = match whose {
            Whose::Pool => ("spec.resources.memory", "spec.resources", "spec.image"),
            Whose::Compiler => (
                "compiler.memory of the Validator",
                "compiler.cpu, compiler.memory and compiler.scratch of the Validator",
                "the operator's --compiler-image",
            ),
        };
        let way_out = symptom
            .way_out
            .replace("{memory}", memory)
            .replace("{amounts}", amounts)
            .replace("{image}", image);
        let alone = symptom.reason == reason::QUOTA_EXCEEDED && too_large_alone(&evidence.text);
        Some(Finding {
            reason: symptom.reason,
            message: format!("{}. {}", cut(&legible(&evidence.text)), capital(&way_out)),
            mends: if alone { Person } else { symptom.mends },
            lasts: symptom.lasts,
        })
    })
}

/// A quota of which nothing is used is too small for one pod: waiting will not help.
fn too_large_alone(text: &str) -> bool {
    let used = text.split_once("used: ").map(|(_, rest)| rest);
    let used = used
        .and_then(|rest| rest.split_once("limited: "))
        .map(|(used, _)| used);
    used.is_some_and(|used| {
        used.split(',')
            .filter_map(|part| part.trim().split_once('='))
            .any(|(_, amount)| amount == "0")
    })
}

fn capital(text: &str) -> String {
    // Commands keep their case.
    if text.starts_with("kubectl") {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

fn cut(text: &str) -> String {
    let text = text.trim_end_matches(['.', ' ']);
    if text.len() <= MAX_CAUSE {
        return text.to_owned();
    }
    let mut end = MAX_CAUSE;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} …", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, text: &str) -> Finding {
        let seen = Evidence {
            kind,
            text: text.to_owned(),
        };
        diagnose(&[seen], Whose::Pool).unwrap()
    }

    #[test]
    fn what_a_miner_wrote_paints_over_nothing() {
        for kind in [Waiting, Ended, Failed, Refused, Unscheduled, Suspended, Lost] {
            for says in ["", "InvalidImageName ", "ErrImagePull ", "OOMKilled "] {
                let text = format!("{says}\u{1b}[2J\u{1b}[Hdigits: 7\r\u{202e}");
                let seen = Evidence { kind, text };
                let Some(finding) = diagnose(&[seen], Whose::Pool) else {
                    continue;
                };
                assert!(
                    zkml::canonical::is_legible(&finding.message),
                    "{:?}",
                    finding.message
                );
            }
        }
        assert!(
            of(Waiting, "InvalidImageName: \u{1b}[2Jx")
                .message
                .contains(" [2Jx")
        );
    }

    #[test]
    fn what_kubernetes_says_is_told_with_its_cause_and_a_way_out() {
        for (kind, text, reason, mends, way_out) in [
            // Words of Kubernetes 1.36.
            (
                Refused,
                "pods \"a-x\" is forbidden: exceeded quota: q, requested: limits.cpu=200m, used: limits.cpu=100m, limited: limits.cpu=200m",
                "QuotaExceeded",
                Time,
                "ResourceQuota",
            ),
            (
                Refused,
                "pods \"a-x\" is forbidden: exceeded quota: q, requested: limits.cpu=200m, used: limits.cpu=0, limited: limits.cpu=50m",
                "QuotaExceeded",
                Person,
                "spec.resources",
            ),
            (
                Refused,
                "pods \"a-x\" is forbidden: failed quota: q: must specify limits.cpu for: worker",
                "QuotaExceeded",
                Time,
                "ResourceQuota",
            ),
            (
                Refused,
                "pods \"a-x\" is forbidden: maximum memory usage per Container is 64Mi, but limit is 512Mi",
                "OutsideLimitRange",
                Person,
                "LimitRange",
            ),
            (
                Refused,
                "pods \"a-x\" is forbidden: no PriorityClass with name nowhere was found",
                "NoPriorityClass",
                Person,
                "priorityClassName",
            ),
            (
                Refused,
                "pods \"a-x\" is forbidden: violates PodSecurity \"restricted:latest\": …",
                "Refused",
                Person,
                "restricted",
            ),
            (
                Refused,
                "admission webhook \"w\" denied the request: no",
                "Refused",
                Person,
                "admission policies",
            ),
            (
                Refused,
                "failed calling webhook \"w\": connection refused",
                "Refused",
                Time,
                "does not answer",
            ),
            (
                Refused,
                "jobs.batch is forbidden: User \"system:serviceaccount:a:b\" cannot create resource \"jobs\"",
                "Refused",
                Person,
                "lacks that right",
            ),
            (
                Waiting,
                "x/y:z: ErrImagePull: not found",
                "ImageUnavailable",
                Person,
                "spec.image",
            ),
            (
                Waiting,
                "x/y:z: CreateContainerConfigError: runAsNonRoot",
                "NotStarted",
                Person,
                "kubectl describe pod",
            ),
            (
                Waiting,
                "x/y:z: ContainerCreating for 40 s",
                "NotStarted",
                Time,
                "kubectl describe pod",
            ),
            (
                Ended,
                "x/y:z has ended 2 times, with exit code 137, OOMKilled",
                "OutOfMemory",
                Person,
                "spec.resources.memory",
            ),
            (
                Ended,
                "x/y:z has ended 2 times, with exit code 137, Error",
                "Crashing",
                Person,
                "spec.resources.memory",
            ),
            (
                Ended,
                "x/y:z has ended 2 times, with exit code 1, Error",
                "Crashing",
                Person,
                "gateway",
            ),
            (
                Ended,
                "x/y:z has ended 2 times, with exit code 2, Error: cannot write /work/out: No space left on device (os error 28)",
                "Crashing",
                Person,
                "disk that it writes to is full",
            ),
            (
                Ended,
                "x/y:z has ended 2 times, with exit code 127, ContainerCannotRun",
                "NotStarted",
                Person,
                "no such program",
            ),
            (
                Failed,
                "pod a: Evicted: The node was low on resource: ephemeral-storage",
                "Evicted",
                Time,
                "node",
            ),
            (Lost, "node n does not answer", "NodeLost", Time, "lease"),
            (Suspended, "Job a is suspended", "JobSuspended", Time, "Kueue"),
            (
                Unscheduled,
                "pod a: SchedulingGated: …",
                "JobSuspended",
                Time,
                "scheduling gate",
            ),
            (
                Unscheduled,
                "pod a: Unschedulable: 0/1 nodes are available",
                "Unschedulable",
                Time,
                "add a node",
            ),
            (
                NoPods,
                "Job a has no pods for 20 s",
                "NoPods",
                Time,
                "kubectl describe job",
            ),
        ] {
            let finding = of(kind, text);
            assert_eq!((finding.reason, finding.mends), (reason, mends), "{text}");
            let told = finding.message.to_lowercase();
            assert!(told.starts_with(&text.to_lowercase()), "{told}");
            assert!(told.contains(&way_out.to_lowercase()), "{told}");
            assert!(!told.contains(['{', '}']), "{told}");
        }
    }

    #[test]
    fn what_a_person_has_to_mend_comes_first_whatever_the_order_in_which_it_is_seen() {
        let seen =
            [(Unscheduled, "no room"), (Waiting, "x: ErrImagePull: no")].map(|(kind, text)| Evidence {
                kind,
                text: text.to_owned(),
            });
        let mut turned = seen.clone();
        turned.reverse();
        assert_eq!(diagnose(&seen, Whose::Pool), diagnose(&turned, Whose::Pool));
        assert_eq!(diagnose(&seen, Whose::Pool).unwrap().reason, "ImageUnavailable");
        assert_eq!(diagnose(&[], Whose::Pool), None);
    }

    #[test]
    fn every_kind_has_a_row_for_what_nobody_has_thought_of() {
        for kind in [
            Refused,
            NoPods,
            Waiting,
            Ended,
            Failed,
            Unscheduled,
            Suspended,
            Lost,
        ] {
            for whose in [Whose::Pool, Whose::Compiler] {
                let seen = Evidence {
                    kind,
                    text: "ü".repeat(2000),
                };
                let finding = diagnose(&[seen], whose).unwrap();
                assert!(
                    finding.message.len() <= zkinfer_crds::k8s::conditions::MAX_MESSAGE,
                    "{finding:?}"
                );
            }
        }
    }
}
