//! `overdub publish`: a file, at its own pace, to an RTMP server.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use futures_util::FutureExt;
use overdub_fmp4::{Codec, TimedSample, TrackInfo};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::progress::Progress;
use super::signals;
use super::track_reader::TrackReader;
use crate::clock::Clock;
use crate::config::{RtmpUrl, Span};
use crate::demux::{CleanTimes, RawTimes, StampSource, Stamps};
use crate::media::{AudioParams, Flicks, Packet, PacketKind, VideoCodec, VideoParams, mp4};
use crate::outside::{ShownUrl, Text};
use crate::playout::Playout;
use crate::publish;

/// Packets on their way to the publisher: some seconds.
const QUEUE: usize = 256;
/// Once connected, the first packet is due after this: the queue is filled then.
const HEAD_START: Duration = Duration::from_millis(200);
/// How long a server may be away: a person waits.
const GIVE_UP: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(super) struct Args {
    /// MP4, fragmented or plain, with H.264 or HEVC pictures, AAC or MP3 sound, or both.
    input: PathBuf,
    /// rtmp://host/app/stream
    rtmp_url: String,
    /// How long the server may take to answer publish [default: 20]
    #[arg(long, value_name = "TIME")]
    publish_timeout: Option<Span>,
    /// Certificates in PEM that rtmps trusts beside the built-in and the system's ones.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Progress as one JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    state: publish::State,
    url: ShownUrl,
    published_seconds: f64,
    packets_sent: u64,
    packets_dropped: u64,
    bytes_sent: u64,
    /// Bits per second.
    bitrate: f64,
    lateness_ms: f64,
    max_lateness_ms: f64,
    reconnects: u64,
    last_error: Option<Text>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let url = RtmpUrl::new(&args.rtmp_url).map_err(|reason| anyhow!("the RTMP address {reason}"))?;
    let mut packets = Packets::open(&args.input)?;
    let clock = Clock::start();
    let stop = signals::stop_on_signal()?;
    let (feed, queue) = mpsc::channel(QUEUE);
    let (playout, playout_seen) = watch::channel(None);
    let (status, seen) = watch::channel(publish::Status::default());
    let settings = publish::Settings {
        give_up: Some(GIVE_UP),
        publish_timeout: args
            .publish_timeout
            .map_or(publish::Settings::DEFAULT_PUBLISH_TIMEOUT, |Span(limit)| limit),
        ca_file: args.ca_file,
        ..publish::Settings::new(url.as_str())
    };
    let publisher = publish::run(settings, clock, playout_seen.clone(), queue, status, stop);
    let mut publisher = std::pin::pin!(publisher);
    let mut connected = seen.clone();
    // Nothing is due before somebody listens: the file is to arrive whole.
    let feeder = async move {
        if connected.wait_for(publish::Status::is_connected).await.is_ok() {
            let start = Playout::anchored(clock.now(), Flicks::ZERO, Duration::ZERO, HEAD_START);
            playout.send_replace(Some(start));
            // Reading the file may block.
            let fed = tokio::task::spawn_blocking(move || {
                while let Some(packet) = packets.next()? {
                    if feed.blocking_send(packet).is_err() {
                        break;
                    }
                }
                anyhow::Ok(())
            });
            return (playout, fed.await.map_err(anyhow::Error::from).flatten());
        }
        (playout, Ok(()))
    };
    let mut feeder = std::pin::pin!(feeder.fuse());
    let mut playout = None;
    let mut progress = Progress::new(args.json);
    let result = loop {
        tokio::select! {
            result = &mut publisher => break result,
            // The channel has ended; the playout clock is kept, so that the last packet goes out.
            fed = &mut feeder => playout = Some(fed),
            () = clock.sleep(progress.interval()) => {
                let report = report(&seen);
                progress.show(&describe(&report), &report)?;
            }
        }
    };
    let read = playout.map_or(Ok(()), |(_, read)| read);
    let report = report(&seen);
    progress.finish(&describe(&report), &report)?;
    // Its text already names the cause.
    result.map_err(|error| anyhow!(error.to_string())).and(read)
}

fn report(status: &watch::Receiver<publish::Status>) -> Report {
    let status = status.borrow();
    let millis = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    Report {
        state: status.state,
        url: status.url.clone(),
        published_seconds: status.position.unwrap_or_default().to_secs_f64(),
        packets_sent: status.packets_sent,
        packets_dropped: status.packets_dropped,
        bytes_sent: status.bytes_sent,
        bitrate: status.bitrate,
        lateness_ms: millis(status.lateness.last),
        max_lateness_ms: millis(status.lateness.max),
        reconnects: status.reconnects,
        last_error: status.last_error.clone(),
    }
}

fn describe(report: &Report) -> String {
    let mut line = format!(
        "{:.1} s published | {:.2} Mbit/s | lateness {:.0} ms (max {:.0}) | {} packets, {} dropped",
        report.published_seconds,
        report.bitrate / 1e6,
        report.lateness_ms,
        report.max_lateness_ms,
        report.packets_sent,
        report.packets_dropped,
    );
    if let Some(error) = &report.last_error {
        line += &format!(" | {error}");
    }
    line
}

/// The first video and the first audio track as packets in DTS order, the earliest at zero.
struct Packets {
    tracks: Vec<Source>,
    first: Flicks,
}

/// A track, and of what its packets are.
struct Source {
    track: TrackReader,
    kind: PacketKind,
    /// The sample entry that `kind` has the parameters of.
    entry: u16,
    /// RTMP has no decode times after presentation times, MP4 has.
    stamps: Stamps,
    /// Samples whose times are not decided yet.
    waiting: VecDeque<TimedSample>,
    next: Option<(CleanTimes, TimedSample)>,
}

impl Source {
    fn new(track: TrackReader, kind: PacketKind, entry: u16) -> Self {
        Self { track, kind, entry, stamps: Stamps::default(), waiting: VecDeque::new(), next: None }
    }

    /// Decode time of the next sample; `None` at the end.
    fn next_dts(&mut self) -> anyhow::Result<Option<Flicks>> {
        let timescale = self.track.info().config.timescale;
        let time = |units| Flicks::from_units(units, timescale);
        while self.next.is_none() {
            if let Some(times) = self.stamps.poll() {
                self.next = self.waiting.pop_front().map(|sample| (times, sample));
            } else if let Some(sample) = self.track.next()? {
                let length =
                    matches!(self.kind, PacketKind::Audio { .. }).then(|| time(sample.duration.into()));
                let (dts, pts) = (time(sample.dts), time(sample.pts()));
                self.stamps.push(RawTimes { dts, pts, source: StampSource::Table, length });
                self.waiting.push_back(sample);
            } else if self.waiting.is_empty() {
                break;
            } else {
                self.stamps.end();
            }
        }
        Ok(self.next.as_ref().map(|(times, _)| times.dts))
    }
}

impl Packets {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let mut tracks = Vec::new();
        for wanted in [Codec::is_video as fn(&Codec) -> bool, Codec::is_audio] {
            if let Some(mut track) = TrackReader::find(path, |info| wanted(&info.config.codec))? {
                // The last sample may be shorter, and the first is as long as a frame.
                let Some((entry, data)) = track.first()?.map(|first| (first.entry, first.data.clone()))
                else {
                    continue;
                };
                let kind = kind(track.info(), entry, &data)?;
                tracks.push(Source::new(track, kind, entry));
            }
        }
        let mut packets = Self { tracks, first: Flicks::ZERO };
        let Some((first, _)) = packets.earliest()? else {
            bail!("{} has no samples that can be published", path.display());
        };
        packets.first = first;
        Ok(packets)
    }

    /// The decoding time of the next sample, and the index of its track.
    fn earliest(&mut self) -> anyhow::Result<Option<(Flicks, usize)>> {
        let mut earliest = None;
        for (index, source) in self.tracks.iter_mut().enumerate() {
            let Some(next) = source.next_dts()? else { continue };
            let at = (next, index);
            earliest = Some(earliest.map_or(at, |known: (Flicks, usize)| known.min(at)));
        }
        Ok(earliest)
    }

    fn next(&mut self) -> anyhow::Result<Option<Packet>> {
        let Some((_, index)) = self.earliest()? else { return Ok(None) };
        let Some(source) = self.tracks.get_mut(index) else { return Ok(None) };
        let Some((times, sample)) = source.next.take() else { return Ok(None) };
        if sample.entry != source.entry {
            // The publisher sends a sequence header where the parameters differ.
            source.kind = kind(source.track.info(), sample.entry, &sample.data)?;
            source.entry = sample.entry;
        }
        let timescale = source.track.info().config.timescale;
        let mut kind = source.kind.clone();
        if let PacketKind::Video { random_access, .. } = &mut kind {
            *random_access = sample.sync;
        }
        Ok(Some(Packet {
            kind,
            dts: times.dts - self.first,
            pts: times.pts - self.first,
            duration: Flicks::from_units(sample.duration.into(), timescale),
            batch: 0,
            data: sample.data,
        }))
    }
}

/// What the packets of a sample entry are, of which `first` is the first.
fn kind(info: &TrackInfo, entry: u16, first: &[u8]) -> anyhow::Result<PacketKind> {
    let codec = info.codec_of(entry).with_context(|| format!("the track has no sample entry {entry}"))?;
    if codec.is_video() {
        let params = Arc::new(video_params(codec)?);
        return Ok(PacketKind::Video { params, random_access: false });
    }
    let params = Arc::new(audio_params(codec, first)?);
    Ok(PacketKind::Audio { params })
}

fn video_params(codec: &Codec) -> anyhow::Result<VideoParams> {
    let (kind, config, width, height, length_size) = match codec {
        Codec::Avc { avcc, width, height } => (VideoCodec::Avc, avcc, width, height, avcc.get(4)),
        Codec::Hevc { hvcc, width, height } => (VideoCodec::Hevc, hvcc, width, height, hvcc.get(21)),
        _ => bail!("the pictures are neither H.264 nor HEVC"),
    };
    // lengthSizeMinusOne, ISO/IEC 14496-15 5.3.3.1.2 and 8.3.3.1.2.
    if length_size.is_none_or(|byte| byte & 3 != 3) {
        bail!("the NAL units of the pictures do not have lengths of 4 bytes");
    }
    let codec_string = match (kind, config.get(1..4)) {
        (VideoCodec::Avc, Some([profile, flags, level])) => {
            format!("avc1.{profile:02x}{flags:02x}{level:02x}")
        }
        _ => "hvc1".to_owned(),
    };
    let (width, height) = (u32::from(*width), u32::from(*height));
    Ok(VideoParams { codec: kind, config: config.clone(), width, height, codec_string })
}

/// By what decoders go: many files say in their sample entry that the audio is stereo, whatever it is (ISO/IEC 14496-12
/// has 2 as a template; FFmpeg and MP4Box leave it).
fn audio_params(codec: &Codec, first: &[u8]) -> anyhow::Result<AudioParams> {
    if !matches!(codec, Codec::Aac { .. } | Codec::MpegAudio { .. }) {
        bail!("the sound is neither AAC nor MPEG audio");
    }
    mp4::audio_params(codec, first).context("the configuration of the audio cannot be read")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use overdub_fmp4::{Fragment, Sample, TrackConfig, TrackRun, init_segment};

    use super::*;

    #[test]
    fn channels_and_rate_are_those_of_the_configuration_and_not_of_the_sample_entry() {
        let aac = |asc: [u8; 2]| Codec::Aac { asc: asc.to_vec().into(), sample_rate: 44_100, channels: 2 };
        let mp3 = Codec::MpegAudio { sample_rate: 44_100, channels: 2 };
        for (codec, first, sample_rate, channels) in [
            (aac([0x11, 0x88]), &[][..], 48_000, 1),
            (aac([0x12, 0x10]), &[], 44_100, 2),
            (aac([0x11, 0xB0]), &[], 48_000, 6),
            // Layer III, 128 kbit/s, 48 kHz, one channel.
            (mp3.clone(), &[0xFF, 0xFB, 0x94, 0xC4], 48_000, 1),
            (mp3, &[0xFF, 0xFB, 0x90, 0x04], 44_100, 2),
        ] {
            let params = audio_params(&codec, first).unwrap();
            assert_eq!((params.sample_rate, params.channels), (sample_rate, channels), "{codec:?}");
        }
        assert!(audio_params(&Codec::Opus { dops: Bytes::new(), channels: 2 }, &[]).is_err());
    }

    /// A file whose pictures are 40 ms apart with these composition offsets in milliseconds, and AAC beside them.
    fn file(offsets: &[i32]) -> tempfile::NamedTempFile {
        let avcc = Bytes::from_static(&[1, 0x64, 0, 0x1E, 0xFF, 0xE0, 0]);
        let codec = Codec::Avc { avcc, width: 64, height: 36 };
        let video = TrackConfig { id: mp4::VIDEO_TRACK, timescale: 1_000, codec, language: None, edit: None };
        let audio = mp4::audio_config(&AudioParams::plain_aac());
        let pictures = offsets.iter().map(|offset| Sample {
            duration: 40,
            composition_offset: *offset,
            sync: false,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x41]),
        });
        let frames = (0..offsets.len()).map(|_| Sample {
            duration: 1_024,
            composition_offset: 0,
            sync: true,
            data: Bytes::from_static(&[1, 2, 3, 4]),
        });
        let run = |track_id, samples| TrackRun { track_id, base_decode_time: 0, samples };
        let runs = vec![run(video.id, pictures.collect()), run(audio.id, frames.collect())];
        let mut bytes = init_segment(&[video, audio]).unwrap().to_vec();
        bytes.extend(Fragment::new(1, runs).encode().unwrap().to_bytes());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn negative_composition_offsets_keep_their_presentation_times_and_the_audio_in_step() {
        // I P B P B as CMAF has it; and a file that begins to reorder later, deeper and deeper.
        let shallow: Vec<i32> = (0..200).map(|n| [0, 40, -40][if n == 0 { 0 } else { 2 - n % 2 }]).collect();
        let deeper: Vec<i32> =
            (0..200).map(|n| [0, 0, 40, -40][if n < 70 { 0 } else { 2 + n % 2 }]).collect();
        for offsets in [shallow, deeper] {
            let file = file(&offsets);
            let mut packets = Packets::open(file.path()).unwrap();
            let all: Vec<_> = std::iter::from_fn(|| packets.next().unwrap()).collect();
            assert_eq!(all.len(), 400);
            assert!(all.windows(2).all(|pair| pair[0].dts <= pair[1].dts));
            assert!(all.iter().all(|packet| packet.dts >= Flicks::ZERO && packet.dts <= packet.pts));
            let of = |video| all.iter().filter(move |packet| packet.is_video() == video);
            let audio_start = of(false).next().unwrap().pts;
            for (n, (packet, offset)) in of(true).zip(&offsets).enumerate() {
                let expected = Flicks::from_millis(40 * n as i64 + i64::from(*offset));
                assert_eq!(packet.pts - audio_start, expected, "{n}");
            }
        }
    }
}
