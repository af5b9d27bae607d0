//! `overdub publish`: a file, at its own pace, to an RTMP server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use bytes::Bytes;
use futures_util::FutureExt;
use overdub_fmp4::{Codec, TimedSample, Track};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::progress::Progress;
use super::remux::load;
use super::signals;
use crate::clock::Clock;
use crate::config::RtmpUrl;
use crate::media::{AudioCodec, AudioParams, Flicks, Packet, PacketKind, VideoCodec, VideoParams};
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
    /// Progress as one JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    state: publish::State,
    url: String,
    published_seconds: f64,
    packets_sent: u64,
    packets_dropped: u64,
    bytes_sent: u64,
    /// Bits per second.
    bitrate: f64,
    lateness_ms: f64,
    max_lateness_ms: f64,
    reconnects: u64,
    last_error: Option<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let url = RtmpUrl::new(&args.rtmp_url).map_err(|reason| anyhow!("the RTMP address {reason}"))?;
    let packets = packets(&args.input)?;
    let clock = Clock::start();
    let stop = signals::stop_on_signal()?;
    let (feed, queue) = mpsc::channel(QUEUE);
    let (playout, playout_seen) = watch::channel(None);
    let (status, seen) = watch::channel(publish::Status::default());
    let settings = publish::Settings { give_up: Some(GIVE_UP), ..publish::Settings::new(url.as_str()) };
    let publisher = publish::run(settings, clock, playout_seen.clone(), queue, status, stop);
    let mut publisher = std::pin::pin!(publisher);
    let mut connected = seen.clone();
    // Nothing is due before somebody listens: the file is to arrive whole.
    let feeder = async move {
        if connected.wait_for(publish::Status::is_connected).await.is_ok() {
            let start = Playout::anchored(clock.now(), Flicks::ZERO, Duration::ZERO, HEAD_START);
            playout.send_replace(Some(start));
            for packet in packets {
                if feed.send(packet).await.is_err() {
                    break;
                }
            }
        }
        // The channel ends here, the playout clock goes on to the last packet.
        drop(feed);
        playout
    };
    let mut feeder = std::pin::pin!(feeder.fuse());
    let mut playout = None;
    let mut progress = Progress::new(args.json);
    let result = loop {
        tokio::select! {
            result = &mut publisher => break result,
            fed = &mut feeder => playout = Some(fed),
            () = clock.sleep(progress.interval()) => {
                let report = report(&seen);
                progress.show(&describe(&report), &report)?;
            }
        }
    };
    drop(playout);
    let report = report(&seen);
    progress.finish(&describe(&report), &report)?;
    // Its text already names the cause.
    result.map_err(|error| anyhow::anyhow!(error.to_string()))
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
fn packets(path: &Path) -> anyhow::Result<Vec<Packet>> {
    let movie = load(path)?;
    let video = movie.tracks.iter().find(|track| track.info.config.codec.is_video());
    let audio = movie.tracks.iter().find(|track| track.info.config.codec.is_audio());
    let mut packets = Vec::new();
    if let Some(track) = video {
        let params = Arc::new(video_params(&track.info.config.codec)?);
        let kind = |sync| PacketKind::Video { params: Arc::clone(&params), random_access: sync };
        packets.extend(track.samples.iter().map(|sample| packet(track, sample, kind(sample.sync))));
    }
    if let Some(track) = audio {
        let params = Arc::new(audio_params(track)?);
        let kind = || PacketKind::Audio { params: Arc::clone(&params) };
        packets.extend(track.samples.iter().map(|sample| packet(track, sample, kind())));
    }
    let Some(first) = packets.iter().map(|packet| packet.dts).min() else {
        bail!("{} has no samples that can be published", path.display());
    };
    for packet in &mut packets {
        packet.dts -= first;
        packet.pts -= first;
    }
    packets.sort_by_key(|packet| packet.dts);
    Ok(packets)
}

fn packet(track: &Track, sample: &TimedSample, kind: PacketKind) -> Packet {
    let time = |ticks| Flicks::from_samples(ticks, track.info.config.timescale);
    Packet {
        kind,
        dts: time(sample.dts),
        pts: time(sample.pts()),
        duration: time(sample.duration.into()),
        batch: 0,
        data: sample.data.clone(),
    }
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

fn audio_params(track: &Track) -> anyhow::Result<AudioParams> {
    let (codec, config, sample_rate, channels, codec_string) = match &track.info.config.codec {
        Codec::Aac { asc, sample_rate, channels } => {
            // audioObjectType, ISO/IEC 14496-3 1.6.2.1.
            let object_type = asc.first().map_or(2, |byte| byte >> 3);
            (AudioCodec::Aac, asc.clone(), sample_rate, channels, format!("mp4a.40.{object_type}"))
        }
        Codec::MpegAudio { sample_rate, channels } => {
            (AudioCodec::MpegAudio, Bytes::new(), sample_rate, channels, "mp4a.6b".to_owned())
        }
        _ => bail!("the sound is neither AAC nor MPEG audio"),
    };
    let timescale = track.info.config.timescale;
    // The last sample may be shorter, and the first is as long as a frame.
    let first = track.samples.first().map_or(0, |sample| sample.duration);
    let frame_len = Flicks::from_samples(first.into(), timescale).to_samples(*sample_rate);
    Ok(AudioParams {
        codec,
        config,
        sample_rate: *sample_rate,
        channels: *channels,
        frame_len: u32::try_from(frame_len).unwrap_or(0),
        codec_string,
    })
}
