//! A connection whose peer cannot make this side hold more than it should: the layer between a socket and whatever
//! buffers above it.
//!
//! tungstenite answers pings into a buffer without limit and goes on reading while the socket takes nothing more;
//! engineioxide gives no access to its limits. Both read and write through a [`Guarded`], which stops reading while a
//! write is blocked, and ends a connection that stays blocked, sends too much, or is told to end.
//!
//! - `flow`: what is allowed when. Pure.
//! - the types here: the shell around it.

mod flow;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

pub use flow::{Ended, Rate, Terms, Trial};

use crate::clock::Clock;
use crate::media::Moment;
use flow::Flow;

/// What is known of a connection's peer, shared with whoever decides about it.
#[derive(Debug)]
pub struct Peer {
    clock: Clock,
    arrived: Moment,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    flow: Flow,
    ended: Option<Ended>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Peer {
    pub fn new(terms: Terms) -> Arc<Self> {
        let clock = Clock::start();
        let arrived = clock.now();
        let state = State { flow: Flow::new(terms, arrived), ended: None, reader: None, writer: None };
        Arc::new(Self { clock, arrived, state: Mutex::new(state) })
    }

    /// From now on these terms hold; time and bytes count anew.
    pub fn set_terms(&self, terms: Terms) {
        let mut state = self.state();
        state.flow.set_terms(terms, self.clock.now());
        state.wake();
    }

    /// Ends the connection: its next read or write fails.
    pub fn end(&self, why: Ended) {
        let mut state = self.state();
        state.ended.get_or_insert(why);
        state.wake();
    }

    /// Why this side ended the connection, if it did.
    pub fn ended(&self) -> Option<Ended> {
        self.state().ended
    }

    /// Bytes that the connection took.
    pub fn written(&self) -> u64 {
        self.state().flow.written()
    }

    /// Since the connection was accepted.
    pub fn age(&self) -> Duration {
        self.clock.now().saturating_since(self.arrived)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Both sides look again.
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Fails once the connection is over.
    fn check(&mut self, now: Moment) -> io::Result<()> {
        if self.ended.is_none() {
            self.ended = self.flow.ended(now);
            if self.ended.is_some() {
                // The other side must not wait for what will not come.
                self.wake();
            }
        }
        self.ended.map_or(Ok(()), |ended| Err(ended.into()))
    }
}

impl From<Ended> for io::Error {
    fn from(ended: Ended) -> Self {
        let kind = match ended {
            Ended::NotReading | Ended::TrialTime => io::ErrorKind::TimedOut,
            Ended::Flooding | Ended::TrialBytes | Ended::Displaced => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, ended)
    }
}

/// A stream under the terms of its [`Peer`]. `place` is dropped with it: what the connection occupies.
pub struct Guarded<S, P = ()> {
    stream: S,
    peer: Arc<Peer>,
    timer: Option<Timer>,
    _place: P,
}

struct Timer {
    at: Moment,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S, P> Guarded<S, P> {
    pub fn new(stream: S, peer: Arc<Peer>, place: P) -> Self {
        Self { stream, peer, timer: None, _place: place }
    }

    /// Ready when time alone has changed something. `next` is when it may.
    fn poll_timer(&mut self, cx: &mut Context<'_>, next: Option<Moment>) -> Poll<()> {
        let Some(next) = next else { return Poll::Pending };
        // One that fires early is set again then: deadlines move with every byte, timers need not.
        if self.timer.as_ref().is_none_or(|timer| timer.at > next) {
            let clock = self.peer.clock;
            self.timer =
                Some(Timer { at: next, sleep: Box::pin(async move { clock.sleep_until(next).await }) });
        }
        if let Some(timer) = &mut self.timer {
            ready!(timer.sleep.as_mut().poll(cx));
        }
        self.timer = None;
        // The timer knows the last waker only, and the other side may be what was waiting.
        self.peer.state().wake();
        Poll::Ready(())
    }
}

/// Remembers the task that polls, without a clone where it is the same as before.
fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for Guarded<S, P> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let now = this.peer.clock.now();
            let (limit, next) = {
                let mut state = this.peer.state();
                state.check(now)?;
                let limit = state.flow.may_read(now);
                remember(&mut state.reader, cx);
                (usize::try_from(limit).unwrap_or(usize::MAX), state.flow.poll_timeout(now))
            };
            if limit > 0
                && let Poll::Ready(read) = read_at_most(&mut this.stream, cx, buf, limit)
            {
                this.peer.state().flow.handle_read(read? as u64);
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_timer(cx, next));
        }
    }
}

/// Reads into `buf`, `limit` bytes at most; how many.
fn read_at_most<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    limit: usize,
) -> Poll<io::Result<usize>> {
    let before = buf.filled().len();
    if limit >= buf.remaining() {
        ready!(Pin::new(stream).poll_read(cx, buf))?;
        return Poll::Ready(Ok(buf.filled().len() - before));
    }
    let mut part = ReadBuf::new(buf.initialize_unfilled_to(limit));
    ready!(Pin::new(stream).poll_read(cx, &mut part))?;
    let read = part.filled().len();
    buf.advance(read);
    Poll::Ready(Ok(read))
}

impl<S: AsyncWrite + Unpin, P: Unpin> Guarded<S, P> {
    fn poll_writing(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let now = self.peer.clock.now();
            self.peer.state().check(now)?;
            // A task that has had its turn is told that nothing can be written, and is woken at once.
            let has_turn = coop::has_budget_remaining();
            let written = write(Pin::new(&mut self.stream), cx);
            let next = {
                let mut state = self.peer.state();
                match written {
                    Poll::Ready(Ok(bytes)) => {
                        if state.flow.handle_written(bytes as u64)
                            && let Some(reader) = state.reader.take()
                        {
                            reader.wake();
                        }
                        return Poll::Ready(Ok(bytes));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if has_turn => state.flow.handle_blocked(now),
                    Poll::Pending => {}
                }
                remember(&mut state.writer, cx);
                state.flow.poll_timeout(now)
            };
            ready!(self.poll_timer(cx, next));
        }
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Guarded<S, P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_writing(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_writing(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
