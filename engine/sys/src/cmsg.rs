//! Control messages: what the kernel says about a datagram beside its bytes.
//!
//! There is room for exactly one message: the sender's credentials. That is on purpose. A sender may
//! attach open files to a datagram; the kernel writes credentials first, finds no room for the
//! files, and closes them. With more room they would be installed in our process, and a stranger
//! could fill our descriptor table.

use crate::peer::Credentials;

/// Bytes of one control message with credentials, padding included.
///
/// `CMSG_SPACE(sizeof(struct ucred))`, checked against libc by a test.
pub(crate) const CONTROL_BYTES: usize = HEADER_BYTES + size_of::<libc::ucred>().next_multiple_of(8);

const HEADER_BYTES: usize = size_of::<libc::cmsghdr>().next_multiple_of(8);

/// Where the kernel writes the control message of one datagram. Aligned as `cmsghdr` wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control([u8; CONTROL_BYTES]);

// === impl Control ===

impl Control {
    pub(crate) const EMPTY: Self = Self([0; CONTROL_BYTES]);

    /// The credentials, if the first `len` bytes hold them. Reads bytes only, trusts no length.
    pub(crate) fn credentials(&self, len: usize) -> Option<Credentials> {
        let bytes = &self.0[..len.min(CONTROL_BYTES)];
        let word = |at: usize| -> Option<u32> {
            let word = bytes.get(at..at.checked_add(4)?)?;
            Some(u32::from_ne_bytes(word.try_into().ok()?))
        };
        // struct cmsghdr: the length is a `size_t`, then level and type.
        const LEVEL_AT: usize = std::mem::offset_of!(libc::cmsghdr, cmsg_level);
        const TYPE_AT: usize = std::mem::offset_of!(libc::cmsghdr, cmsg_type);
        let is_credentials = word(LEVEL_AT)? == libc::SOL_SOCKET as u32
            && word(TYPE_AT)? == libc::SCM_CREDENTIALS as u32;
        if !is_credentials {
            return None;
        }
        const PID_AT: usize = HEADER_BYTES + std::mem::offset_of!(libc::ucred, pid);
        const UID_AT: usize = HEADER_BYTES + std::mem::offset_of!(libc::ucred, uid);
        const GID_AT: usize = HEADER_BYTES + std::mem::offset_of!(libc::ucred, gid);
        Some(Credentials {
            pid: word(PID_AT)?,
            uid: word(UID_AT)?,
            gid: word(GID_AT)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_what_the_kernel_needs_for_credentials_and_nothing_else() {
        // SAFETY: CMSG_SPACE(3) is arithmetic on its argument.
        let space = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as u32) };
        assert_eq!(CONTROL_BYTES, space as usize);
    }

    #[test]
    fn nothing_is_read_from_an_empty_or_short_message() {
        for len in 0..CONTROL_BYTES + 8 {
            assert_eq!(Control::EMPTY.credentials(len), None);
        }
    }
}
