//! Chunks to messages.

use std::collections::HashMap;

use bytes::{Buf, BytesMut};

use super::{DEFAULT_SIZE, EXTENDED, MAX_STREAMS, Message};
use crate::{Error, Timestamp};

/// Longest chunk header: 3 bytes of basic header, 11 of message header, 4 of extended timestamp.
const MAX_HEADER: usize = 18;

/// Chunks in, messages out.
///
/// Memory is bounded by what was received: a length field reserves nothing.
#[derive(Debug)]
pub struct Decoder {
    chunk_size: usize,
    max_message: usize,
    streams: HashMap<u32, Stream>,
    /// A header of which only the first bytes have come.
    header: Vec<u8>,
    /// The chunk whose payload is being read: its stream and the bytes still to come.
    open: Option<(u32, usize)>,
    /// Payload bytes of all unfinished messages.
    unfinished: usize,
    /// Bytes taken so far: where an error is.
    offset: u64,
}

/// One chunk stream: what later headers refer to, and its unfinished message.
#[derive(Debug, Default)]
struct Stream {
    head: Head,
    payload: BytesMut,
    /// A message has begun and is not whole.
    begun: bool,
}

/// What the headers of a chunk stream have said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    timestamp: Timestamp,
    /// The timestamp field as it was read last: what a type 3 header adds for a new message. After a type 0
    /// header that is the timestamp itself (5.3.1.2.4).
    field: u32,
    /// That field was extended: type 3 headers carry it too.
    extended: bool,
    len: usize,
    kind: u8,
    message_stream: u32,
}

/// A parsed chunk header.
struct Parsed {
    /// Bytes of the header.
    size: usize,
    id: u32,
    format: u8,
    head: Head,
}

impl Decoder {
    /// A decoder that takes messages of up to `max_message` bytes.
    pub fn new(max_message: usize) -> Self {
        Self {
            chunk_size: DEFAULT_SIZE,
            max_message,
            streams: HashMap::new(),
            header: Vec::with_capacity(MAX_HEADER),
            open: None,
            unfinished: 0,
            offset: 0,
        }
    }

    /// The peer's Set Chunk Size (5.4.1). A size above the longest message is as good as that.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), Error> {
        match usize::try_from(size) {
            Ok(usable @ 1..=0x7FFF_FFFF) => self.chunk_size = usable,
            _ => return Err(Error::ChunkSize(size)),
        }
        Ok(())
    }

    /// The peer's Abort Message (5.4.2): the unfinished message of `chunk_stream` will not be finished.
    pub fn abort(&mut self, chunk_stream: u32) {
        if let Some(stream) = self.streams.get_mut(&chunk_stream) {
            self.unfinished -= stream.payload.len();
            stream.payload = BytesMut::new();
            stream.begun = false;
        }
    }

    /// Takes bytes from the front of `input` until a message is whole; `None` when all of it was taken.
    ///
    /// Call it again with the rest: a Set Chunk Size in a message is to be obeyed before the next one.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            if let Some((id, missing)) = self.open {
                let part = &input[..input.len().min(missing)];
                let taken = part.len();
                self.streams.entry(id).or_default().payload.extend_from_slice(part);
                self.unfinished += taken;
                self.advance(input, taken);
                if taken < missing {
                    self.open = Some((id, missing - taken));
                    return Ok(None);
                }
                self.open = None;
                if let Some(message) = self.finish(id) {
                    return Ok(Some(message));
                }
            }
            if input.is_empty() || !self.begin_chunk(input)? {
                return Ok(None);
            }
        }
    }

    /// Bytes of unfinished messages and headers that this decoder holds.
    pub fn held(&self) -> usize {
        self.unfinished + self.header.len()
    }

    fn advance(&mut self, input: &mut &[u8], count: usize) {
        input.advance(count);
        self.offset += count as u64;
    }

    /// Reads a chunk header; false when the input ended within it.
    fn begin_chunk(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        // A header that is all there is read in place; one of which a part came earlier is put together first.
        let kept = self.header.len();
        let offset = self.offset - kept as u64;
        let parsed = if kept == 0 {
            self.parse(input, offset)?
        } else {
            self.header.extend_from_slice(&input[..input.len().min(MAX_HEADER - kept)]);
            let parsed = self.parse(&self.header, offset);
            // Also where it is refused: `header` holds only what `offset` has counted.
            self.header.truncate(kept);
            parsed?
        };
        let Some(Parsed { size, id, format, mut head }) = parsed else {
            // Not whole, so what there is of it is shorter than the longest header.
            self.header.extend_from_slice(input);
            self.advance(input, input.len());
            return Ok(false);
        };
        let unfinished = self.unfinished;
        let limit = self.max_message.saturating_mul(2);
        let stream = self.streams.entry(id).or_default();
        if !stream.begun && (1..=3).contains(&format) {
            head.timestamp = head.timestamp.plus(head.field);
        }
        let missing = (head.len - stream.payload.len()).min(self.chunk_size);
        if unfinished.saturating_add(missing) > limit {
            return Err(Error::TooMuchUnfinished { limit, offset });
        }
        stream.head = head;
        stream.begun = true;
        self.header.clear();
        self.advance(input, size - kept);
        self.open = Some((id, missing));
        Ok(true)
    }

    /// Parses the chunk header at the start of `bytes`, which is `offset` bytes into the connection; `None` when
    /// it is not all there.
    fn parse(&self, bytes: &[u8], offset: u64) -> Result<Option<Parsed>, Error> {
        let mut rest = bytes;
        let Some((id, format)) = basic_header(&mut rest) else { return Ok(None) };
        let head = match self.streams.get(&id) {
            Some(stream) if stream.begun && format != 3 => {
                return Err(Error::Interrupted { stream: id, offset });
            }
            Some(stream) => stream.head,
            None if format != 0 => return Err(Error::NoPreviousChunk { stream: id, format, offset }),
            None if self.streams.len() >= MAX_STREAMS => {
                return Err(Error::TooManyStreams { limit: MAX_STREAMS, offset });
            }
            None => Head::default(),
        };
        let Some(head) = message_header(&mut rest, format, head) else { return Ok(None) };
        if head.len > self.max_message {
            let (len, limit) = (head.len, self.max_message);
            return Err(Error::MessageTooLong { stream: id, len, limit, offset });
        }
        Ok(Some(Parsed { size: bytes.len() - rest.len(), id, format, head }))
    }

    /// The message of chunk stream `id`, when its last byte has come.
    fn finish(&mut self, id: u32) -> Option<Message> {
        let stream = self.streams.get_mut(&id)?;
        if stream.payload.len() < stream.head.len {
            return None;
        }
        stream.begun = false;
        self.unfinished -= stream.payload.len();
        Some(Message {
            chunk_stream: id,
            timestamp: stream.head.timestamp,
            kind: stream.head.kind,
            stream: stream.head.message_stream,
            payload: std::mem::take(&mut stream.payload).freeze(),
        })
    }
}

/// Chunk basic header (5.3.1.1): chunk stream id and format.
fn basic_header(rest: &mut &[u8]) -> Option<(u32, u8)> {
    let first = rest.try_get_u8().ok()?;
    let id = match u32::from(first & 0x3F) {
        0 => 64 + u32::from(rest.try_get_u8().ok()?),
        1 => 64 + u32::from(rest.try_get_u16_le().ok()?),
        id => id,
    };
    Some((id, first >> 6))
}

/// Chunk message header (5.3.1.2) and extended timestamp (5.3.1.3), on top of the previous header.
fn message_header(rest: &mut &[u8], format: u8, previous: Head) -> Option<Head> {
    let mut head = previous;
    if format < 3 {
        head.field = u24(rest)?;
        head.extended = head.field == EXTENDED;
    }
    if format < 2 {
        head.len = u24(rest)? as usize;
        head.kind = rest.try_get_u8().ok()?;
    }
    if format == 0 {
        head.message_stream = rest.try_get_u32_le().ok()?;
    }
    if head.extended {
        head.field = rest.try_get_u32().ok()?;
    }
    if format == 0 {
        head.timestamp = Timestamp::new(head.field);
    }
    Some(head)
}

fn u24(rest: &mut &[u8]) -> Option<u32> {
    let [a, b, c] = *rest.first_chunk()?;
    rest.advance(3);
    Some(u32::from_be_bytes([0, a, b, c]))
}
