//! The tags of an FLV stream as they come in: type, time, size. Nothing of the product is used here.
//!
//! FLV 10.1 Annex E.3: a 9-byte header, then tags, each preceded by the size of the one before it.

/// One tag's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    pub kind: Kind,
    /// DTS in milliseconds.
    pub time: u32,
    /// Whether it is a sequence header: it plays no time.
    pub header: bool,
    pub size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Audio,
    Video,
    Script,
}

/// Bytes in as they arrive, tags out.
#[derive(Default)]
pub struct Reader {
    bytes: Vec<u8>,
    started: bool,
}

impl Reader {
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Tag> {
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        let mut tags = Vec::new();
        if !self.started {
            if self.bytes.len() < 13 {
                return tags;
            }
            assert_eq!(&self.bytes[..3], b"FLV", "an FLV stream begins with its name");
            self.started = true;
            at = 13;
        }
        while let Some(head) = self.bytes.get(at..at + 11) {
            let size = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            let Some(body) = self.bytes.get(at + 11..at + 11 + size + 4) else { break };
            let kind = match head[0] & 0x1F {
                8 => Kind::Audio,
                9 => Kind::Video,
                18 => Kind::Script,
                other => panic!("FLV tag of type {other}"),
            };
            let time = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
            // AVCPacketType and AACPacketType: 0 is the sequence header, 2 the end of sequence (E.4.2.1, E.4.3.1).
            let header = kind != Kind::Script && body[..size].get(1).is_some_and(|packet| *packet != 1);
            tags.push(Tag { kind, time, header, size });
            at += 11 + size + 4;
        }
        self.bytes.drain(..at);
        tags
    }
}

/// All tags of a file.
pub fn read(path: &std::path::Path) -> Vec<Tag> {
    Reader::default().push(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}
