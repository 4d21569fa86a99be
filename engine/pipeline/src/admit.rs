//! What happens to a message's name before it may become a context.
//!
//! ```text
//!  parsed name ──▶ mapper ──▶ (special tags) ──▶ namespace ──▶ filter ──▶ context
//!                    1                                           2
//!  at flush:  final series name ──▶ filter (flush half)   distribution tags ──▶ tag_filter
//!                                     2                                            3
//! ```
//!
//! Everything here is pure: no clock, no thread, no I/O, and nothing is counted; the caller counts
//! what it drops. Dropped by order of the settings: 2 a refused name, 3 a refused tag (its context
//! is merged, no value is lost). 1 never drops: a name without a rule passes unchanged.
//!
//! All of it is built once from settings and is then immutable and shared, except
//! [`cache::MapperCache`], of which every lane owns one.

pub mod cache;
pub mod filter;
pub mod mapper;
pub mod namespace;
pub mod normalize;
pub mod pattern;
pub mod prefixes;
pub mod tag_filter;
pub mod template;
