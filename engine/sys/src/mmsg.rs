//! Many datagrams in one system call, in and out.
//!
//! Measured: 64 in a call is the knee. Receiving never waits (the caller polls), and a datagram
//! longer than its slot comes back marked, with its real length, never as if it were whole.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use crate::peer::Credentials;
use crate::slots::{Received, SLOTS_PER_CALL_MAX, Slots};

/// Appends up to `limit` waiting datagrams to `slots` and says how many came. Never blocks; one
/// system call, at most 64 datagrams.
///
/// # Errors
///
/// `WouldBlock` when nothing waits, or no slot is free; else what the kernel says, with `slots`
/// unchanged. An interrupted call is made again.
pub fn receive(socket: &impl AsFd, slots: &mut Slots, limit: usize) -> io::Result<usize> {
    let count = limit
        .min(SLOTS_PER_CALL_MAX)
        .min(slots.capacity() - slots.len());
    if count == 0 {
        return Err(io::Error::from(io::ErrorKind::WouldBlock));
    }
    prepare(slots, count);
    let got = call(socket, slots, count)?;
    take_over(slots, got);
    Ok(got)
}

/// As [`receive`], for a UDP socket bound to `local`; also notes where each datagram came from and went to,
/// if `slots` has room for that.
///
/// # Errors
///
/// As [`receive`].
pub fn receive_from(
    socket: &impl AsFd,
    local: SocketAddr,
    slots: &mut Slots,
    limit: usize,
) -> io::Result<usize> {
    if slots.room.is_none() {
        return receive(socket, slots, limit);
    }
    let count = limit
        .min(SLOTS_PER_CALL_MAX)
        .min(slots.capacity() - slots.len());
    if count == 0 {
        return Err(io::Error::from(io::ErrorKind::WouldBlock));
    }
    prepare(slots, count);
    make_room(slots, count);
    let first = slots.filled;
    let got = call(socket, slots, count);
    if let Ok(got) = got {
        take_over(slots, got);
        // UDP has no credentials; what lies in their space is of an earlier datagram.
        for received in &mut slots.received[first..first + got] {
            received.sender = Credentials::default();
        }
        note_peers(slots, first, got, local);
    }
    // The next call on these headers may be for a Unix socket.
    for header in &mut slots.headers {
        header.0.msg_hdr.msg_name = ptr::null_mut();
        header.0.msg_hdr.msg_namelen = 0;
    }
    got
}

/// The system call of both. `prepare` must have pointed the first `count` headers at distinct slots.
fn call(socket: &impl AsFd, slots: &mut Slots, count: usize) -> io::Result<usize> {
    debug_assert!(count <= slots.headers.len());
    let fd = socket.as_fd().as_raw_fd();
    loop {
        // SAFETY: recvmmsg(2) writes at most `vlen` headers from `msgvec` on, and through each header
        // into its one iovec, its name and its control space. `prepare` and `make_room` have pointed
        // the first `count` headers, a slice we borrow exclusively, at distinct slots, names and
        // control entries of the same exclusively borrowed `Slots`, with their true lengths. Nothing
        // is kept after the call. The timeout may be null.
        let got = unsafe {
            libc::recvmmsg(
                fd,
                slots.headers.as_mut_ptr().cast(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC,
                ptr::null_mut(),
            )
        };
        match usize::try_from(got) {
            Ok(got) => return Ok(got.min(count)),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Sends `packets` on a connected socket and says how many the kernel took, at most 64 of them. Fewer
/// than given means that the next would have failed: call again with the rest to learn why.
///
/// # Errors
///
/// When not even the first could be sent. An interrupted call is made again.
pub fn send(socket: &impl AsFd, packets: &[IoSlice<'_>]) -> io::Result<usize> {
    let count = packets.len().min(SLOTS_PER_CALL_MAX);
    let mut headers: [MaybeUninit<libc::mmsghdr>; SLOTS_PER_CALL_MAX] =
        [MaybeUninit::zeroed(); SLOTS_PER_CALL_MAX];
    for (header, packet) in headers.iter_mut().zip(packets) {
        // SAFETY: mmsghdr is plain integers and raw pointers, for which the zeroes it has are valid.
        let header = unsafe { header.assume_init_mut() };
        // `IoSlice` has the layout of `iovec` by its documentation; the kernel only reads through it.
        header.msg_hdr.msg_iov = ptr::from_ref(packet).cast_mut().cast();
        header.msg_hdr.msg_iovlen = 1;
    }
    let fd = socket.as_fd().as_raw_fd();
    loop {
        // SAFETY: sendmmsg(2) reads `vlen` headers and what their one iovec points at, and writes
        // `msg_len` of each. The first `count` headers are ours and point into `packets`, which is
        // borrowed across the call. MSG_NOSIGNAL: an error, not SIGPIPE.
        let sent = unsafe {
            libc::sendmmsg(
                fd,
                headers.as_mut_ptr().cast(),
                count as libc::c_uint,
                libc::MSG_NOSIGNAL,
            )
        };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Points the first `count` headers at the next free slots. Pointers are made anew for each call, so
/// none is ever older than the borrow it comes from.
fn prepare(slots: &mut Slots, count: usize) {
    let free = slots
        .slab
        .chunks_exact_mut(slots.stride_bytes)
        .skip(slots.filled)
        .map(|slot| &mut slot[..slots.slot_bytes]);
    let mut control = slots.control.iter_mut();
    let entries = slots.headers.iter_mut().zip(&mut slots.vectors).zip(free);
    for ((header, vector), slot) in entries.take(count) {
        vector.0.iov_base = slot.as_mut_ptr().cast();
        vector.0.iov_len = slot.len();
        let message = &mut header.0.msg_hdr;
        message.msg_iov = &raw mut vector.0;
        message.msg_iovlen = 1;
        message.msg_flags = 0;
        match control.next() {
            Some(control) => {
                message.msg_controllen = size_of_val(control) as _;
                message.msg_control = ptr::from_mut(control).cast();
            }
            None => {
                message.msg_control = ptr::null_mut();
                message.msg_controllen = 0;
            }
        }
    }
}

/// Points the names and control messages of the first `count` headers at the room for addresses.
fn make_room(slots: &mut Slots, count: usize) {
    let Some(room) = &mut slots.room else {
        return;
    };
    for (header, space) in slots.headers.iter_mut().zip(&mut room.spaces).take(count) {
        let message = &mut header.0.msg_hdr;
        message.msg_namelen = size_of_val(&space.name) as libc::socklen_t;
        message.msg_name = space.name.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&space.control) as _;
        message.msg_control = space.control.as_mut_ptr().cast();
    }
}

/// Reads the addresses the kernel wrote for the `got` slots from `first` on.
fn note_peers(slots: &mut Slots, first: usize, got: usize, local: SocketAddr) {
    let Some(room) = &mut slots.room else {
        return;
    };
    // Slots that were filled another way have no addresses, and those behind them would get theirs.
    if room.filled != first {
        return;
    }
    let answers = slots.headers.iter().zip(&room.spaces).take(got);
    for (peer, (header, space)) in room.peers[first..].iter_mut().zip(answers) {
        let message = &header.0.msg_hdr;
        *peer = space.peer(message.msg_namelen as usize, message.msg_controllen, local);
    }
    room.filled = first + got;
}

/// Reads what the kernel wrote into the first `got` headers.
fn take_over(slots: &mut Slots, got: usize) {
    let received = &mut slots.received[slots.filled..];
    for (index, (received, header)) in received
        .iter_mut()
        .zip(&slots.headers)
        .take(got)
        .enumerate()
    {
        let header = &header.0;
        let sender = slots
            .control
            .get(index)
            .and_then(|control| control.credentials(header.msg_hdr.msg_controllen));
        *received = Received {
            len_bytes: header.msg_len,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0
                || header.msg_len as usize > slots.slot_bytes,
            sender: sender.unwrap_or_default(),
        };
    }
    slots.filled += got;
}

#[cfg(test)]
mod tests;
