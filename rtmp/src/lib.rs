//! RTMP publishing and receiving sessions: bytes in, bytes out, no I/O.
