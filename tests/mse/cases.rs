//! What the browser is given: transport streams by FFmpeg, through our demuxer, into our fragments.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use overdub::media::mp4::{audio_config, video_config};
use overdub_fmp4::{
    Codec, CutRule, Edit, Fragmenter, ProducerTime, Sample, SegmentBoxes, TrackConfig, init_segment,
};
use overdub_ts::{Demuxer, Event, Params, Ticks};

/// One thing to play.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) mime: String,
    /// The init segment, then the media segments.
    pub(crate) parts: Vec<Bytes>,
    /// Presentation times in seconds.
    pub(crate) start: f64,
    pub(crate) end: f64,
    /// How many pictures there are.
    pub(crate) pictures: usize,
    pub(crate) sound: bool,
    /// Chromium's own decoders know this codec on every platform: unsupported, it would be our MIME type
    /// that is wrong.
    pub(crate) everywhere: bool,
}

/// What is asked for beside the codec.
#[derive(Clone, Copy, Default)]
struct Options {
    /// `styp`, `sidx` and `prft` before every fragment.
    boxes: bool,
    /// An edit list that presents the first picture at once.
    edit: bool,
    /// The AudioSpecificConfig and the codec string that stand for what the stream says.
    as_he_aac: bool,
    everywhere: bool,
}

const PICTURES: &str = "-f lavfi -i testsrc=d=5:s=320x180:r=25 -pix_fmt yuv420p -g 25 -bf 2";
const SOUND: &str = "-f lavfi -i sine=d=5:r=48000 -ac 2";
const LOW_RATE: &str = "-f lavfi -i sine=d=5:r=24000 -ac 2";

pub(crate) fn all(folder: &Path) -> Vec<Case> {
    let plain = Options::default();
    let everywhere = Options { everywhere: true, ..plain };
    let case =
        |name, codec: &str, input: &str, options| make(folder, name, &format!("{input} {codec}"), options);
    vec![
        case("avc1", "-c:v libx264", PICTURES, everywhere),
        case("avc1 with styp, sidx, prft", "-c:v libx264", PICTURES, Options { boxes: true, ..everywhere }),
        case("avc1 with an edit list", "-c:v libx264", PICTURES, Options { edit: true, ..everywhere }),
        case("hvc1", "-c:v libx265 -x265-params log-level=none", PICTURES, plain),
        case("mp4a.40.2", "-c:a aac", SOUND, everywhere),
        case("mp4a.40.5", "-c:a aac", LOW_RATE, Options { as_he_aac: true, ..everywhere }),
        case("opus", "-c:a libopus", SOUND, everywhere),
        case("mp3", "-c:a libmp3lame", SOUND, plain),
        case("ac-3", "-c:a ac3", SOUND, plain),
        case("ec-3", "-c:a eac3", SOUND, plain),
        case("avc1 and mp4a.40.2", "-c:v libx264 -c:a aac", &format!("{SOUND} {PICTURES}"), everywhere),
        case("avc1 and opus", "-c:v libx264 -c:a libopus", &format!("{SOUND} {PICTURES}"), everywhere),
    ]
}

/// A transport stream as FFmpeg makes it.
fn transport_stream(folder: &Path, args: &str) -> Bytes {
    let file = folder.join("source.ts");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args.split_whitespace())
        .args(["-f", "mpegts"])
        .arg(&file)
        .output()
        .unwrap_or_else(|error| panic!("ffmpeg is needed ({error}): apt-get install ffmpeg"));
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&file).expect("what ffmpeg wrote").into()
}

/// A stream of the source: its samples with their times in the track's timescale.
struct Track {
    pid: u16,
    config: TrackConfig,
    codec_string: String,
    /// Of sound, a frame's length in the timescale.
    frame_len: u32,
    samples: Vec<(i64, Sample)>,
}

impl Track {
    fn push(&mut self, sample: overdub_ts::Sample) {
        let scale = |ticks: Ticks| ticks.0 * i64::from(self.config.timescale) / 90_000;
        let dts = match self.samples.last() {
            Some((last, _)) if self.frame_len > 0 => last + i64::from(self.frame_len),
            _ => scale(sample.dts),
        };
        let offset = if self.frame_len > 0 { 0 } else { sample.pts.0 - sample.dts.0 };
        let composition_offset = i32::try_from(offset).expect("a reordering delay");
        let sync = sample.random_access;
        self.samples
            .push((dts, Sample { duration: self.frame_len, composition_offset, sync, data: sample.data }));
    }

    /// When presentation begins and ends, in seconds.
    fn span(&self) -> (f64, f64) {
        let shift = self.config.shift();
        let times =
            self.samples.iter().map(|(dts, sample)| dts + i64::from(sample.composition_offset) + shift);
        let last = if self.frame_len > 0 { self.frame_len } else { self.config.timescale / 25 };
        let seconds = |time: i64| time as f64 / f64::from(self.config.timescale);
        let (first, end) = (times.clone().min().expect("samples"), times.max().expect("samples"));
        (seconds(first), seconds(end + i64::from(last)))
    }
}

fn demux(stream: Bytes) -> Vec<Track> {
    let mut demuxer = Demuxer::new();
    demuxer.push(stream);
    demuxer.finish();
    let mut tracks: Vec<Track> = Vec::new();
    while let Some(event) = demuxer.next_event() {
        match event {
            Event::Params { pid, params } if tracks.iter().all(|track| track.pid != pid) => {
                let (config, codec_string, frame_len) = match &params {
                    Params::Video(params) => {
                        let video = overdub::demux::video_params(params).expect("a codec that is carried");
                        (video_config(&video), params.codec_string.clone(), 0)
                    }
                    Params::Audio(params) => {
                        let audio = overdub::demux::audio_params(params).expect("a codec that is carried");
                        (audio_config(&audio), params.codec_string.clone(), params.frame_len)
                    }
                };
                tracks.push(Track { pid, config, codec_string, frame_len, samples: Vec::new() });
            }
            Event::Sample(sample) => {
                let track = tracks.iter_mut().find(|track| track.pid == sample.pid);
                track.expect("parameters before samples").push(sample);
            }
            Event::Damage(damage) => panic!("{damage}"),
            _ => {}
        }
    }
    tracks
}

fn make(folder: &Path, name: &'static str, args: &str, options: Options) -> Case {
    let mut tracks = demux(transport_stream(folder, args));
    tracks.sort_by_key(|track| track.config.id);
    for track in &mut tracks {
        if options.as_he_aac
            && let Codec::Aac { asc, .. } = &mut track.config.codec
        {
            // AAC-LC without SBR data in it is a legal HE-AAC stream: explicit signalling (ISO/IEC 14496-3
            // 1.6.5), object type 5, core at 24 kHz, two channels, extension at 48 kHz, object type 2.
            *asc = Bytes::from_static(&[0x2B, 0x11, 0x88, 0x00]);
            track.codec_string = "mp4a.40.5".to_owned();
        }
        if options.edit {
            let offset = track.samples.first().map_or(0, |(_, sample)| sample.composition_offset);
            let media_time = u64::try_from(offset).expect("a reordering delay");
            track.config.edit = Some(Edit { delay: 0, media_time, duration: 0 });
        }
    }
    let configs: Vec<_> = tracks.iter().map(|track| track.config.clone()).collect();
    let mut parts = vec![init_segment(&configs).expect("an init segment")];
    let mut fragmenter = Fragmenter::new(&configs, CutRule::default()).expect("tracks");
    for (index, track) in tracks.iter().enumerate() {
        for (dts, sample) in &track.samples {
            fragmenter.push(index, *dts, sample.clone()).expect("a sample");
        }
    }
    fragmenter.finish();
    while let Some(mut fragment) = fragmenter.next_fragment() {
        if options.boxes {
            let run = &fragment.tracks[0];
            let producer_time = ProducerTime {
                track_id: run.track_id,
                ntp: 0xE900_0000 << 32,
                media_time: run.base_decode_time,
            };
            fragment.segment = SegmentBoxes {
                segment_type: true,
                producer_time: Some(producer_time),
                index: Some(configs[0].timescale),
            };
        }
        parts.push(fragment.encode().expect("a fragment").to_bytes());
    }
    let video = tracks.iter().find(|track| track.config.codec.is_video());
    // RFC 6381 leaves the case of the object type open; browsers that know MP3 here know it in capitals.
    let codecs: Vec<_> =
        tracks.iter().map(|track| track.codec_string.replace("mp4a.6b", "mp4a.6B")).collect();
    let kind = if video.is_some() { "video" } else { "audio" };
    let spans = || tracks.iter().map(Track::span);
    Case {
        name,
        mime: format!("{kind}/mp4; codecs=\"{}\"", codecs.join(", ")),
        parts,
        // Of several tracks the browser buffers what all have.
        start: spans().map(|span| span.0).fold(0.0, f64::max),
        end: spans().map(|span| span.1).fold(0.0, f64::max),
        pictures: video.map_or(0, |track| track.samples.len()),
        sound: tracks.iter().any(|track| track.config.codec.is_audio()),
        everywhere: options.everywhere,
    }
}
