//! Buckets of one lane: what the samples of some seconds add up to.
//!
//! A bucket is a few plain vectors. Handing it over is a move of those vectors, whatever their size.

pub mod bucket;
pub mod cell;
pub mod weight;
