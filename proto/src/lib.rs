//! Messages and services on the wire, one module per protobuf package.
