//! A file on a server, read where it is wanted.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::hls::Error;
use crate::hls::fetch::{Answer, Body, Http, Request, Span, Validators};
use crate::hls::load::Address;
use crate::hls::playlist::ByteRange;
use crate::outside::ShownUrl;

/// What is asked for at least: a second of 16 Mbit/s, so that a film is not read in a thousand requests.
const BLOCK: u64 = 2 << 20;

/// And at most: sample tables may be larger.
const MAX_BLOCK: u64 = 16 << 20;

/// A server that does not answer byte ranges sends the file as a whole, which is then held in memory: an hour of
/// 500 kbit/s. A larger one is refused.
const MAX_WHOLE: usize = 256 << 20;

/// A whole file comes at its own pace; what stops is noticed by the limits of the body.
const MAX_WHOLE_TIME: Duration = Duration::from_secs(600);

/// A file, by address.
pub(super) struct Blocks {
    http: Arc<Http>,
    address: Address,
    length: Option<u64>,
    /// All of it, from a server that does not answer ranges.
    whole: Option<Bytes>,
    /// Of the file that is read: another one under the same address does not go on where this one was.
    validators: Option<Validators>,
    /// What an attempt that failed brought, and where in the file it begins.
    partial: (u64, BytesMut),
}

impl Blocks {
    pub(super) fn new(http: Arc<Http>, address: Address) -> Self {
        Self { http, address, length: None, whole: None, validators: None, partial: (0, BytesMut::new()) }
    }

    pub(super) fn shown(&self) -> ShownUrl {
        ShownUrl::url(self.address.url.as_str())
    }

    /// Of the file, once something of it was read.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The bytes of `range`, and more behind it where they come with them; fewer only at the end of the file.
    /// An attempt that fails is gone on with by the next one for the same range.
    pub(super) async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Error> {
        if self.partial.0 != range.start {
            self.partial = (range.start, BytesMut::new());
        }
        loop {
            if let Some(whole) = &self.whole {
                let from = usize::try_from(range.start).unwrap_or(usize::MAX).min(whole.len());
                return Ok(whole.slice(from..));
            }
            let at = range.start.saturating_add(self.partial.1.len() as u64);
            let end = self.length.map_or(range.end, |length| range.end.min(length));
            if at >= end {
                return Ok(self.partial.1.split().freeze());
            }
            let length = (end - at).clamp(BLOCK, MAX_BLOCK);
            self.block(ByteRange { offset: at, length }).await?;
        }
    }

    async fn block(&mut self, range: ByteRange) -> Result<(), Error> {
        let (url, from) = (&self.address.url, self.address.reach);
        let request = Request {
            span: Span::UpTo(range),
            limit: MAX_WHOLE,
            total: MAX_WHOLE_TIME,
            ..Request::new(url, from)
        };
        let Answer::Body(body) = self.http.fetch(request).await? else {
            return Err(Error::Status { url: self.shown(), status: 304 });
        };
        let Body { bytes, held, part, validators, .. } = *body;
        if self.validators.get_or_insert_with(|| validators.clone()) != &validators {
            return Err(Error::File {
                url: self.shown(),
                reason: "it was replaced while it was read".into(),
            });
        }
        match part {
            Some(part) => {
                self.length = self.length.or(part.total);
                if bytes.is_empty() {
                    // Behind the end, where the server does not say how long the file is.
                    self.length.get_or_insert(range.offset);
                }
                self.partial.1.extend_from_slice(&bytes);
            }
            None => {
                self.length = Some(bytes.len() as u64);
                self.whole = Some(held.wrap(bytes));
            }
        }
        Ok(())
    }
}
