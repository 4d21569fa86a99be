//! What a corpus is made of.

use std::str::FromStr;

/// Everything that decides the lines of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Preset for whatever the other fields leave open.
    pub shape: Shape,
    /// How many different lines.
    pub contexts: usize,
    /// Where chance starts.
    pub seed: u64,
    /// Mix of kinds.
    pub kinds: Kinds,
    /// Tags on a line.
    pub tags: Option<Span>,
    /// Bytes of a name.
    pub name_len: Option<Span>,
    /// Bytes of a tag.
    pub tag_len: Option<Span>,
    /// Of a hundred tags so many are new, the others were on a line before. Without it only the first
    /// tag of a line is its own.
    pub new_tags_percent: Option<u8>,
}

/// Which lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Short lines.
    Lean,
    /// Lines as most clients send them.
    Standard,
    /// Lines of 1 to 2 KB.
    Long,
}

/// Which lines come more often than others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Popularity {
    /// None.
    #[default]
    Uniform,
    /// As many draws fall on lines 2 and 3 as on 4 to 7, on 8 to 15, and so on.
    Skewed,
}

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `c`
    Counter,
    /// `g`
    Gauge,
    /// `ms`
    Timing,
    /// `h`
    Histogram,
    /// `d`
    Distribution,
    /// `s`
    Set,
    /// `e`
    Event,
    /// `sc`
    ServiceCheck,
}

/// How often each kind comes, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds {
    weights: [u32; Kind::ALL.len()],
}

/// A number drawn evenly, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Least.
    pub min: usize,
    /// Most; not below `min`.
    pub max: usize,
}

/// A text that is no mix of kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindsError(String);

/// A text that is no span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanError(String);

// === impl Recipe ===

impl Recipe {
    /// The preset as it is.
    pub const fn new(shape: Shape, contexts: usize, seed: u64) -> Self {
        Self {
            shape,
            contexts,
            seed,
            kinds: Kinds::PRESET,
            tags: None,
            name_len: None,
            tag_len: None,
            new_tags_percent: None,
        }
    }
}

// === impl Shape ===

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 3] = [Self::Lean, Self::Standard, Self::Long];

    /// The word in bench names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lean => "lean",
            Self::Standard => "standard",
            Self::Long => "long",
        }
    }
}

// === impl Kind ===

impl Kind {
    /// All kinds, in the order chance goes through them.
    pub const ALL: [Self; 8] = [
        Self::Counter,
        Self::Gauge,
        Self::Timing,
        Self::Histogram,
        Self::Distribution,
        Self::Set,
        Self::Event,
        Self::ServiceCheck,
    ];

    /// How it is written in a mix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "c",
            Self::Gauge => "g",
            Self::Timing => "ms",
            Self::Histogram => "h",
            Self::Distribution => "d",
            Self::Set => "s",
            Self::Event => "e",
            Self::ServiceCheck => "sc",
        }
    }
}

// === impl Kinds ===

impl Kinds {
    /// What every preset has.
    pub const PRESET: Self = Self {
        weights: [60, 20, 5, 5, 5, 5, 0, 0],
    };

    /// Sum of the weights; never 0.
    pub(super) fn total(&self) -> usize {
        self.weights.iter().map(|&weight| weight as usize).sum()
    }

    /// The kind that `point`, below [`total`](Self::total), falls on, and whether it falls on the
    /// first tenth of it.
    pub(super) fn at(&self, point: usize) -> (Kind, bool) {
        let mut left = point;
        for (kind, &weight) in Kind::ALL.into_iter().zip(&self.weights) {
            let weight = weight as usize;
            if left < weight {
                return (kind, left * 10 < weight);
            }
            left -= weight;
        }
        (Kind::Counter, false)
    }
}

impl FromStr for Kinds {
    type Err = KindsError;

    /// Reads `c=60,g=20,ms=5`; kinds that are not named do not come.
    fn from_str(text: &str) -> Result<Self, KindsError> {
        let invalid = || KindsError(text.to_owned());
        let mut weights = [0u32; Kind::ALL.len()];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').ok_or_else(invalid)?;
            let place = Kind::ALL.iter().position(|kind| kind.as_str() == name);
            let weight: u16 = weight.parse().map_err(|_| invalid())?;
            weights[place.ok_or_else(invalid)?] = weight.into();
        }
        let kinds = Self { weights };
        (kinds.total() > 0).then_some(kinds).ok_or_else(invalid)
    }
}

impl std::fmt::Display for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut comma = "";
        for (kind, weight) in Kind::ALL.into_iter().zip(self.weights) {
            if weight > 0 {
                write!(f, "{comma}{}={weight}", kind.as_str())?;
                comma = ",";
            }
        }
        Ok(())
    }
}

// === impl Span ===

impl FromStr for Span {
    type Err = SpanError;

    /// Reads `4` or `4..6`.
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        match (min.parse::<u16>(), max.parse::<u16>()) {
            (Ok(min), Ok(max)) if min <= max => Ok(Self {
                min: min.into(),
                max: max.into(),
            }),
            _ => Err(SpanError(text.to_owned())),
        }
    }
}

// === impl KindsError, SpanError ===

impl std::fmt::Display for KindsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` is no mix of kinds; write c=60,g=20,ms=5,h=5,d=5,s=5 with weights up to 65535, \
             and e or sc for events or service checks",
            self.0
        )
    }
}

impl std::error::Error for KindsError {}

impl std::fmt::Display for SpanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is neither N nor MIN..MAX, up to 65535", self.0)
    }
}

impl std::error::Error for SpanError {}
