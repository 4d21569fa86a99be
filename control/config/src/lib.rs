//! Settings: one table, layers over it, and where each value comes from.
//!
//! ```text
//!  datadog.yaml ─▶ file ─┐
//!  DD_*, GREYHOUND_* ─▶ environment ─┼─▶ Store (one slot per layer and row) ─▶ Settings, typed
//!  --set key=value ─▶ cli ─┘                 ▲                            └─▶ listing, with places
//!                                      table: key, kind, default, help ─▶ reference page, JSON Schema
//! ```
//!
//! The order of layers is in [`layer`]. This crate is the only reader of settings files and of the
//! environment; it starts nothing but the program of `secret_backend_command`. A wrong value stops the start, and all wrong values are reported
//! together with file, line and column. Names nobody knows, and settings without effect, are listed
//! in the [`report::Report`] and stop nothing, because a `datadog.yaml` is shared with others.
#![forbid(unsafe_code)]

pub mod env;
pub mod error;
pub mod file;
pub mod kind;
pub mod layer;
pub mod live;
pub mod load;
pub mod mapper;
mod node;
pub mod page;
pub mod place;
pub mod report;
pub mod routing;
pub mod schema;
pub mod secret;
pub mod secrets;
pub mod settings;
pub mod store;
pub mod table;
pub mod tag_filter;
pub mod tree;
pub mod value;
mod yaml;

pub use node::Mark;
