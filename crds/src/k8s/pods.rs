//! What keeps pods from running: the words that a MinerPool says of its workers and a Model of its compiler.

use super::string_consts;

string_consts! {
    /// Why pods do not run. The message of the condition names the cause and a way out.
    pub mod reason {
        /// A ResourceQuota of the namespace leaves no room for them.
        QUOTA_EXCEEDED = "QuotaExceeded";
        /// A LimitRange of the namespace forbids pods of this size.
        OUTSIDE_LIMIT_RANGE = "OutsideLimitRange";
        /// Their PriorityClass does not exist.
        NO_PRIORITY_CLASS = "NoPriorityClass";
        /// The API server or an admission webhook refuses Jobs, pods or what they need, for a reason that the message has.
        REFUSED = "Refused";
        /// The Job has no pods, and Kubernetes does not say why.
        NO_PODS = "NoPods";
        /// The image cannot be fetched.
        IMAGE_UNAVAILABLE = "ImageUnavailable";
        /// The image is there and its container cannot be started.
        NOT_STARTED = "NotStarted";
        /// They end by themselves, again and again.
        CRASHING = "Crashing";
        /// They are ended for want of memory.
        OUT_OF_MEMORY = "OutOfMemory";
        /// The node has sent them away or refused them.
        EVICTED = "Evicted";
        /// No node has room for them.
        UNSCHEDULABLE = "Unschedulable";
        /// Somebody else than the operator, such as Kueue, holds their Job back.
        SUSPENDED = "JobSuspended";
        /// Their node does not answer.
        NODE_LOST = "NodeLost";
    }
}
