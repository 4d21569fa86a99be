//! The command line of Greyhound.
