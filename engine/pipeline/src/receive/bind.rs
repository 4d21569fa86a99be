//! Binds everything the settings ask for, or nothing.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use greyhound_sys::names;
use greyhound_sys::peers;
use greyhound_sys::socket::holder::Holder;
use greyhound_sys::socket::udp::UdpGroup;
use greyhound_sys::socket::unix::SocketFile;
use greyhound_sys::socket::{ReceiveBuffer, pass_credentials};

use super::{Sockets, StreamListener, UdpListener, UnixgramListener};
use crate::config::{ListenConfig, UnixSocketConfig};
use crate::error::StartError;
use crate::ledger::{ListenerId, ListenerInfo, Transport};

/// With port 0 several families must agree on one free port; so many are tried.
const FREE_PORT_ATTEMPTS: usize = 16;

// === impl Sockets ===

impl Sockets {
    /// Binds all sockets, with `lanes` members in each port group. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// The first socket that cannot be had; the others are closed again and their files removed.
    pub fn bind(config: &ListenConfig, lanes: usize) -> Result<Self, StartError> {
        Self::bind_beside(config, lanes, &[])
    }

    /// The same while other sockets of this process hold `own_ports`: those may be had on other
    /// addresses as well.
    ///
    /// # Errors
    ///
    /// As [`Sockets::bind`].
    pub fn bind_beside(
        config: &ListenConfig,
        lanes: usize,
        own_ports: &[u16],
    ) -> Result<Self, StartError> {
        let mut sockets = Self::none();
        sockets.bind_udp(config, lanes, own_ports)?;
        for socket in &config.unixgram {
            sockets.bind_unixgram(config, socket)?;
        }
        for socket in &config.unix_stream {
            sockets.bind_stream(config, socket)?;
        }
        if sockets.infos.is_empty() {
            if config.require_listener {
                return Err(StartError::NoListener);
            }
            sockets
                .warnings
                .push("no listener is configured, nothing will be received".into());
        }
        Ok(sockets)
    }

    fn bind_udp(
        &mut self,
        config: &ListenConfig,
        lanes: usize,
        own_ports: &[u16],
    ) -> Result<(), StartError> {
        let groups = bind_groups(config, lanes, own_ports)?;
        for (group, &wanted_address) in groups.into_iter().zip(&config.udp) {
            let id = self.listener(
                "udp",
                group.address.to_string(),
                Transport::Udp,
                config.eol_required_udp,
            );
            let wanted = config.receive_buffer_bytes;
            if group.receive_buffer.effective_bytes < wanted {
                self.warnings.push(format!(
                    "UDP {}: the kernel granted a receive buffer of {} of {wanted} bytes; \
                     raise `net.core.rmem_max` or grant CAP_NET_ADMIN",
                    group.address, group.receive_buffer.effective_bytes
                ));
            }
            if config.udp_peers && group.address.ip().is_unspecified() {
                for member in &group.members {
                    if let Err(error) = peers::watch(member, group.address.is_ipv6()) {
                        self.warnings.push(format!(
                            "UDP {}: cannot learn where datagrams were sent, clients stay unnamed: {error}",
                            group.address
                        ));
                    }
                }
            }
            self.udp.push(UdpListener {
                id,
                address: group.address,
                wanted: wanted_address,
                members: group.members.into_iter().map(Arc::new).collect(),
                receive_buffer: group.receive_buffer,
            });
        }
        Ok(())
    }

    fn bind_unixgram(
        &mut self,
        config: &ListenConfig,
        socket: &UnixSocketConfig,
    ) -> Result<(), StartError> {
        let (bound, file) =
            socket_file(socket)?
                .bind_datagram()
                .map_err(|source| StartError::BindUnix {
                    setting: "dogstatsd_socket",
                    path: socket.path.clone(),
                    source,
                })?;
        let receive_buffer = ReceiveBuffer::set(&bound, config.receive_buffer_bytes)
            .map_err(|source| resources("Unix datagram socket", source))?;
        if config.origin_detection
            && let Err(error) = pass_credentials(&bound)
        {
            self.warnings.push(format!(
                "Unix socket {:?}: no sender credentials ({error}), origin detection is off there",
                socket.path
            ));
        }
        let id = self.listener(
            "uds-unixgram",
            display(&socket.path),
            Transport::Unixgram,
            config.eol_required_unix,
        );
        self.unixgram.push(UnixgramListener {
            id,
            socket: Arc::new(bound),
            file,
            receive_buffer,
        });
        Ok(())
    }

    fn bind_stream(
        &mut self,
        config: &ListenConfig,
        socket: &UnixSocketConfig,
    ) -> Result<(), StartError> {
        let (bound, file) =
            socket_file(socket)?
                .bind_stream()
                .map_err(|source| StartError::BindUnix {
                    setting: "dogstatsd_stream_socket",
                    path: socket.path.clone(),
                    source,
                })?;
        let id = self.listener(
            "uds-unix",
            display(&socket.path),
            Transport::UnixStream,
            config.eol_required_unix,
        );
        self.streams.push(StreamListener {
            id,
            socket: Arc::new(bound),
            file,
        });
        Ok(())
    }

    fn listener(
        &mut self,
        id: &str,
        address: String,
        transport: Transport,
        eol_required: bool,
    ) -> ListenerId {
        self.infos.push(ListenerInfo {
            id: id.into(),
            address,
            transport,
            eol_required,
        });
        // Nobody configures 65,536 listeners; if so, the rest shares a line in the ledger.
        ListenerId(u16::try_from(self.infos.len() - 1).unwrap_or(u16::MAX))
    }
}

/// All port groups. An IPv4 and an IPv6 address that ask for any free port get the same one; two of
/// one family cannot.
fn bind_groups(
    config: &ListenConfig,
    lanes: usize,
    own_ports: &[u16],
) -> Result<Vec<UdpGroup>, StartError> {
    let mut attempt = 0;
    loop {
        match bind_groups_once(config, lanes, own_ports) {
            Err((free_port, StartError::BindUdp { source, .. }))
                if free_port
                    && source.kind() == io::ErrorKind::AddrInUse
                    && attempt < FREE_PORT_ATTEMPTS =>
            {
                attempt += 1;
            }
            Err((_, error)) => return Err(error),
            Ok(groups) => return Ok(groups),
        }
    }
}

/// On failure also says whether the port was of our own choosing, so that another one may do.
fn bind_groups_once(
    config: &ListenConfig,
    lanes: usize,
    own_ports: &[u16],
) -> Result<Vec<UdpGroup>, (bool, StartError)> {
    let mut groups: Vec<UdpGroup> = Vec::new();
    // Address and port of the first listener on a free port that has no partner yet.
    let mut single: Option<SocketAddr> = None;
    for &wanted in &config.udp {
        let mut address = wanted;
        let partner =
            single.filter(|first| wanted.port() == 0 && first.is_ipv4() != wanted.is_ipv4());
        if let Some(first) = partner {
            address.set_port(first.port());
        }
        let bind = match own_ports.contains(&address.port()) {
            true => UdpGroup::bind_beside,
            false => UdpGroup::bind,
        };
        let group = bind(address, lanes, config.receive_buffer_bytes)
            .map_err(|source| (partner.is_some(), udp_error(address, source)))?;
        if wanted.port() == 0 && single.is_none() {
            single = Some(group.address);
        } else if partner.is_some() {
            single = None;
        }
        groups.push(group);
    }
    Ok(groups)
}

fn udp_error(address: SocketAddr, source: io::Error) -> StartError {
    let holder = match source.kind() {
        io::ErrorKind::AddrInUse => Holder::of_udp(address),
        _ => None,
    };
    StartError::BindUdp {
        address,
        holder,
        source,
    }
}

fn socket_file(socket: &UnixSocketConfig) -> Result<SocketFile, StartError> {
    let lookup = |name: &Option<String>, find: fn(&str) -> io::Result<u32>| {
        name.as_deref()
            .map(|name| {
                find(name).map_err(|source| StartError::Owner {
                    path: socket.path.clone(),
                    name: name.into(),
                    source,
                })
            })
            .transpose()
    };
    Ok(SocketFile {
        path: socket.path.clone(),
        mode: socket.mode,
        uid: lookup(&socket.owner, names::user_id)?,
        gid: lookup(&socket.group, names::group_id)?,
        allow_open_folder: socket.allow_open_folder,
    })
}

fn resources(what: &'static str, source: io::Error) -> StartError {
    StartError::Resources { what, source }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
