//! End to end, on real sockets, judged by others' tools: FFmpeg makes and serves the live source, Debian's
//! nginx with libnginx-mod-rtmp (or a real SRS) is the target, FFmpeg pulls from it what was published, and
//! the recording is compared with the source packet by packet.
//!
//! Short forms run in CI; `OVERDUB_LONG=1` (make test-long) adds the forms of minutes, `SRS=binary`
//! (make test-srs) those against SRS. docs/testing.md says what each covers and how long it takes.
//!
//! | module | what is in it |
//! |---|---|
//! | tools, web | processes, ports, limits; a static HTTP server and a small client |
//! | source, nginx, srs, recorder, overdub | the parts of a scene: each is started and ends with its value |
//! | packets, judge, smooth, flv | what was received, and whether it is what it should be. Pure but for FFmpeg |
//! | judge_tests | the judge itself: it passes FFmpeg's publishing and finds each fault that we make |
//! | live, many, crowd, vod, bad_input, check, commands, demo, disk, enhanced, files, hole, hostile_words, corpus, processor | tests |
//! | resume, shutdown, srs_browser, srs_live | more of them |

#![expect(unreachable_pub, reason = "a test binary: nothing is outside")]

mod bad_input;
#[path = "../support/browser.rs"]
mod browser;
mod check;
mod commands;
mod corpus;
mod crowd;
mod demo;
mod disk;
mod enhanced;
mod files;
mod flv;
mod hole;
mod hostile_words;
#[path = "../support/install.rs"]
mod install;
mod judge;
mod judge_tests;
mod live;
mod many;
mod nginx;
mod overdub;
mod packets;
mod processor;
#[path = "../support/processors.rs"]
mod processors;
mod recorder;
mod resume;
#[expect(dead_code, reason = "the RTMP tests use the rest")]
#[path = "../support/scripted.rs"]
mod scripted;
mod shutdown;
mod smooth;
mod source;
mod srs;
mod srs_browser;
mod srs_live;
#[path = "../support/tags.rs"]
mod tags;
mod tools;
mod vod;
mod web;
