//! Who holds a TCP port that could not be bound: the second half of a helpful error message.
//!
//! The kernel lists sockets with their inodes in `/proc/net`, and processes with their descriptors in
//! `/proc/<pid>/fd`; the two are matched. Processes of other users show nothing to us. Run once, just
//! before the process ends, so it may be slow and may fail.

use std::fs;
use std::path::Path;

/// State of a listening socket in the kernel's table.
const LISTENING: &str = "0A";

/// `held by pid 7 (name)`, if the kernel shows it to us.
pub(crate) fn of_tcp(port: u16) -> Option<String> {
    of_tcp_in(Path::new("/proc"), port)
}

fn of_tcp_in(proc: &Path, port: u16) -> Option<String> {
    ["net/tcp", "net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(proc.join(table)).ok())
        .find_map(|table| {
            table
                .lines()
                .skip(1)
                .find_map(|line| listener_inode(line, port))
        })
        .and_then(|inode| process_of(proc, inode))
}

/// One line of `/proc/net/tcp`: slot, local address, remote address, state, queues, timer,
/// retransmits, uid, timeout, inode.
fn listener_inode(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let is_it = u16::from_str_radix(local_port, 16).ok()? == port && *fields.get(3)? == LISTENING;
    fields.get(9).filter(|_| is_it)?.parse().ok()
}

fn process_of(proc: &Path, inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    fs::read_dir(proc).ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut descriptors = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let holds = descriptors.any(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str())
        });
        // The name is the other program's choice; keep control characters out of a terminal.
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        holds.then(|| format!("held by pid {pid} ({})", name.trim_end().escape_debug()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn we_find_ourselves_behind_our_own_port() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("bound").port();
        let holder = of_tcp(port).expect("a holder");
        assert!(
            holder.starts_with(&format!("held by pid {} (", std::process::id())),
            "{holder}"
        );
        drop(listener);
    }

    #[test]
    fn a_table_that_is_not_there_is_no_holder() {
        assert_eq!(of_tcp_in(Path::new("/nonexistent"), 1), None);
        assert_eq!(listener_inode("", 1), None);
        assert_eq!(
            listener_inode("0: 0100007F:1FBD 0:0 01 0:0 0:0 0 0 0 42", 8125),
            None
        );
        assert_eq!(
            listener_inode("0: 0100007F:1FBD 0:0 0A 0:0 0:0 0 0 0 42", 8125),
            Some(42)
        );
    }
}
