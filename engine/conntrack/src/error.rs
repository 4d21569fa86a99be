//! Why the kernel did not answer, in words for the operator.

use std::io;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such entry.
    #[error("the kernel tracks no such flow")]
    NotFound,
    /// We may not ask.
    #[error("the kernel refuses: CAP_NET_ADMIN is missing")]
    NoPrivilege,
    /// This kernel cannot be asked.
    #[error("this kernel has no connection tracking over netlink (module nf_conntrack_netlink)")]
    Unsupported,
    /// No answer in time.
    #[error("the kernel did not answer in time")]
    TimedOut,
    /// An answer without the tuples it must have.
    #[error("the kernel's answer cannot be read")]
    Unreadable,
    /// Anything else.
    #[error("connection tracking cannot be asked")]
    Io(#[source] io::Error),
}

// === impl QueryError ===

impl QueryError {
    /// By what a socket call said.
    pub fn from_io(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOENT) => Self::NotFound,
            Some(libc::EPERM | libc::EACCES) => Self::NoPrivilege,
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => {
                Self::Unsupported
            }
            _ => Self::Io(error),
        }
    }

    /// By what stood in the answer. EINVAL means that the subsystem does not know the request, which is
    /// a kernel without ctnetlink: our own requests are well formed.
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            libc::EINVAL => Self::Unsupported,
            other => Self::from_io(io::Error::from_raw_os_error(other)),
        }
    }

    /// Whether asking again cannot help.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::NoPrivilege | Self::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cure_is_in_the_text() {
        let text = |errno| QueryError::from_errno(errno).to_string();
        assert!(text(libc::EPERM).contains("CAP_NET_ADMIN"));
        assert!(text(libc::EINVAL).contains("nf_conntrack_netlink"));
        assert!(!QueryError::from_errno(libc::ENOENT).is_final());
        assert!(QueryError::from_errno(libc::EPERM).is_final());
    }
}
