//! A stream with two bounds: time without a byte while nothing is owed, and bytes read before a right token
//! was seen. The second is what makes floods of frames cheap: pings, settings, resets and headers all end
//! there, whatever they are.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::seats::Seat;

/// Bytes a connection may send before a request of it is let in. A client may send a whole HTTP/2 window
/// behind its first head before it hears from us.
pub(super) const UNPROVEN_BYTES_MAX: usize = 512 << 10;

/// Fails with `TimedOut` or `QuotaExceeded`.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    seat: Arc<Seat>,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    left_bytes: usize,
}

// === impl Guard ===

impl<S> Guard<S> {
    pub(super) fn new(stream: S, seat: Arc<Seat>, idle: Duration) -> Self {
        Self {
            stream,
            seat,
            idle,
            timer: Box::pin(tokio::time::sleep(idle)),
            left_bytes: UNPROVEN_BYTES_MAX,
        }
    }

    /// Passes progress on, and turns waiting into an error when it took too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.idle);
            return poll;
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            if !self.seat.is_busy() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(Instant::now() + self.idle);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let poll = Pin::new(&mut this.stream).poll_read(context, buffer);
        if !this.seat.is_proven() {
            let read = buffer.filled().len() - before;
            let Some(left) = this.left_bytes.checked_sub(read) else {
                return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
            };
            this.left_bytes = left;
        }
        this.watch(context, poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watch(context, poll)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
