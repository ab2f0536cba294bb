//! Which values a tensor has room for.
//!
//! Invariant: it says how far integers go, and changes no value of the float graph.

/// Which values a tensor has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// As far as calibration's go: an input that has others is refused.
    Calibrated,
    /// All that its node makes of what the tensors that it reads have room for, in calibration's steps.
    All,
    /// The same, on the way to a clamp, which leaves numbers from 0 to this one: as fine as what is clamped.
    Edge(u32),
    /// What such a clamp leaves: its node reads one on the way to it, in the same steps.
    Clamped,
    /// What is beyond the ends of the clamp that reads it, in the clamp's steps: 0 of what is within.
    Beyond,
    /// What a clamp leaves whose ends are as far as calibration's go, and no farther than this to either side.
    Within(u32),
}

impl Hold {
    /// Whether its node takes its steps from the tensor that it reads, if that is on the way to a clamp.
    pub(crate) const fn follows(self, read: Self) -> bool {
        matches!(self, Self::Edge(_) | Self::Clamped) && matches!(read, Self::Edge(_))
    }

    /// Whether a tensor that it reads so is as wide as its own readers ask.
    pub(crate) const fn as_wide_as(self, read: Self) -> bool {
        self.follows(read) || (matches!(self, Self::Within(_)) && matches!(read, Self::Beyond))
    }

    /// Whether it has room for all that its node makes.
    pub(crate) const fn has_room(self) -> bool {
        matches!(self, Self::All | Self::Edge(_) | Self::Beyond)
    }
}
