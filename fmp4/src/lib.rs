//! Fragmented MP4, read and write, on mp4-atom: payloads chained, never copied.
