//! One subscriber: a place in the log, and the body of the answer that reads from there.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tonic::Status;

use super::{Next, Shared};
use crate::grpc::outcome::Outcome;
use crate::registry::session::Session;

/// A place in the log; leaves the stream when dropped.
pub struct Subscriber {
    shared: Arc<Shared>,
    id: u64,
    /// Number of the last event handed out; `None` before the first.
    last: Option<u64>,
}

/// The body of an open stream. It is asked for more only when the connection has room, which is what
/// makes a slow reader fall behind here and nowhere else.
pub struct Events {
    subscriber: Subscriber,
    session: Arc<Session>,
    ended: bool,
}

// === impl Subscriber ===

impl Subscriber {
    pub(super) fn new(shared: Arc<Shared>, id: u64) -> Self {
        Self {
            shared,
            id,
            last: None,
        }
    }

    /// Tells this one from others in the log.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Encoded events to be sent next, `None` at the end of the stream.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.shared.next(self.id, &mut self.last, context.waker()) {
            Next::Messages(messages) => Poll::Ready(Some(messages)),
            Next::Wait => Poll::Pending,
            Next::Stopped => Poll::Ready(None),
        }
    }

    /// The events as the body of an answer, for as long as `session` lives.
    pub fn into_body(self, session: Arc<Session>) -> Events {
        Events {
            subscriber: self,
            session,
            ended: false,
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shared.remove(self.id);
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Subscriber")
            .field("id", &self.id)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

// === impl Events ===

impl Events {
    fn end(&mut self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.ended = true;
        let mut trailers = hyper::HeaderMap::new();
        // Our own texts are plain; a session id that is not is escaped by tonic.
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", (status.code() as i32).into());
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // Before and after: the waker is in place only once `poll_next` has been asked.
        if this.session.is_closed() {
            return this.end(Outcome::SessionUnknown(this.session.id().to_owned()).into());
        }
        match this.subscriber.poll_next(context) {
            Poll::Ready(Some(messages)) => Poll::Ready(Some(Ok(Frame::data(messages)))),
            Poll::Ready(None) => this.end(Status::ok("")),
            Poll::Pending if this.session.is_closed() => {
                this.end(Outcome::SessionUnknown(this.session.id().to_owned()).into())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Events")
            .field("subscriber", &self.subscriber)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
