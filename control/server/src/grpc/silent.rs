//! Streams that have nothing to say: open until the port closes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{self, Duration};

use tokio::sync::watch;
use tokio::time::{Instant, Interval, interval_at};
use tokio_stream::Stream;
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

/// Clients of the tagger give a stream up after ten minutes of silence.
const KEEP_ALIVE: Duration = Duration::from_secs(9 * 60);

/// Perhaps a first message, perhaps an empty one now and then, and no end of its own.
pub(super) struct Silent<T> {
    first: Option<T>,
    keep_alive: Option<Interval>,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
}

// === impl Silent ===

impl<T> Silent<T> {
    /// Says nothing at all.
    pub(super) fn new(mut stopping: watch::Receiver<Option<time::Instant>>) -> Self {
        Self {
            first: None,
            keep_alive: None,
            stopping: Box::pin(async move {
                // An error says that the sender is gone: the port is as good as closed.
                stopping.wait_for(Option::is_some).await.ok();
            }),
        }
    }

    /// Says `first`, then nothing.
    pub(super) fn after(first: T, stopping: watch::Receiver<Option<time::Instant>>) -> Self {
        Self {
            first: Some(first),
            ..Self::new(stopping)
        }
    }

    /// Shows every [`KEEP_ALIVE`] that it lives.
    pub(super) fn with_keep_alive(stopping: watch::Receiver<Option<time::Instant>>) -> Self {
        Self {
            keep_alive: Some(interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE)),
            ..Self::new(stopping)
        }
    }
}

impl<T: Default + Send + Unpin + 'static> Silent<T> {
    /// As a handler gives it back.
    pub(super) fn answer(self) -> Response<BoxStream<T>> {
        Response::new(Box::pin(self))
    }
}

impl<T: Default + Unpin> Stream for Silent<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if this.stopping.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        match &mut this.keep_alive {
            Some(ticks) => ticks.poll_tick(context).map(|_| Some(Ok(T::default()))),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_stream::StreamExt;

    #[tokio::test(start_paused = true)]
    async fn it_lives_until_the_port_closes() {
        let (stop, stopping) = watch::channel(None);
        let mut stream = Silent::<u32>::with_keep_alive(stopping.clone());
        let begun = Instant::now();
        assert!(matches!(stream.next().await, Some(Ok(0))));
        assert_eq!(begun.elapsed(), KEEP_ALIVE);

        let mut stream = Silent::after(7u32, stopping);
        assert!(matches!(stream.next().await, Some(Ok(7))));
        stop.send(Some(time::Instant::now()))
            .expect("somebody listens");
        assert!(stream.next().await.is_none());
    }
}
