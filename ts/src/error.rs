//! What goes wrong in a transport stream, and where.

use thiserror::Error;

/// Something in the input was broken. The demuxer has gone on; what this cost is told by the samples
/// that are marked as damaged or do not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind} (packet {packet}, offset {offset}{})", pid_text(*pid))]
pub struct Damage {
    pub kind: DamageKind,
    /// The PID it happened on; `None` where packets could not be told apart.
    pub pid: Option<u16>,
    /// Number of the packet, from 0, counting every packet found in sync.
    pub packet: u64,
    /// Byte offset of that packet from the start of the input.
    pub offset: u64,
}

fn pid_text(pid: Option<u16>) -> String {
    pid.map_or_else(String::new, |pid| format!(", pid {pid}"))
}

/// The kinds of [`Damage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DamageKind {
    /// No sync byte where one was due; so many bytes were skipped until packets were found again.
    #[error("sync lost, {skipped} bytes skipped")]
    SyncLost { skipped: u64 },
    /// The input or a segment ended inside a packet.
    #[error("{bytes} bytes of a cut packet at the end")]
    CutPacket { bytes: u32 },
    /// Packets of this PID are missing (ISO/IEC 13818-1 2.4.3.3, continuity_counter).
    #[error("continuity counter is {found}, expected {expected}")]
    Continuity { expected: u8, found: u8 },
    /// transport_error_indicator is set: the packet has bit errors that could not be corrected.
    #[error("transport error indicated")]
    TransportError,
    /// The payload is scrambled and was left out. Reported at the start of each scrambled stretch.
    #[error("scrambled payload")]
    Scrambled,
    /// The adaptation field does not fit into its packet.
    #[error("bad adaptation field")]
    AdaptationField,
    /// A PAT, PMT or private section fails its CRC or cannot be parsed.
    #[error("bad section, table id {table}")]
    Section { table: u8 },
    /// A PES packet's header cannot be parsed; the packet was left out.
    #[error("bad pes header")]
    PesHeader,
    /// A PES packet ended before its PES_packet_length.
    #[error("pes packet is {missing} bytes short")]
    PesShort { missing: u32 },
    /// A segment begins within a PES packet without length, and nothing showed that the one before ended within it:
    /// what came of that packet's picture came as whole.
    #[error("picture cut by the end of a segment")]
    CutUnit,
    /// Elementary bytes in which no frame could be found were left out.
    #[error("{bytes} bytes without a frame")]
    NoFrame { bytes: u64 },
    /// A parameter set cannot be parsed; the one before it stays in force.
    #[error("bad parameter set, nal unit type {nal_type}")]
    ParameterSet { nal_type: u8 },
    /// An access unit grew past the limit and was dropped.
    #[error("access unit above {limit} bytes")]
    TooLarge { limit: usize },
    /// A segment has more than is taken of one; the rest was left out.
    #[error("more than a segment may have: {samples} frames, {bytes} bytes and {sections} sections left out")]
    TooMuch { samples: u64, bytes: u64, sections: u64 },
    /// Neither PAT nor PMT came; streams were recognised by their content.
    #[error("no program tables, streams guessed")]
    NoTables,
}
