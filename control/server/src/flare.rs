//! An archive of everything somebody far away needs to help, without the secrets in it.

pub mod scrub;
