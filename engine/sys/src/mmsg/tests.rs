//! Real datagrams through real sockets, into slots and back.

use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::*;
use crate::slots::Senders;
use crate::socket::pass_credentials;

fn udp_pair() -> (UdpSocket, UdpSocket) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    (sender, receiver)
}

fn bytes(slots: &Slots) -> Vec<&[u8]> {
    slots.iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn a_batch_keeps_the_edges_and_the_order_of_datagrams() {
    let (sender, receiver) = udp_pair();
    let packets: [&[u8]; 3] = [b"first", b"", b"third"];
    let vectors: Vec<_> = packets.iter().map(|packet| IoSlice::new(packet)).collect();
    assert_eq!(send(&sender, &vectors).unwrap(), 3);
    let mut slots = Slots::new(8, 16, Senders::Ignored);
    assert_eq!(receive(&receiver, &mut slots, 8).unwrap(), 3);
    assert_eq!(bytes(&slots), packets);
    assert_eq!(
        receive(&receiver, &mut slots, 8).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    assert_eq!(slots.len(), 3);
}

#[test]
fn a_second_receive_goes_behind_the_first() {
    let (sender, receiver) = udp_pair();
    let mut slots = Slots::new(3, 4, Senders::Ignored);
    for text in [b"a", b"b", b"c", b"d"] {
        sender.send(text).unwrap();
    }
    assert_eq!(receive(&receiver, &mut slots, 1).unwrap(), 1);
    assert_eq!(receive(&receiver, &mut slots, 64).unwrap(), 2);
    assert_eq!(bytes(&slots), [b"a", b"b", b"c"]);
    assert!(slots.is_full());
    assert!(receive(&receiver, &mut slots, 64).is_err());
    slots.clear();
    assert_eq!(receive(&receiver, &mut slots, 64).unwrap(), 1);
    assert_eq!(bytes(&slots), [b"d"]);
}

#[test]
fn a_datagram_longer_than_its_slot_is_marked_with_its_real_length() {
    let (sender, receiver) = udp_pair();
    sender.send(&[b'x'; 65]).unwrap();
    sender.send(&[b'y'; 64]).unwrap();
    let mut slots = Slots::new(2, 64, Senders::Ignored);
    assert_eq!(receive(&receiver, &mut slots, 2).unwrap(), 2);
    let all: Vec<_> = slots.iter().map(|(received, _)| received).collect();
    assert!(all[0].truncated && all[0].len_bytes == 65);
    assert!(!all[1].truncated && all[1].len_bytes == 64);

    let (sender, receiver) = UnixDatagram::pair().unwrap();
    sender.send(&[b'x'; 65]).unwrap();
    slots.clear();
    receive(&receiver, &mut slots, 1).unwrap();
    let (received, kept) = slots.iter().next().unwrap();
    assert!(received.truncated && received.len_bytes == 65 && kept.len() == 64);
}

#[test]
fn the_kernel_names_the_sender_when_asked() {
    let (sender, receiver) = UnixDatagram::pair().unwrap();
    pass_credentials(&receiver).unwrap();
    let mut slots = Slots::new(4, 64, Senders::Read);
    sender.send(b"a").unwrap();
    sender.send(b"b").unwrap();
    assert_eq!(receive(&receiver, &mut slots, 4).unwrap(), 2);
    for (received, _) in slots.iter() {
        assert_eq!(received.sender.pid, std::process::id());
    }
}

#[test]
fn without_credentials_switched_on_the_sender_is_unknown() {
    let (sender, receiver) = UnixDatagram::pair().unwrap();
    let mut slots = Slots::new(1, 64, Senders::Read);
    sender.send(b"a").unwrap();
    receive(&receiver, &mut slots, 1).unwrap();
    assert_eq!(slots.iter().next().unwrap().0.sender.pid, 0);
}

#[test]
fn files_attached_to_a_datagram_do_not_enter_our_process() {
    for senders in [Senders::Read, Senders::Ignored] {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        if senders == Senders::Read {
            pass_credentials(&receiver).unwrap();
        }
        let (mut kept, given) = UnixStream::pair().unwrap();
        send_with_file(&sender, b"a", given.into());
        let mut slots = Slots::new(1, 64, senders);
        receive(&receiver, &mut slots, 1).unwrap();
        assert_eq!(bytes(&slots), [b"a"]);
        // Only if nobody holds the other end any more does this end see the end of the stream.
        kept.set_read_timeout(Some(std::time::Duration::from_secs(10)))
            .unwrap();
        assert_eq!(kept.read(&mut [0; 1]).unwrap(), 0);
    }
}

/// Sends `file` along with `text` and closes our copy.
fn send_with_file(socket: &UnixDatagram, text: &[u8], file: OwnedFd) {
    #[repr(C, align(8))]
    struct Rights {
        header: libc::cmsghdr,
        fd: libc::c_int,
        padding: u32,
    }
    let rights = Rights {
        header: libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + size_of::<libc::c_int>(),
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        },
        fd: file.as_raw_fd(),
        padding: 0,
    };
    // SAFETY: `Rights` is plain integers without gaps (16 + 4 + 4 bytes); it outlives the slice.
    let control = unsafe {
        std::slice::from_raw_parts(ptr::from_ref(&rights).cast::<u8>(), size_of_val(&rights))
    };
    let text = [IoSlice::new(text)];
    let message = socket2::MsgHdr::new()
        .with_buffers(&text)
        .with_control(control);
    socket2::SockRef::from(socket).sendmsg(&message, 0).unwrap();
}
