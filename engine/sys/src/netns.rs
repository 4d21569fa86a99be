//! Work in another network namespace, on a thread of its own.
//!
//! A socket belongs for ever to the namespace its thread was in when it was made. So a short-lived thread
//! goes there, makes sockets, hands them over and ends: no thread has to find its way back, and none is
//! left in the wrong place when it cannot.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

/// Runs `work` in the namespace behind a file such as `/proc/1/ns/net` or `/run/netns/blue`. Blocks until
/// it is done; costs a thread.
///
/// # Errors
///
/// When the file cannot be opened or is no network namespace, or `setns` is refused (it takes
/// `CAP_SYS_ADMIN` in both namespaces). `work` has not run then.
pub fn within<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = File::open(path)?;
    on_a_thread(|| {
        enter(&namespace)?;
        Ok(work())
    })
}

/// Runs `work` in a new, empty network namespace, which ends with the last socket in it. For tests.
///
/// # Errors
///
/// When the kernel refuses; it takes `CAP_SYS_ADMIN`.
pub fn in_new<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_a_thread(|| {
        // SAFETY: unshare(2) with CLONE_NEWNET changes the network namespace of this thread only and
        // touches no memory of ours.
        let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(work())
    })
}

/// Number of the namespace behind a file: the same for all who are in it.
///
/// # Errors
///
/// When there is no such file.
pub fn inode(path: &Path) -> io::Result<u64> {
    Ok(std::fs::metadata(path)?.ino())
}

fn enter(namespace: &impl AsFd) -> io::Result<()> {
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: setns(2) reads a descriptor that is open across the call and changes the namespace of this
    // thread only. A descriptor of something else is refused because the type is given.
    let result = unsafe { libc::setns(fd, libc::CLONE_NEWNET) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, work)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "/proc/thread-self/ns/net";

    #[test]
    fn what_is_no_namespace_is_refused() {
        let none = within(Path::new("/nonexistent"), || ()).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
        assert!(within(Path::new("/proc/self/stat"), || ()).is_err());
    }

    #[test]
    fn the_caller_stays_where_it_is() {
        let here = inode(Path::new(OWN)).unwrap();
        // Without the privilege there is nothing to see.
        match in_new(|| inode(Path::new(OWN)).unwrap()) {
            Ok(there) => assert_ne!(there, here),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        assert_eq!(inode(Path::new(OWN)).unwrap(), here);
    }
}
