//! One TLS port for operators and other agents.
