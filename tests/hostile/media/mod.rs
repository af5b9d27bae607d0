//! Hostile media, made byte by byte: legal enough to be read, and as much work as the bytes can carry.

pub mod mp4;
pub mod ts;

/// The shortest frames of packed audio, `size` bytes of them.
pub fn frames(frame: &[u8], size: usize) -> Vec<u8> {
    frame.repeat(size / frame.len())
}

/// AAC-LC, 48 kHz, stereo; `payload` bytes behind a header of 7 (ISO/IEC 14496-3 1.A.2).
pub fn adts(payload: usize) -> Vec<u8> {
    let len = 7 + payload;
    let mut frame = vec![0xFF, 0xF1, 0x4C, 0x80, (len >> 3) as u8, (len << 5) as u8 | 0x1F, 0xFC];
    frame.resize(len, 0);
    frame
}

/// MPEG-2 layer III at 8 kbit/s and 24 kHz: 24 bytes (ISO/IEC 13818-3 2.4.2.3).
pub fn mp3() -> Vec<u8> {
    let mut frame = vec![0xFF, 0xF3, 0x14, 0xC4];
    frame.resize(24, 0);
    frame
}

/// AC-3 at 32 kbit/s and 48 kHz, mono: 128 bytes (ETSI TS 102 366 4.3, table 4.13).
pub fn ac3() -> Vec<u8> {
    // bsid 8, bsmod 0, acmod 1.
    let mut frame = vec![0x0B, 0x77, 0, 0, 0x00, 0x40, 0x20];
    frame.resize(128, 0);
    frame
}

/// Timed ID3 of `len` bytes of text: a TXXX frame (ID3v2.4 4.2.6).
pub fn id3(len: usize) -> Vec<u8> {
    let mut frame = b"TXXX".to_vec();
    let synchsafe = |size: usize| [size >> 21, size >> 14, size >> 7, size].map(|byte| byte as u8 & 0x7F);
    frame.extend(synchsafe(len + 2));
    frame.extend([0, 0, 3, 0]);
    frame.resize(frame.len() + len, b'i');
    let mut tag = b"ID3\x04\0\0".to_vec();
    tag.extend(synchsafe(frame.len()));
    tag.extend(frame);
    tag
}
