//! The sockets of an intake: it listens, can stop listening without losing its port, and serves each
//! connection on a thread of its own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::certificates::Certificate;
use super::check;
use super::reply::Reply;
use super::request::{Class, Request};
use super::{Shared, lock};

const BACKLOG: i32 = 128;

/// One side of a connection, encrypted or not.
pub(super) trait Wire: Read + Write {
    /// How long a read waits.
    fn set_patience(&self, patience: Option<Duration>) -> io::Result<()>;

    /// The end of the connection will be a reset.
    fn reset_on_close(&self);
}

/// Where clients knock.
pub(super) struct Door {
    address: SocketAddr,
    scheme: &'static str,
    service: Arc<Service>,
    listener: Mutex<Option<TcpListener>>,
}

/// What the accepting thread needs.
struct Service {
    shared: Arc<Shared>,
    tls: Option<Arc<ServerConfig>>,
    open: Mutex<Vec<Weak<TcpStream>>>,
    connections: AtomicU64,
}

// === impl Door ===

impl Door {
    pub(super) fn open(shared: Arc<Shared>, certificate: Option<&Certificate>) -> Self {
        let listener = listen(([127, 0, 0, 1], 0).into());
        let address = listener.local_addr().expect("a listener has an address");
        let door = Self {
            address,
            scheme: if certificate.is_some() {
                "https"
            } else {
                "http"
            },
            service: Arc::new(Service {
                shared,
                tls: certificate.map(|certificate| Arc::clone(&certificate.config)),
                open: Mutex::new(Vec::new()),
                connections: AtomicU64::new(0),
            }),
            listener: Mutex::new(None),
        };
        door.serve(listener);
        door
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(super) fn connections(&self) -> u64 {
        self.service.connections.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        if let Some(listener) = lock(&self.listener).take() {
            // Wakes the accepting thread, whose own descriptor is then the last.
            drop(SockRef::from(&listener).shutdown(Shutdown::Both));
        }
        self.reset_connections();
    }

    pub(super) fn open_again(&self) {
        if lock(&self.listener).is_some() {
            return;
        }
        let listener = crate::wait::until("the port to be free again", || {
            try_listen(self.address).ok()
        });
        self.serve(listener);
    }

    pub(super) fn reset_connections(&self) {
        for stream in lock(&self.service.open).drain(..) {
            if let Some(stream) = stream.upgrade() {
                reset_on_close(&stream);
                // Wakes the thread that reads from it; one that is gone already needs no waking.
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }

    fn serve(&self, listener: TcpListener) {
        let own = listener.try_clone().expect("a descriptor can be doubled");
        *lock(&self.listener) = Some(own);
        let service = Arc::clone(&self.service);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let service = Arc::clone(&service);
                thread::spawn(move || service.connection(stream));
            }
        });
    }
}

// === impl Service ===

impl Service {
    fn connection(&self, stream: TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        drop(stream.set_nodelay(true));
        let stream = Arc::new(stream);
        {
            let mut open = lock(&self.open);
            open.retain(|stream| stream.strong_count() > 0);
            open.push(Arc::downgrade(&stream));
        }
        let stream = Plain(stream);
        // A connection ends in many ways, most of them wanted.
        drop(match &self.tls {
            None => self.requests(&mut { stream }),
            Some(config) => match ServerConnection::new(Arc::clone(config)) {
                Ok(session) => self.requests(&mut Tls(StreamOwned::new(session, stream))),
                Err(error) => Err(io::Error::other(error)),
            },
        });
    }

    fn requests(&self, wire: &mut impl Wire) -> io::Result<()> {
        while let Some(mut request) = Request::read(wire)? {
            let script = {
                let mut records = lock(&self.shared.records);
                *records.requests_by_class.entry(request.class).or_default() += 1;
                request.number = records.requests;
                if request.class != Class::Validate {
                    records.requests += 1;
                    records.times.push((request.class, Instant::now()));
                }
                Arc::clone(&lock(&self.shared.reply))
            };
            let mut reply = match request.class {
                Class::Validate => Reply::Status(200),
                _ => script(&request),
            };
            let body = match reply {
                Reply::ResetEarly => {
                    reply.send(wire)?;
                    return Ok(());
                }
                _ => request.read_body(wire)?,
            };
            let rules = lock(&self.shared.rules).clone();
            let has_key = rules
                .keys
                .iter()
                .any(|key| key == request.header("dd-api-key"));
            if !has_key {
                reply = Reply::Status(403);
            }
            let checked = check::check(&rules, &request, &body);
            let mut records = lock(&self.shared.records);
            records.broken.extend(checked.broken);
            records.refused_keys += u64::from(!has_key && request.class != Class::Validate);
            if !reply.takes_over() {
                records.turned_away += checked.payload.points();
            } else if request.class != Class::Validate {
                let keeps = rules.keeps_payloads;
                records.arrive(&request, &body, checked.raw_len, checked.payload, keeps);
            }
            drop(records);
            if !reply.send(wire)? {
                break;
            }
        }
        Ok(())
    }
}

/// Without encryption. Closed when the last owner lets go, so that a reset is one.
struct Plain(Arc<TcpStream>);

/// With it.
struct Tls(StreamOwned<ServerConnection, Plain>);

// === impl Plain ===

impl Wire for Plain {
    fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(patience)
    }

    fn reset_on_close(&self) {
        reset_on_close(&self.0);
    }
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

// === impl Tls ===

impl Wire for Tls {
    fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.sock.set_patience(patience)
    }

    fn reset_on_close(&self) {
        self.0.sock.reset_on_close();
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn reset_on_close(stream: &TcpStream) {
    // A connection that is gone already cannot be reset.
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

fn listen(address: SocketAddr) -> TcpListener {
    try_listen(address).expect("loopback has a free port")
}

fn try_listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
