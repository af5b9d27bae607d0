//! The whole path through its pure parts, on an invented clock and without a network: ten minutes of live
//! stream from playlist text to FLV tags, in a moment.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use overdub_rtmp::chunk::Output;
use overdub_rtmp::{Client, ClientState, Server, ServerEvent, ServerState, Target, Timestamp};

use super::desk::to_fit;
use crate::batch::{self, Batcher};
use crate::config::{ConfigurationChange, Fallback};
use crate::demo::clip;
use crate::demux::{Demuxer, Input};
use crate::hls::cursor::{Cursor, Next};
use crate::hls::playlist::{self, Playlist};
use crate::media::{Batch, Flicks, Moment, Origin, OutputAudio, Packet, mp4};
use crate::playout::Playout;
use crate::publish::pacer::{LEAD, Outlet, Pacer, Verdict};
use crate::publish::tags::{Announced, Known};
use crate::remux::{Fitter, Interleaver, Sound};
use crate::roundtrip::inflight::{Config, Window};
use crate::roundtrip::{Request, answer};

const STEP: Duration = Duration::from_millis(20);
const LENGTH: Duration = Duration::from_secs(600);
const BUDGET: Duration = Duration::from_secs(12);
const BUFFER: Duration = Duration::from_secs(30);
/// Segments in the source's window.
const WINDOW: u64 = 6;

/// The source's playlist at `now`.
fn playlist_text(now: Moment) -> String {
    let end = WINDOW + now.since_start().as_secs() / clip::SEGMENT_DURATION.as_secs();
    let first = end - WINDOW;
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for number in first..end {
        let _ = writeln!(text, "#EXTINF:2.0,\n{number}.ts");
    }
    text
}

/// The path, stage by stage; `step` runs each once.
struct Path {
    cursor: Cursor,
    demuxer: Demuxer,
    batcher: Batcher,
    playout: Option<Playout>,
    window: Window,
    /// Fragments at the processor: when they are answered, and with what.
    processor: VecDeque<(Moment, u64, Bytes)>,
    waiting: VecDeque<Batch>,
    fitter: Fitter,
    sound: Sound,
    interleaver: Interleaver,
    pacer: Pacer,
    held: Option<Packet>,
    known: Known,
    announced: Announced,
    rtmp: Client,
    fallbacks: u64,
    latest: Duration,
    /// What samples are made of, by address: the demuxer's payloads, and the processor's answers.
    media: BTreeMap<usize, Bytes>,
    packets: u64,
}

impl Path {
    fn new() -> Self {
        let settings = batch::Settings { buffer_duration: BUFFER, processing_budget: BUDGET };
        let window = Config { max_concurrent: 3, max_fragment_bytes: 64 << 20, processing_budget: BUDGET };
        let target = Target::parse("rtmp://localhost/live/path").unwrap();
        let mut path = Self {
            cursor: Cursor::new(3),
            demuxer: Demuxer::new(),
            batcher: Batcher::new(settings, 0),
            playout: None,
            window: Window::new(window),
            processor: VecDeque::new(),
            waiting: VecDeque::new(),
            fitter: Fitter::default(),
            sound: Sound::new(Fallback::Original, ConfigurationChange::Allow, OutputAudio::Basic),
            interleaver: Interleaver::default(),
            pacer: Pacer::default(),
            held: None,
            known: Known::default(),
            announced: Announced::default(),
            rtmp: Client::new(target, "test").unwrap(),
            fallbacks: 0,
            latest: Duration::ZERO,
            media: BTreeMap::new(),
            packets: 0,
        };
        path.window.handle_connected(None);
        path.pacer.connected(Moment::ZERO);
        path
    }

    fn step(&mut self, now: Moment) {
        self.fetch(now);
        if let Some(batch) = self.batcher.poll_close(now, self.playout) {
            self.send(batch, now);
        }
        self.round_trip(now);
        self.decide();
        self.publish(now);
    }

    fn fetch(&mut self, now: Moment) {
        if self.cursor.reload_at().is_some_and(|at| at <= now) {
            let parsed = playlist::parse(playlist_text(now).as_bytes(), &playlist::Definitions::default());
            let Ok(Playlist::Media(media)) = parsed else { panic!("a media playlist") };
            self.cursor.handle_playlist(&media, now, now);
            self.batcher.set_target_duration(media.target_duration);
        }
        while let Some(next) = self.cursor.take_next() {
            let Next::Segment(listed) = next else { panic!("nothing is missed: {next:?}") };
            let number: u64 = listed.segment.uri.trim_end_matches(".ts").parse().unwrap();
            let origin = Origin { segment: number, captured_at: now, program_date_time: None };
            let input = Input::main(clip::segment(number), listed.discontinuity);
            for piece in self.demuxer.handle_segment(&input, &origin) {
                let video = piece.video.iter().flat_map(|(_, all)| all).map(|sample| &sample.data);
                let audio = piece.audio.iter().flat_map(|(_, all)| all).map(|frame| &frame.data);
                self.media.extend(video.chain(audio).map(by_address));
                for batch in self.batcher.handle_piece(piece) {
                    self.send(batch, now);
                }
            }
        }
    }

    fn send(&mut self, batch: Batch, now: Moment) {
        let playout = *self.playout.get_or_insert_with(|| {
            Playout::anchored(batch.captured_at, batch.duration, self.batcher.longest_batch(), BUDGET)
        });
        let audio = batch.audio.as_ref().unwrap();
        let request = Request {
            number: batch.number,
            audio: mp4::file(None, Some(audio), audio.start).unwrap().to_bytes(),
            duration: audio.duration(),
            pts: audio.start,
            context: (0, 0),
            params: Arc::clone(&audio.params),
            program_date_time: None,
            file_name: String::new(),
            deadline: playout.deadline(batch.start),
            plays_at: batch.start,
        };
        self.window.handle_request(now, request).unwrap();
        self.waiting.push_back(batch);
    }

    /// The processor takes 10 s, and forgets every fourth fragment.
    fn round_trip(&mut self, now: Moment) {
        self.window.handle_timeout(now);
        while let Some(request) = self.window.poll_transmit(now) {
            if request.number % 4 != 3 {
                let answered_at = now + Duration::from_secs(10);
                self.processor.push_back((answered_at, request.number, request.audio.clone()));
            }
        }
        while let Some((_, number, data)) = self.processor.pop_front_if(|(at, ..)| *at <= now) {
            self.media.extend([by_address(&data)]);
            self.window.handle_answer(now, Some(number), None, |request| {
                answer::read(
                    &data,
                    &answer::Terms {
                        duration: request.duration,
                        sent: data.len(),
                        undeclared_priming: 0,
                        outputs: OutputAudio::Basic,
                    },
                )
            });
        }
    }

    fn decide(&mut self) {
        while let Some(outcome) = self.window.poll_outcome() {
            let batch = self.waiting.pop_front().unwrap();
            assert_eq!(batch.number, outcome.number);
            let original = batch.audio.as_ref().unwrap();
            let audio = match &outcome.result {
                Ok(answer) => {
                    let answer = to_fit(answer, &batch.context, &original.params);
                    self.sound.processed(&mut self.fitter, original, answer).0
                }
                Err(_) => {
                    self.fallbacks += 1;
                    self.sound.fallback(&mut self.fitter, original).0.unwrap()
                }
            };
            self.interleaver.handle_batch(&batch, Some(&audio));
        }
    }

    fn publish(&mut self, now: Moment) {
        let Some(playout) = self.playout else { return };
        while let Some(packet) = self.held.take().or_else(|| self.interleaver.poll()) {
            match self.pacer.decide(&packet, playout, now, Outlet::Open) {
                Verdict::Wait(_) => {
                    self.held = Some(packet);
                    return;
                }
                Verdict::Send(stamp) => {
                    self.latest = self.latest.max(now.saturating_since(playout.due(packet.dts) - LEAD));
                    self.known.learn(&packet);
                    let at = Timestamp::from_millis(stamp.dts);
                    for header in self.announced.update(&self.known) {
                        self.rtmp.send(at, &header);
                    }
                    self.rtmp.send(at, &self.announced.tag(&packet, stamp).unwrap());
                    self.packets += 1;
                }
                Verdict::Drop => panic!("nothing is dropped: {packet:?}"),
            }
        }
    }
}

/// What the receiving session was sent: FLV tag bodies by time, without sequence headers.
#[derive(Default)]
struct Received {
    video: Vec<i64>,
    audio: Vec<(i64, Bytes)>,
}

/// Moves bytes both ways until neither side has any.
fn exchange(client: &mut Client, server: &mut Server, received: &mut Received) {
    loop {
        let (from_client, from_server) = (take(client.output()), take(server.output()));
        if from_client.is_empty() && from_server.is_empty() {
            return;
        }
        server.receive(&from_client).unwrap();
        client.receive(&from_server).unwrap();
        while let Some(event) = server.event() {
            match event {
                ServerEvent::Connect { .. } | ServerEvent::Publish { .. } => server.accept(),
                // E.4.3.1: 1 is a NAL unit, E.4.2.1: 1 is raw AAC; 0 is a sequence header in both.
                ServerEvent::Video { at, body } if body[1] == 1 => received.video.push(i64::from(at.get())),
                ServerEvent::Audio { at, body } if body[1] == 1 => {
                    received.audio.push((i64::from(at.get()), body.slice(2..)));
                }
                _ => {}
            }
        }
    }
}

fn take(output: &mut impl Buf) -> Bytes {
    output.copy_to_bytes(output.remaining())
}

#[test]
fn ten_minutes_of_stream_come_through_untouched_and_in_time() {
    let mut path = Path::new();
    let (mut server, mut received) = (Server::new(), Received::default());
    exchange(&mut path.rtmp, &mut server, &mut received);
    assert_eq!((path.rtmp.state(), server.state()), (ClientState::Publishing, ServerState::Publishing));

    let mut now = Moment::ZERO;
    while now.since_start() < LENGTH {
        path.step(now);
        exchange(&mut path.rtmp, &mut server, &mut received);
        now = now + STEP;
    }

    // Live began with segment 3 of a window that was there at once: its first batch is 6 s of the past and
    // 24 s that had to come, and plays 2 s (one longer segment) and the budget later.
    let begins = path.playout.unwrap().due(Flicks::ZERO);
    assert_eq!(begins, Moment::from_start(Duration::from_secs(24 + 2 + 12)));
    let played = LENGTH - begins.since_start() + LEAD;
    assert_eq!(path.fallbacks, 4, "every fourth of 19 batches was never answered");
    assert!(path.latest < STEP, "a packet left {:?} after its time", path.latest);

    let pictures = played.as_millis() / 40;
    assert!((pictures as i64 - received.video.len() as i64).abs() <= 2, "{}", received.video.len());
    assert!(received.video.windows(2).all(|pair| pair[1] - pair[0] == 40), "a picture each 40 ms");

    // Every frame of the source, in its order, at its time.
    let source = source_frames(received.audio.len());
    let offset = received.audio[0].0;
    for (k, ((at, body), frame)) in received.audio.iter().zip(&source).enumerate() {
        assert_eq!(body, frame, "frame {k}");
        let exact = offset as f64 + k as f64 * 1024.0 / 48.0;
        assert!((*at as f64 - exact).abs() <= 1.0, "frame {k} at {at} ms instead of {exact}");
    }
    assert!(received.audio.len() as u128 >= played.as_millis() * 48 / 1024 - 2);
}

fn by_address(data: &Bytes) -> (usize, Bytes) {
    (data.as_ptr() as usize, data.clone())
}

/// Bytes on their way to a socket that are those of a sample, by address, and bytes that are not.
fn shared_and_own(output: &Output, media: &BTreeMap<usize, Bytes>) -> (usize, usize) {
    let mut slices = vec![IoSlice::new(&[]); 100_000];
    let count = output.chunks_vectored(&mut slices);
    let (mut shared, mut own) = (0, 0);
    for slice in &slices[..count] {
        let at = slice.as_ptr() as usize;
        let nearest = media.range(..=at).next_back();
        let within = nearest.is_some_and(|(start, data)| at + slice.len() <= start + data.len());
        *(if within { &mut shared } else { &mut own }) += slice.len();
    }
    assert_eq!(shared + own, output.remaining(), "all slices were looked at");
    (shared, own)
}

/// Copies per byte of media behind the sample: none. Each slice that waits for the socket lies in the memory of a
/// sample that the demuxer gave, or of an answer of the processor; besides there are headers.
#[test]
fn no_byte_of_media_is_copied_between_the_sample_and_the_socket() {
    let mut path = Path::new();
    let (mut server, mut received) = (Server::new(), Received::default());
    exchange(&mut path.rtmp, &mut server, &mut received);
    let (mut shared, mut own) = (0, 0);
    let mut now = Moment::ZERO;
    while now.since_start() < Duration::from_secs(120) {
        path.step(now);
        let (more_shared, more_own) = shared_and_own(path.rtmp.output(), &path.media);
        (shared, own) = (shared + more_shared, own + more_own);
        exchange(&mut path.rtmp, &mut server, &mut received);
        now = now + STEP;
    }
    let sound: usize = received.audio.iter().map(|(_, frame)| frame.len()).sum();
    assert!(shared > sound && sound > 50_000, "{shared} bytes, of which {sound} of sound");
    // A chunk header has 12 bytes, the tag in front of a picture 5; metadata and sequence headers come once.
    let headers = path.packets as usize * (12 + 5) + 2_000;
    assert!(own <= headers, "{own} bytes for {} packets are not those of samples", path.packets);
}

/// The first `count` frames of the clip from the segment at which the stream began, straight from the demuxer.
fn source_frames(count: usize) -> Vec<Bytes> {
    let mut demuxer = Demuxer::new();
    let mut frames = BTreeMap::new();
    let mut number = WINDOW - 3;
    while frames.len() < count {
        let origin = Origin { segment: number, captured_at: Moment::ZERO, program_date_time: None };
        for piece in demuxer.handle_segment(&Input::main(clip::segment(number), false), &origin) {
            let (_, all) = piece.audio.unwrap();
            frames.extend(all.into_iter().map(|frame| (frame.pts, frame.data)));
        }
        number += 1;
    }
    frames.into_values().take(count).collect()
}
