//! Marks that travel beside picture and sound.

use std::fmt;

use bytes::Bytes;

use super::Flicks;
use crate::outside::Name;

/// Something that happens at a time of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Overdub's own number of the segment that brought it.
    pub segment: u64,
    /// On the source axis of that segment; `None`: at once, or not said.
    pub time: Option<Flicks>,
    /// Where it says how long it lasts.
    pub duration: Option<Flicks>,
    pub kind: CueKind,
    /// The whole message as it came: a splice_info_section, an ID3 tag, or message_data.
    pub data: Bytes,
}

/// What kind of mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CueKind {
    /// SCTE 35 splice information.
    Splice {
        /// splice_command_type: 5 splice_insert, 6 time_signal, ...
        command: u8,
        /// splice_event_id, of a splice_insert.
        event: Option<u32>,
        /// Of a splice_insert that is not cancelled: true where a break begins, false where it ends.
        out_of_network: Option<bool>,
    },
    /// An ID3 tag of an elementary stream ("Timed Metadata for HTTP Live Streaming").
    Id3,
    /// An `emsg` (ISO/IEC 23009-1 5.10.3.3).
    Message { scheme: Name, value: Name },
}

/// One line for a person; what the source wrote into it stays out.
impl fmt::Display for CueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Splice { command, event, out_of_network } => {
                write!(f, "SCTE 35 command {command}")?;
                if let Some(event) = event {
                    write!(f, ", event {event}")?;
                }
                match out_of_network {
                    Some(true) => write!(f, ", out of the network"),
                    Some(false) => write!(f, ", back to the network"),
                    None => Ok(()),
                }
            }
            Self::Id3 => write!(f, "ID3 tag"),
            Self::Message { .. } => write!(f, "event message"),
        }
    }
}
