//! From a source on loopback to batches: pictures and sound in playlists of their own, as fragmented MP4, the
//! pictures encrypted, the sound in ranges of one file. What arrives is what the same media gives muxed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aes::Aes128;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use bytes::Bytes;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::ingest::{Captured, Ingest, Inits};
use super::tests::{board, keeper};
use crate::batch::{self, Batcher};
use crate::clock::Clock;
use crate::config::{Artifacts, SourceChoice};
use crate::demo::clip;
use crate::demux::{Demuxer, Input};
use crate::heavy::Share;
use crate::hls;
use crate::media::{AudioTrack, Batch, Flicks, Moment, Origin, VideoTrack, mp4};
use crate::memory::Meter;
use crate::playout::Follower;

const SEGMENTS: u64 = 6;
const KEY: [u8; 16] = *b"sixteen bytes...";

fn batcher(segments: u32) -> Batcher {
    let settings = batch::Settings {
        buffer_duration: clip::SEGMENT_DURATION * segments,
        processing_budget: Duration::from_secs(30),
    };
    let mut batcher = Batcher::new(settings, 0);
    batcher.set_target_duration(clip::SEGMENT_DURATION);
    batcher
}

/// The clip, a batch for each segment.
fn parts() -> Vec<Batch> {
    let (mut demuxer, mut batcher) = (Demuxer::new(), batcher(1));
    let mut parts = Vec::new();
    for segment in 0..SEGMENTS {
        let origin = Origin { segment, captured_at: Moment::ZERO, program_date_time: None };
        let input = Input::main(clip::segment(segment), false);
        let pieces = demuxer.handle_segment(&input, &origin);
        parts.extend(pieces.into_iter().flat_map(|piece| batcher.handle_piece(piece)));
    }
    parts.extend(batcher.flush());
    parts
}

/// One track as an initialization section and its fragments.
fn fragments(video: Option<&VideoTrack>, audio: Option<&AudioTrack>) -> (Bytes, Bytes) {
    let file = mp4::file(video, audio, Flicks::ZERO).unwrap().to_bytes();
    let at = file.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
    (file.slice(..at), file.slice(at..))
}

fn encrypted(iv: u128, plain: &[u8]) -> Bytes {
    let cipher = cbc::Encryptor::<Aes128>::new(&KEY.into(), &iv.to_be_bytes().into());
    cipher.encrypt_padded_vec::<Pkcs7>(plain).into()
}

/// The files of the source.
fn files(parts: &[Batch]) -> BTreeMap<String, Bytes> {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
    let mut video = format!(
        "{head}#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x1\n\
         #EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n"
    );
    let mut audio = format!("{head}#EXT-X-MEDIA-SEQUENCE:900\n");
    let (mut sound, mut files) = (Vec::new(), BTreeMap::new());
    for (number, part) in (7_u64..).zip(parts) {
        let (init, data) = fragments(part.video.as_ref(), None);
        files.insert("/init.mp4".to_owned(), encrypted(1, &init));
        files.insert(format!("/{number}.m4s"), encrypted(number.into(), &data));
        let _ = writeln!(video, "#EXTINF:2,\n{number}.m4s");
        let (init, data) = fragments(None, part.audio.as_ref());
        if sound.is_empty() {
            let _ = writeln!(audio, "#EXT-X-MAP:URI=\"sound.mp4\",BYTERANGE=\"{}@0\"", init.len());
            sound.extend_from_slice(&init);
        }
        let _ = writeln!(audio, "#EXT-X-BYTERANGE:{}@{}\n#EXTINF:2,\nsound.mp4", data.len(), sound.len());
        sound.extend_from_slice(&data);
    }
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",DEFAULT=YES,URI=\"audio.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=300000,AUDIO=\"a\"\nvideo.m3u8\n";
    files.insert("/master.m3u8".to_owned(), master.into());
    files.insert("/video.m3u8".to_owned(), (video + "#EXT-X-ENDLIST\n").into());
    files.insert("/audio.m3u8".to_owned(), (audio + "#EXT-X-ENDLIST\n").into());
    files.insert("/sound.mp4".to_owned(), sound.into());
    files.insert("/key".to_owned(), Bytes::copy_from_slice(&KEY));
    files
}

/// `bytes=first-last` of a file (RFC 9110 14.1.2).
fn range(headers: &HeaderMap) -> Option<(usize, usize)> {
    let (first, last) = headers.get("range")?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

async fn serve(files: BTreeMap<String, Bytes>) -> Url {
    let answer = move |uri: Uri, headers: HeaderMap| {
        let file = files.get(uri.path()).cloned();
        async move {
            let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
            let Some((first, last)) = range(&headers) else { return file.into_response() };
            let part = format!("bytes {first}-{last}/{}", file.len());
            let headers = [("content-range", part)];
            (StatusCode::PARTIAL_CONTENT, headers, file.slice(first..=last)).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/master.m3u8", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url.parse().unwrap()
}

/// Pictures and frames on the source axis.
type Media = (Vec<(Flicks, Bytes)>, Vec<(Flicks, Bytes)>);

fn media(batches: &[Batch]) -> Media {
    let (mut pictures, mut frames) = (Vec::new(), Vec::new());
    for batch in batches {
        let samples = batch.video.iter().flat_map(|video| &video.samples);
        pictures.extend(samples.map(|sample| (sample.dts, sample.data.clone())));
        if let Some(audio) = &batch.audio {
            frames.extend(audio.frames.iter().enumerate().map(|(k, frame)| (audio.pts(k), frame.clone())));
        }
    }
    (pictures, frames)
}

#[tokio::test]
async fn sound_apart_in_fragments_and_pictures_encrypted_become_the_batches_of_the_muxed_source() {
    let parts = parts();
    let expected = media(&parts);
    let url = serve(files(&parts)).await;
    let (clock, folder) = (Clock::start(), tempfile::tempdir().unwrap());
    let (board, writer) = board(clock, folder.path(), Artifacts::Segments);
    let (out, events) = mpsc::channel(2);
    let (status, _seen) = watch::channel(hls::Status::default());
    let source = hls::run(hls::Settings::new(url), clock, 50, out, status, CancellationToken::new());
    let (requests, _requested) = mpsc::channel(64);
    let (captured, mut batches) = mpsc::channel(64);
    let ingest = Ingest {
        clock,
        processing_budget: Duration::from_secs(30),
        keeps_holes: true,
        demuxer: Demuxer::new(),
        choice: SourceChoice::default(),
        batcher: batcher(3),
        follower: Follower::new(clip::SEGMENT_DURATION),
        source: watch::channel(hls::Status::default()).1,
        next_segment: 50,
        inits: Inits::default(),
        writer: writer.clone(),
        board: Arc::clone(&board),
        keeper: keeper(clock),
        rejoin: None,
        plan: None,
        playout: watch::channel(None).0,
        requests,
        captured,
        share: Share::default(),
        meter: Meter::default(),
        gathered: Meter::default().part(),
    };
    let (source, ingested) = tokio::join!(source, ingest.run(events, CancellationToken::new()));
    source.unwrap();
    ingested.unwrap();
    let mut got = Vec::new();
    while let Some(Captured { batch, .. }) = batches.recv().await {
        got.push(batch);
    }
    let (pictures, frames) = media(&got);
    assert_eq!((pictures.len(), expected.0.len()), (50 * SEGMENTS as usize, 50 * SEGMENTS as usize));
    assert!(pictures == expected.0, "the pictures, at their times");
    assert_eq!(frames.len(), expected.1.len());
    assert!(frames == expected.1, "the frames, at their times");
    assert!(got.iter().all(|batch| batch.period == 0));

    // Every segment of both renditions has its own file; each rendition has its initialization section.
    writer.flush().await;
    let names = |prefix: &str| {
        let folder = std::fs::read_dir(folder.path().join("original_stream/a")).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(prefix)).count()
    };
    assert_eq!((names("segment-"), names("init-")), (2 * SEGMENTS as usize, 2));
}
