//! Why the kernel did not answer, and what mends it, in words for the operator.

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
    /// There is no network namespace behind this name.
    #[error("there is no network namespace {0:?}")]
    NoNamespace(String),
    /// There is one, and we may not go there.
    #[error(
        "network namespace {0:?} may not be entered: CAP_SYS_ADMIN or CAP_SYS_PTRACE is missing"
    )]
    NamespaceRefused(String),
    /// No answer in time.
    #[error("the kernel did not answer in time")]
    TimedOut,
    /// An answer without the tuples it must have.
    #[error("the kernel's answer cannot be read")]
    Unreadable,
    /// Anything else.
    #[error("connection tracking cannot be asked: {0}")]
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

    /// By what stood in the way to a namespace.
    pub fn entering(name: &str, error: io::Error) -> Self {
        match error.raw_os_error() {
            // A file of another kind is refused with EINVAL.
            Some(libc::ENOENT | libc::ENOTDIR | libc::EINVAL) => Self::NoNamespace(name.to_owned()),
            Some(libc::EPERM | libc::EACCES) => Self::NamespaceRefused(name.to_owned()),
            _ => Self::Io(error),
        }
    }

    /// Whether asking again soon cannot help.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::NoPrivilege | Self::Unsupported | Self::NamespaceRefused(_)
        )
    }

    /// What mends it: a command where there is one; empty where nothing is known.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::NoPrivilege => {
                "setcap cap_net_admin+ep \"$(command -v greyhound)\"; AmbientCapabilities=CAP_NET_ADMIN in a unit; \
                 --cap-add NET_ADMIN for a container"
            }
            Self::Unsupported => "modprobe nf_conntrack_netlink, on the host",
            Self::NoNamespace(_) => {
                "ip netns list shows names; greyhound.conntrack.namespaces takes self, host, a path, or such a name"
            }
            Self::NamespaceRefused(_) => {
                "setcap cap_net_admin,cap_sys_admin,cap_sys_ptrace+ep \"$(command -v greyhound)\"; for a container \
                 --pid host --cap-add NET_ADMIN --cap-add SYS_ADMIN --cap-add SYS_PTRACE"
            }
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cure_is_a_command() {
        let of = QueryError::from_errno;
        assert!(of(libc::EPERM).to_string().contains("CAP_NET_ADMIN"));
        assert!(of(libc::EPERM).cure().contains("setcap cap_net_admin"));
        for errno in [libc::EINVAL, libc::EPROTONOSUPPORT] {
            assert!(of(errno).to_string().contains("nf_conntrack_netlink"));
            assert!(of(errno).cure().contains("modprobe nf_conntrack_netlink"));
        }
        assert!(!of(libc::ENOENT).is_final());
        assert!(of(libc::EPERM).is_final());
    }

    #[test]
    fn a_namespace_that_is_missing_is_no_missing_flow() {
        let entering = |errno| QueryError::entering("blue", io::Error::from_raw_os_error(errno));
        let missing = entering(libc::ENOENT);
        assert!(missing.to_string().contains("\"blue\""), "{missing}");
        assert!(!missing.is_final() && missing.cure().contains("ip netns"));
        let refused = entering(libc::EPERM);
        assert!(refused.to_string().contains("CAP_SYS_ADMIN"), "{refused}");
        assert!(refused.is_final());
    }
}
