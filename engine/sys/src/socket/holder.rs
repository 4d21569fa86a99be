//! Who holds a UDP port: for the message of a failed start, so it may be slow and may fail.
//!
//! The kernel tells the inode of the socket in `/proc/net/udp`, and which process has that inode
//! open in `/proc/<pid>/fd`. Processes of other users show nothing unless we are root.

use std::fmt;
use std::fs;
use std::net::SocketAddr;

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id, in our namespace.
    pub pid: u32,
    /// The command's short name.
    pub command: String,
}

// === impl Holder ===

impl Holder {
    /// The process that stands in the way of binding `address`, if the kernel shows it to us.
    /// Blocks on reading all of `/proc`: milliseconds.
    pub fn of_udp(address: SocketAddr) -> Option<Self> {
        // A socket of the other family on the wildcard address can be in the way as well.
        ["/proc/net/udp", "/proc/net/udp6"]
            .into_iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .flat_map(|table| socket_inodes(&table, address.port()))
            .find_map(Self::of_socket_inode)
    }

    fn of_socket_inode(inode: u64) -> Option<Self> {
        let link = format!("socket:[{inode}]");
        let processes = fs::read_dir("/proc").ok()?;
        processes.flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let holds = fs::read_dir(entry.path().join("fd"))
                .ok()?
                .flatten()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link.as_str()));
            holds.then(|| Self {
                pid,
                command: fs::read_to_string(entry.path().join("comm"))
                    .map(|name| name.trim_end().to_owned())
                    .unwrap_or_default(),
            })
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "held by pid {}", self.pid)?;
        if !self.command.is_empty() {
            // The name is the other program's choice; keep control characters out of a terminal.
            write!(f, " ({})", self.command.escape_debug())?;
        }
        Ok(())
    }
}

/// Inodes of the sockets on `port` in a table in the form of `/proc/net/udp`: the second column is
/// `address:port` in hexadecimal, the tenth the inode.
fn socket_inodes(table: &str, port: u16) -> Vec<u64> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_ascii_whitespace();
            let (_, local_port) = columns.nth(1)?.rsplit_once(':')?;
            if u16::from_str_radix(local_port, 16).ok()? != port {
                return None;
            }
            columns.nth(7)?.parse().ok().filter(|&inode| inode != 0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn our_own_socket_is_found() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let holder = Holder::of_udp(socket.local_addr().unwrap()).unwrap();
        assert_eq!(holder.pid, std::process::id());
        assert!(holder.to_string().starts_with("held by pid "));
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            \n garbage\n  1: 0100007F:1FBD\n \
            2: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0\n";
        assert_eq!(socket_inodes(table, 8125), [4711]);
        assert_eq!(socket_inodes(table, 8126), []);
    }
}
