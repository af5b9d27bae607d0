//! `overdub probe`: what is in a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use overdub_fmp4::{Reader, Step, TrackInfo};
use overdub_ts as ts;
use reqwest::Client;
use serde::Serialize;

use super::chunks::Chunks;
use super::listing::{self, Listing};
use super::print;
use crate::clock::Clock;
use crate::config::{HttpUrl, StreamOptions};
use crate::hls;
use crate::pipeline::reach;

/// The tables of an MP4 may stand at its end: a response is read whole, and what is larger is not probed.
const MAX_MP4: usize = 1 << 30;

/// As for a source.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

#[derive(clap::Args)]
pub(super) struct Args {
    /// MPEG-TS, MP4 or an HLS playlist: a file, or an http or https address. At the address of a playlist its first segment
    /// is read too.
    input: String,
    /// The MD5 of the elementary bytes of each stream, as they stand in the file.
    #[arg(long)]
    hash: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    format: &'static str,
    bytes: u64,
    streams: Vec<Stream>,
    /// Places where the file is broken.
    damages: u64,
    last_damage: Option<String>,
}

/// One stream; times in ticks of `timescale`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stream {
    /// PID or track id.
    id: u32,
    kind: &'static str,
    codec: String,
    timescale: u32,
    samples: u64,
    sync_samples: u64,
    bytes: u64,
    first_dts: Option<i64>,
    last_dts: Option<i64>,
    first_pts: Option<i64>,
    last_pts: Option<i64>,
    width: Option<u32>,
    height: Option<u32>,
    sample_rate: Option<u32>,
    channels: Option<u16>,
    /// ISO 639-2, of a transport stream.
    language: Option<String>,
    /// Of audio in a transport stream: whom it is for, `main` where nothing is said.
    audio_type: Option<&'static str>,
    md5: Option<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let mut input = Input::open(&args.input).await?;
    let shown = input.shown.clone();
    let first = input.next().await?.with_context(|| format!("{shown} is empty"))?;
    let report = match kind(&first) {
        Kind::Mp4 => match input.source {
            Source::File(mut chunks) => {
                let len = chunks.len().with_context(|| format!("cannot read {shown}"))?;
                mp4(len, |range| chunks.range(range), args.hash).with_context(|| shown)?
            }
            Source::Http(_) => {
                let mut whole = BytesMut::from(&first[..]);
                while let Some(chunk) = input.next().await? {
                    if whole.len() + chunk.len() > MAX_MP4 {
                        bail!("{shown} is larger than 1 GiB: save it, and probe the file");
                    }
                    whole.extend_from_slice(&chunk);
                }
                let whole = whole.freeze();
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
                let fetch = |range: Range<u64>| Ok(whole.slice(at(range.start)..at(range.end)));
                mp4(whole.len() as u64, fetch, args.hash).with_context(|| shown)?
            }
        },
        Kind::Playlist => {
            let mut whole = BytesMut::from(&first[..]);
            while let Some(chunk) = input.next().await? {
                if whole.len() + chunk.len() > listing::MAX_BYTES {
                    bail!("{shown} is a playlist of more than 16 MiB");
                }
                whole.extend_from_slice(&chunk);
            }
            let listing = Listing::new(&whole).context(shown)?;
            let segment = match input.source {
                Source::Http(_) => Some(playlist(&args.input, args.hash).await),
                Source::File(_) => None,
            };
            return show_playlist(listing, segment, args.json);
        }
        Kind::Ts => {
            let mut probe = TsProbe::new(args.hash);
            probe.push(first);
            while let Some(chunk) = input.next().await? {
                probe.push(chunk);
            }
            let report = probe.finish();
            if report.streams.is_empty() {
                bail!("{shown} is neither MPEG-TS nor MP4");
            }
            report
        }
    };
    if args.json {
        return print::json(&report);
    }
    show(&report);
    Ok(())
}

/// What a playlist lists, and what is in its first segment.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    listing: Listing,
    segment: Option<Report>,
}

fn show_playlist(
    listing: Listing,
    segment: Option<anyhow::Result<Report>>,
    json: bool,
) -> anyhow::Result<()> {
    let (segment, error) = match segment {
        Some(Ok(report)) => (Some(report), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    if json {
        print::json(&Listed { listing, segment })?;
    } else {
        print::line(&listing.text());
        segment.iter().for_each(show);
    }
    // What is listed is told, whatever is wrong with the segment.
    error.map_or(Ok(()), Err)
}

fn show(report: &Report) {
    print::line(&format!("{}, {} bytes", report.format, report.bytes));
    for stream in &report.streams {
        print::line(&describe(stream));
    }
    if let Some(last) = &report.last_damage {
        print::line(&format!("damaged in {} places, the last: {last}", report.damages));
    }
}

/// The first segment of a playlist, with its initialization section, as a stream would read them; of a separate audio
/// rendition too.
async fn playlist(url: &str, hash: bool) -> anyhow::Result<Report> {
    let options = StreamOptions {
        source_url: Some(url.to_owned()),
        stream_id: Some("probe".to_owned()),
        ..StreamOptions::default()
    };
    let segments = reach::first_segments(&options.resolve()?, Clock::start(), PATIENCE).await;
    let segments = segments.map_err(anyhow::Error::msg)?;
    let mut whole: Option<Report> = None;
    for segment in segments {
        let report = probe_segment(segment, hash)?;
        match &mut whole {
            None => whole = Some(report),
            Some(whole) => {
                whole.bytes += report.bytes;
                whole.streams.extend(report.streams);
                whole.damages += report.damages;
                whole.last_damage = report.last_damage.or(whole.last_damage.take());
            }
        }
    }
    whole.with_context(|| format!("{url} has no segments"))
}

fn probe_segment(segment: hls::Segment, hash: bool) -> anyhow::Result<Report> {
    let hls::Segment { url, init, data, .. } = segment;
    let first = init.as_ref().unwrap_or(&data);
    if let Kind::Mp4 = kind(first) {
        let file = Bytes::from([init.unwrap_or_default(), data].concat());
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        let fetch = |range: Range<u64>| Ok(file.slice(at(range.start)..at(range.end)));
        return mp4(file.len() as u64, fetch, hash).context(url);
    }
    let mut probe = TsProbe::new(hash);
    if let Some(init) = init {
        probe.demuxer.push_init(init);
    }
    probe.push(data);
    let report = probe.finish();
    if report.streams.is_empty() {
        bail!("{url} is neither MPEG-TS nor MP4");
    }
    Ok(report)
}

/// How long the segments of a playlist may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

enum Kind {
    Ts,
    Mp4,
    Playlist,
}

fn kind(first: &[u8]) -> Kind {
    let boxes: [&[u8]; 6] = [b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"free"];
    if first.starts_with(b"#EXTM3U") || first.starts_with(b"\xef\xbb\xbf#EXTM3U") {
        Kind::Playlist
    } else if first.get(4..8).is_some_and(|name| boxes.contains(&name)) {
        Kind::Mp4
    } else {
        Kind::Ts
    }
}

/// A file or a response, piece by piece.
struct Input {
    shown: String,
    source: Source,
}

enum Source {
    File(Chunks<File>),
    Http(Box<reqwest::Response>),
}

impl Input {
    async fn open(name: &str) -> anyhow::Result<Self> {
        if !name.contains("://") {
            let file = File::open(Path::new(name)).with_context(|| format!("cannot read {name}"))?;
            return Ok(Self { shown: name.to_owned(), source: Source::File(Chunks::new(file)) });
        }
        let url = HttpUrl::new(name).map_err(anyhow::Error::msg)?;
        // Divided between the addresses of the name, of which one may drop packets.
        let client = Client::builder()
            .tls_backend_preconfigured(hls::tls(None).await?)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(crate::USER_AGENT)
            .build()?;
        // reqwest's errors would repeat the address, token included.
        let response = client.get(url.as_url().clone()).send().await.map_err(reqwest::Error::without_url);
        let response = response.with_context(|| format!("cannot fetch {url}"))?;
        if !response.status().is_success() {
            bail!("{url} answers {}", response.status());
        }
        Ok(Self { shown: url.to_string(), source: Source::Http(Box::new(response)) })
    }

    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let chunk = match &mut self.source {
            Source::File(chunks) => chunks.next().map_err(anyhow::Error::from),
            Source::Http(response) => response.chunk().await.map_err(|error| error.without_url().into()),
        };
        chunk.with_context(|| format!("cannot read {}", self.shown))
    }
}

struct TsProbe {
    demuxer: ts::Demuxer,
    hash: bool,
    streams: BTreeMap<u16, (Stream, Md5)>,
    last_damage: Option<String>,
}

impl TsProbe {
    fn new(hash: bool) -> Self {
        let config = ts::Config { raw: hash, ..ts::Config::default() };
        let demuxer = ts::Demuxer::with_config(config);
        Self { demuxer, hash, streams: BTreeMap::new(), last_damage: None }
    }

    fn push(&mut self, chunk: Bytes) {
        self.demuxer.push(chunk);
        self.drain();
    }

    fn finish(mut self) -> Report {
        self.demuxer.finish();
        self.drain();
        let stats = self.demuxer.stats();
        let hash = self.hash;
        let streams =
            self.streams.into_values().map(|(stream, md5)| Stream { md5: hash.then(|| hex(md5)), ..stream });
        Report {
            format: "mpegts",
            bytes: stats.bytes,
            streams: streams.collect(),
            damages: stats.damages,
            last_damage: self.last_damage,
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.demuxer.next_event() {
            match event {
                ts::Event::Program(program) => {
                    for listed in &program.streams {
                        let codec = match listed.codec {
                            Some(codec) => format!("{codec:?}").to_lowercase(),
                            None => format!("stream type 0x{:02x}", listed.stream_type),
                        };
                        let id = listed.pid.into();
                        let is_audio = listed.codec.is_some_and(|it| it.is_media() && !it.is_video());
                        let stream = Stream {
                            id,
                            kind: "other",
                            codec,
                            timescale: 90_000,
                            language: listed.language.clone(),
                            audio_type: is_audio.then(|| listed.audio_type.name()),
                            ..Stream::default()
                        };
                        self.streams.entry(listed.pid).or_insert((stream, Md5::new()));
                    }
                }
                ts::Event::Params { pid, params } => {
                    if let Some((stream, _)) = self.streams.get_mut(&pid) {
                        describe_params(stream, &params);
                    }
                }
                ts::Event::Sample(sample) => {
                    if let Some((stream, _)) = self.streams.get_mut(&sample.pid) {
                        let (pts, dts) = (sample.pts.0, sample.dts.0);
                        stream.count(pts, dts, sample.random_access, sample.elementary_len);
                    }
                }
                ts::Event::Payload { pid, data } => {
                    if let Some((_, md5)) = self.streams.get_mut(&pid) {
                        md5.update(&data);
                    }
                }
                ts::Event::Damage(damage) => self.last_damage = Some(damage.to_string()),
                _ => {}
            }
        }
    }
}

fn describe_params(stream: &mut Stream, params: &ts::Params) {
    match params {
        ts::Params::Video(params) => {
            stream.kind = "video";
            stream.codec.clone_from(&params.codec_string);
            (stream.width, stream.height) = (Some(params.width), Some(params.height));
        }
        ts::Params::Audio(params) => {
            stream.kind = "audio";
            stream.codec.clone_from(&params.codec_string);
            (stream.sample_rate, stream.channels) = (Some(params.sample_rate), Some(params.channels));
        }
    }
}

/// An MP4 of `len` bytes, piece by piece.
fn mp4(
    len: u64,
    mut fetch: impl FnMut(Range<u64>) -> std::io::Result<Bytes>,
    hash: bool,
) -> anyhow::Result<Report> {
    let mut reader = Reader::new().with_len(len);
    let mut streams: Vec<(Stream, Md5)> = Vec::new();
    loop {
        match reader.poll()? {
            Step::Need(range) => reader.supply(&fetch(range)?)?,
            Step::Tracks => {
                streams = reader.tracks().iter().map(|info| (mp4_stream(info), Md5::new())).collect();
            }
            Step::Samples { track, samples } => {
                let Some((stream, md5)) = streams.get_mut(track) else { continue };
                for sample in &samples {
                    stream.count(sample.pts(), sample.dts, sample.sync, sample.data.len() as u64);
                    if hash {
                        md5.update(&sample.data);
                    }
                }
            }
            Step::Event(_) => {}
            Step::End => break,
        }
    }
    let damage = reader.damage();
    if streams.is_empty() {
        bail!("{}", damage.errors().first().map_or("it has no moov".to_owned(), ToString::to_string));
    }
    let streams = streams.into_iter().map(|(stream, md5)| Stream { md5: hash.then(|| hex(md5)), ..stream });
    Ok(Report {
        format: "mp4",
        bytes: len,
        streams: streams.collect(),
        damages: damage.total(),
        last_damage: damage.errors().last().map(ToString::to_string),
    })
}

fn mp4_stream(info: &TrackInfo) -> Stream {
    let codec = &info.config.codec;
    let kind = match codec {
        codec if codec.is_video() => "video",
        codec if codec.is_audio() => "audio",
        _ => "other",
    };
    Stream {
        id: info.config.id,
        kind,
        codec: info.sample_entry.escape_ascii().to_string(),
        timescale: info.config.timescale,
        ..Stream::default()
    }
}

impl Stream {
    fn count(&mut self, pts: i64, dts: i64, sync: bool, bytes: u64) {
        self.samples += 1;
        self.sync_samples += u64::from(sync);
        self.bytes += bytes;
        self.first_pts = Some(self.first_pts.map_or(pts, |first| first.min(pts)));
        self.last_pts = Some(self.last_pts.map_or(pts, |last| last.max(pts)));
        self.first_dts = Some(self.first_dts.map_or(dts, |first| first.min(dts)));
        self.last_dts = Some(self.last_dts.map_or(dts, |last| last.max(dts)));
    }
}

fn describe(stream: &Stream) -> String {
    let Stream { id, kind, codec, samples, bytes, .. } = stream;
    let mut line = format!("{id:>5}  {kind}  {codec}");
    // Writing into a string cannot fail.
    if let (Some(width), Some(height)) = (stream.width, stream.height) {
        let _ = write!(line, "  {width}x{height}");
    }
    if let (Some(rate), Some(channels)) = (stream.sample_rate, stream.channels) {
        let _ = write!(line, "  {rate} Hz, {channels} channels");
    }
    for word in [stream.language.as_deref(), stream.audio_type].into_iter().flatten() {
        let _ = write!(line, "  {word}");
    }
    let _ = write!(line, "  {samples} samples, {bytes} bytes");
    if let (Some(first), Some(last)) = (stream.first_pts, stream.last_pts) {
        let secs = |ticks: i64| ticks as f64 / f64::from(stream.timescale.max(1));
        let _ = write!(line, "  {:.3} s to {:.3} s", secs(first), secs(last));
    }
    if let Some(md5) = &stream.md5 {
        let _ = write!(line, "  md5 {md5}");
    }
    line
}

fn hex(md5: Md5) -> String {
    md5.finalize().iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
