//! The kernel's connection table, read over netlink.
