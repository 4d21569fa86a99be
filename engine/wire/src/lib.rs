//! The DogStatsD grammar: bytes in, borrowed messages or a reason out.
//!
//! ```text
//!  packet ─▶ frame::lines ─▶ line ─▶ parse ─▶ Message { Metric, Event, ServiceCheck }
//!               1                       2        │ names, values, tags, texts: slices of the packet
//!  stream ─▶ frame::StreamDecoder ─▶ packet      └▶ tags::TagMetadata: host, entity, cardinality
//!               3
//!
//!  Lost here: 1 a last line without newline, when one is required   2 a message that breaks the
//!  grammar: a `ParseError` says why and where   3 the rest of a broken stream: a `StreamEnd` says
//!  how it broke. The caller counts all three; nothing else is dropped.
//! ```
//!
//! # The grammar
//!
//! ```text
//!  packet   = line *( LF line )                   one CR before the LF or the end is cut; empty
//!                                                 lines do not exist
//!  line     = event / check / metric              told apart by "_e{" and "_sc" at the start
//!
//!  metric   = name ":" values "|" type *( "|" field )
//!  name     = 1*( any byte but ":" "|" LF )
//!  type     = "g" / "c" / "h" / "ms" / "d" / "s"
//!  values   = number *( ":" number )              empty elements are skipped, one must remain;
//!                                                 for "s" the whole text is one member
//!  field    = "#" tags / "@" number / "T" seconds / "c:" local / "e:" external / "card:" word
//!  tags     = tag *( "," tag )                    empty ones count, an empty field does not
//!
//!  event    = "_e{" length "," length "}:" title "|" text *( "|" field )     lengths in bytes
//!             fields d: h: k: p: s: t: # c: e: card:
//!  check    = "_sc|" name "|" status *( "|" field )                          status 0 to 3
//!             fields d: h: # m: c: e: card:
//! ```
//!
//! Order of fields is free, unknown and empty ones are skipped, of repeated ones the last counts.
//! Numbers are those of Go's `strconv.ParseFloat`, see [`number`].
//!
//! # Versions
//!
//! There is no version on the wire; each one only added something that older servers skip.
//! 1.0 name, value, type, rate, tags; 1.1 several values; 1.2 `c:` container; 1.3 `T` time;
//! 1.4 `c:in-` inode; 1.5 `e:` external data; later `card:`. All are read, always.
//!
//! # What is not done here
//!
//! Nothing is trimmed, normalised, lower-cased or checked to be UTF-8. Values are not scaled by
//! their rate. Signed gauges are values, not changes. No message is kept: parsing allocates
//! nothing, and a refused message says nothing about its neighbours.
#![forbid(unsafe_code)]

pub mod corpus;
mod error;
mod event;
mod fields;
pub mod format;
pub mod frame;
mod message;
mod metric;
pub mod number;
mod origin;
mod scan;
mod service_check;
pub mod tags;
mod value;

pub use error::{ParseError, ParseErrorKind};
pub use event::{Event, write_unescaped};
pub use message::{Message, MessageKind, Options, parse};
pub use metric::Metric;
pub use origin::OriginFields;
pub use service_check::ServiceCheck;
pub use value::{Pack, Values};
