//! MPEG-TS to elementary samples: zero-copy where it can be, no I/O, no clock.
