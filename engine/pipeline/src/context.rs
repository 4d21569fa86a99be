//! From the bytes of a message to the context they mean.
//!
//! Canonicalising tags on every line costs ten times what hashing the raw bytes costs. So there are
//! two tables: *spellings*, keyed by what a client literally sends, and *contexts*, keyed by what it
//! means. The same client sends the same bytes again and again and hits the first; only a new
//! spelling goes through mapping, namespace, filters, enrichment and sorting, and several
//! spellings may lead to one context.

pub mod growth;
pub mod hash;
pub mod index;
pub mod limiter;
pub mod table;
