//! The Agent's distribution sketch.

/// A sketch of values.
#[derive(Clone, Debug, Default)]
pub struct Sketch {}

impl Sketch {}
