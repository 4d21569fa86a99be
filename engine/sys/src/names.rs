//! User and group names to ids, for the owner of a socket file.
//!
//! Called at start only: the lookup may read files and, by `/etc/nsswitch.conf`, ask the network.

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Longest entry we make room for, in bytes: a group with some ten thousand members.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// The uid of a user name, or of a number in digits. Blocks.
///
/// # Errors
///
/// `NotFound` when nobody has that name; otherwise what the lookup says.
pub fn user_id(name: &str) -> io::Result<u32> {
    numeric_or(name, |name, buffer| {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: getpwnam_r(3) reads the NUL-terminated name, writes the entry at `pwd`, its texts
        // to at most `buflen` bytes at `buf`, and null or `pwd` to `result`. All are ours and live.
        let error = unsafe {
            libc::getpwnam_r(
                name,
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &mut found,
            )
        };
        // SAFETY: a non-null result is the entry above, which the call has filled.
        let id = unsafe { found.as_ref() }.map(|entry| entry.pw_uid);
        (error, id)
    })
}

/// The gid of a group name, or of a number in digits. Blocks.
///
/// # Errors
///
/// As for [`user_id`].
pub fn group_id(name: &str) -> io::Result<u32> {
    numeric_or(name, |name, buffer| {
        let mut entry = MaybeUninit::<libc::group>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: getgrnam_r(3) reads the NUL-terminated name, writes the entry at `grp`, its texts
        // to at most `buflen` bytes at `buf`, and null or `grp` to `result`. All are ours and live.
        let error = unsafe {
            libc::getgrnam_r(
                name,
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &mut found,
            )
        };
        // SAFETY: a non-null result is the entry above, which the call has filled.
        let id = unsafe { found.as_ref() }.map(|entry| entry.gr_gid);
        (error, id)
    })
}

fn numeric_or(
    name: &str,
    lookup: impl Fn(*const c_char, &mut [c_char]) -> (c_int, Option<u32>),
) -> io::Result<u32> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let text = CString::new(name)?;
    let mut buffer = vec![0; 1024];
    loop {
        match lookup(text.as_ptr(), &mut buffer) {
            (0, Some(id)) => return Ok(id),
            // The manual page lists these beside 0 as ways in which "no such name" is said.
            (0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM, None) => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("no user or group named {name:?}"),
                ));
            }
            (libc::EINTR, _) => {}
            (libc::ERANGE, _) if buffer.len() < ENTRY_BYTES_MAX => {
                buffer.resize(buffer.len() * 4, 0);
            }
            (error, _) => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_nought_by_name_and_by_number() {
        assert_eq!(user_id("root").unwrap(), 0);
        assert_eq!(group_id("root").unwrap(), 0);
        assert_eq!(user_id("1234").unwrap(), 1234);
    }

    #[test]
    fn a_name_that_nobody_has_is_not_found() {
        for name in ["no-such-name-here", "", "-5"] {
            assert_eq!(user_id(name).unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(group_id(name).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert!(user_id("a\0b").is_err());
    }
}
