//! Event messages.

use bytes::Bytes;
use mp4_atom::{Atom, Emsg, EmsgTimestamp};

use super::error::{Place, Problem, ReadError};

/// When an event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// After the earliest presentation time of the segment (`emsg` version 0).
    AfterSegmentStart(u32),
    /// On the movie's timeline (version 1).
    Presentation(u64),
}

/// An `emsg` (ISO/IEC 23009-1 5.10.3.3). Times are in `timescale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub timescale: u32,
    pub time: EventTime,
    /// `None`: not known (0xFFFFFFFF).
    pub duration: Option<u32>,
    pub id: u32,
    /// What `message` is.
    pub scheme_id_uri: String,
    pub value: String,
    pub message: Bytes,
}

impl Event {
    pub(crate) fn parse(body: &Bytes, place: &Place<'_>) -> Result<Self, ReadError> {
        let emsg = Emsg::decode_body(&mut body.as_ref())
            .map_err(|error| place.error(Problem::Malformed(error.to_string())))?;
        Ok(Self {
            timescale: emsg.timescale,
            time: match emsg.presentation_time {
                EmsgTimestamp::Relative(delta) => EventTime::AfterSegmentStart(delta),
                EmsgTimestamp::Absolute(time) => EventTime::Presentation(time),
            },
            duration: Some(emsg.event_duration).filter(|duration| *duration != u32::MAX),
            id: emsg.id,
            scheme_id_uri: emsg.scheme_id_uri,
            value: emsg.value,
            message: emsg.message_data.into(),
        })
    }
}
