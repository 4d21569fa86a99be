//! What the process sets for itself at start: open files, core files, signals, umask.

use std::io;

/// Raises the number of files we may open to the hard limit and says how many that is.
///
/// # Errors
///
/// When the kernel refuses; the old limit then stays.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = limit_of(libc::RLIMIT_NOFILE)?;
    limit.rlim_cur = limit.rlim_max;
    set_limit(libc::RLIMIT_NOFILE, limit)?;
    Ok(limit.rlim_cur)
}

/// Lowers the number of files we may open; for tests of what happens at the limit.
///
/// # Errors
///
/// When the kernel refuses.
pub fn limit_open_files(count: u64) -> io::Result<()> {
    let mut limit = limit_of(libc::RLIMIT_NOFILE)?;
    limit.rlim_cur = count.min(limit.rlim_max);
    set_limit(libc::RLIMIT_NOFILE, limit)
}

/// Forbids core files: they would hold whatever secrets the process holds.
///
/// # Errors
///
/// When the kernel refuses.
pub fn forbid_core_files() -> io::Result<()> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    set_limit(libc::RLIMIT_CORE, none)
}

/// Turns a write to a closed pipe (`SIGPIPE`) and beyond a file size limit (`SIGXFSZ`) into errors
/// of the write instead of the end of the process.
///
/// # Errors
///
/// Never on Linux; signal(2) fails only for signals that do not exist.
pub fn ignore_write_signals() -> io::Result<()> {
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: signal(2) with SIG_IGN installs no code of ours; it is valid for both signals.
        let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
        if before == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Sets the permissions that new files do not get, and returns what it was. Touches the whole
/// process; call it at start, before there are threads.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: umask(2) takes a number and always succeeds.
    unsafe { libc::umask(mask & 0o777) }
}

fn limit_of(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit(2) writes one `struct rlimit` at a live place of ours.
    let result = unsafe { libc::getrlimit(resource, &mut limit) };
    if result == 0 {
        Ok(limit)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set_limit(resource: libc::__rlimit_resource_t, limit: libc::rlimit) -> io::Result<()> {
    // SAFETY: setrlimit(2) reads one `struct rlimit`, live across the call.
    let result = unsafe { libc::setrlimit(resource, &limit) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_goes_to_its_hard_limit() {
        let raised = raise_open_files().unwrap();
        assert_eq!(limit_of(libc::RLIMIT_NOFILE).unwrap().rlim_cur, raised);
    }

    #[test]
    fn core_files_are_forbidden() {
        forbid_core_files().unwrap();
        assert_eq!(limit_of(libc::RLIMIT_CORE).unwrap().rlim_max, 0);
    }

    #[test]
    fn a_write_to_a_closed_pipe_is_an_error() {
        use std::io::Write;
        ignore_write_signals().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(
            writer.write(b"x").unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
