//! The ids of spans, and the text by which one goes to another process: `traceparent` of W3C's Trace Context.

use std::fmt;
use std::str::FromStr;

use rand::RngCore;
use zkinfer_crds::{ClaimId, Digest, RequestUid};

/// A span, as its children name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
    pub(crate) sampled: bool,
}

/// A text is no `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no traceparent of W3C Trace Context (00-<trace id>-<span id>-<flags>)")]
pub struct ContextError;

impl Context {
    /// The span of a request, which is the first of its trace.
    #[must_use]
    pub fn of_request(request: RequestUid) -> Self {
        Self::derived(request, "request", &[])
    }

    /// The span of a claim.
    #[must_use]
    pub fn of_claim(request: RequestUid, claim: ClaimId) -> Self {
        Self::derived(request, "claim", claim.as_bytes())
    }

    fn derived(request: RequestUid, what: &str, of: &[u8]) -> Self {
        let mut bytes = b"zkinfer.dev/span/v1\n".to_vec();
        bytes.extend_from_slice(what.as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(request.as_bytes());
        bytes.extend_from_slice(of);
        let digest = Digest::of(&bytes);
        let mut span = [0; 8];
        span.copy_from_slice(&digest.as_bytes()[..8]);
        Self {
            trace: *request.as_bytes(),
            span,
            sampled: true,
        }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn fresh(&self) -> Self {
        let mut span = [0; 8];
        rand::rngs::OsRng.fill_bytes(&mut span);
        Self { span, ..*self }
    }

    /// The trace's id, as tools show it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace)
    }

    /// Whether whoever made it tells of it.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        let (trace, span) = (hex::encode(self.trace), hex::encode(self.span));
        write!(f, "00-{trace}-{span}-{flags:02x}")
    }
}

impl FromStr for Context {
    type Err = ContextError;

    /// As the recommendation says: of a later version the first four parts are read, and others must follow a dash.
    fn from_str(text: &str) -> Result<Self, ContextError> {
        let lower = text.bytes().all(|b| !b.is_ascii_uppercase());
        let mut parts = text.split('-');
        let mut next = |len: usize| {
            let part = parts.next().filter(|p| p.len() == len).ok_or(ContextError)?;
            hex::decode(part).map_err(|_| ContextError)
        };
        let (version, trace, span, flags) = (next(2)?, next(16 * 2)?, next(8 * 2)?, next(2)?);
        let is_known = version == [0] && parts.next().is_none();
        let is_later = version != [0] && version != [0xff];
        let trace: [u8; 16] = trace.try_into().map_err(|_| ContextError)?;
        let span: [u8; 8] = span.try_into().map_err(|_| ContextError)?;
        if !lower || !(is_known || is_later) || trace == [0; 16] || span == [0; 8] {
            return Err(ContextError);
        }
        let sampled = flags.first().is_some_and(|flags| flags & 1 == 1);
        Ok(Self { trace, span, sampled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: RequestUid = RequestUid::new([0x5a; 16]);

    #[test]
    fn the_trace_of_a_request_is_its_uid_and_its_claims_have_spans_of_their_own() {
        let request = Context::of_request(REQUEST);
        assert_eq!(request.trace_id(), REQUEST.to_string().replace('-', ""));
        let claims = [1, 2].map(|n| Context::of_claim(REQUEST, ClaimId::new([n; 16])));
        assert_ne!(claims[0], claims[1]);
        assert!(
            claims
                .iter()
                .all(|c| c.trace == request.trace && c.span != request.span)
        );
        assert_eq!(claims[0], Context::of_claim(REQUEST, ClaimId::new([1; 16])));
        assert_ne!(request.fresh().span, request.span);
    }

    #[test]
    fn a_traceparent_is_read_as_it_is_written() {
        for context in [
            Context::of_request(REQUEST),
            Context::of_claim(REQUEST, ClaimId::new([9; 16])),
        ] {
            assert_eq!(context.to_string().parse(), Ok(context));
        }
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let read: Context = text.parse().unwrap();
        assert!(!read.is_sampled());
        assert_eq!(read.to_string(), text);
        // A later version may have more behind it.
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more";
        assert!(later.parse::<Context>().unwrap().is_sampled());
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<Context>(), Err(ContextError), "{text}");
        }
    }
}
