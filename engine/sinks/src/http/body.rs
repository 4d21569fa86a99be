//! A response body: a short text, or a scrape that is rendered only as fast as it is read.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::prometheus::Scrape;

/// What is still to be sent.
#[derive(Debug)]
pub(super) enum PageBody {
    /// At once, with its length announced.
    Text(Bytes),
    /// Chunk by chunk; at most one chunk is in memory beside hyper's own buffer.
    Scrape(Box<Scrape>),
}

// === impl PageBody ===

impl Body for PageBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match self.get_mut() {
            Self::Text(text) => std::mem::take(text),
            Self::Scrape(scrape) => {
                let mut chunk = Vec::new();
                while chunk.is_empty() && scrape.next_chunk(&mut chunk) {}
                Bytes::from(chunk)
            }
        };
        Poll::Ready((!chunk.is_empty()).then(|| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Scrape(_) => SizeHint::default(),
        }
    }
}
