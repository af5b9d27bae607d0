//! The source: a clip made once by FFmpeg, played as a live HLS stream or offered whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::packets::Media;
use super::tools::{Running, Workdir, judge_tool, run, until};
use super::web::Server;

/// 1280x720, 30 frames a second, 3 Mbit/s constant (so with filler NAL units), B-frames in a pyramid, closed
/// GOPs of 2 s, with stereo AAC. A flash and a beep each second; below the beep some noise, so that no two
/// audio frames are alike and a lost or doubled one is seen.
pub struct Clip {
    pub file: PathBuf,
    pub media: Media,
}

impl Clip {
    /// A clip of `seconds`; encoded once and kept below target/.
    pub async fn of(seconds: u32) -> Self {
        Self::at(seconds, 3).await
    }

    /// The same at another constant bitrate, in Mbit/s.
    pub async fn at(seconds: u32, megabits: u32) -> Self {
        let file = format!("clip-2-{seconds}s-{megabits}M.ts");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        // One test encodes, the others wait for it, within this process and beside it.
        let lock = std::fs::File::create(file.with_extension("lock")).expect("a lock file");
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.expect("no panic");
        let lock = lock.expect("a lock on the clip");
        if !file.exists() {
            encode(&file, seconds, megabits).await;
        }
        drop(lock);
        let media = Media::read(&file).await;
        assert_eq!(media.video.len(), 30 * seconds as usize, "the clip is whole");
        Self { file, media }
    }
}

async fn encode(file: &Path, seconds: u32, megabits: u32) {
    let rate = format!("{megabits}M");
    let unfinished = file.with_extension("unfinished");
    let beep = "if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0)+0.02*(random(0)-0.5)";
    let sound = format!("aevalsrc='{beep}|{beep}':s=48000");
    let flash = "drawbox=x=0:y=0:w=iw:h=ih:color=white:t=fill:enable='lt(mod(t,1),0.1)'";
    let mut command = judge_tool("ffmpeg");
    command
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30", "-f", "lavfi", "-i", &sound])
        .args(["-vf", flash, "-t", &seconds.to_string(), "-pix_fmt", "yuv420p"])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-bf",
            "2",
            "-b_strategy",
            "0",
            "-sc_threshold",
            "0",
        ])
        .args(["-g", "60", "-b:v", &rate, "-minrate", &rate, "-maxrate", &rate, "-bufsize", &rate])
        .args(["-x264-params", "nal-hrd=cbr:threads=2", "-c:a", "aac", "-b:a", "128k", "-f", "mpegts"])
        .arg(&unfinished);
    run(&mut command, Duration::from_secs(300)).await.success("encoding the clip");
    std::fs::rename(&unfinished, file).expect("a name for the clip");
}

/// A clip as a live stream that ends: FFmpeg cuts it at real-time pace, our server offers it.
pub struct LiveSource {
    pub server: Server,
    process: Running,
    path: PathBuf,
}

impl LiveSource {
    /// Plays `clip` from `skip` seconds on, in segments of `segment` seconds.
    pub async fn start(dir: &Workdir, name: &str, clip: &Clip, segment: u32, skip: u32) -> Self {
        let root = dir.join(format!("source-{name}"));
        std::fs::create_dir_all(&root).expect("a folder for the source");
        let path = root.join("live.m3u8");
        let log = dir.join(format!("source-{name}.log"));
        let process = Running::start("the source", &mut cut(clip, segment, skip, "", &path), log);
        Self { server: Server::start(&root).await, process, path }
    }

    /// The encoder dies, and the playlist stands still.
    pub async fn die(&mut self) {
        self.process.kill().await;
    }

    /// Another encoder goes on in the same playlist, with a discontinuity, from `skip` seconds of `clip` on.
    pub fn revive(&mut self, clip: &Clip, segment: u32, skip: u32) {
        let log = self.path.with_extension("log");
        let more = "+append_list+discont_start";
        self.process =
            Running::start("the source again", &mut cut(clip, segment, skip, more, &self.path), log);
    }

    pub fn url(&self) -> String {
        self.server.url("live.m3u8")
    }

    /// Waits until the playlist has `count` segments.
    pub async fn has_segments(&self, count: usize) {
        until(Duration::from_secs(60), "segments in the source's playlist", async || {
            let playlist = std::fs::read_to_string(&self.path).unwrap_or_default();
            (playlist.matches("#EXTINF").count() >= count).then_some(())
        })
        .await;
    }

    pub fn tail(&self) -> String {
        self.process.tail()
    }
}

/// FFmpeg as an encoder: `clip` from `skip` seconds on, in segments of `segment` seconds, into the playlist `path`.
fn cut(clip: &Clip, segment: u32, skip: u32, flags: &str, path: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "warning", "-re", "-ss", &skip.to_string(), "-i"]);
    command.arg(&clip.file).args(["-c", "copy", "-f", "hls", "-hls_time", &segment.to_string()]);
    command.args(["-hls_list_size", "6", "-hls_flags"]);
    command.arg(format!("delete_segments+temp_file+independent_segments{flags}"));
    command
        .args(["-hls_delete_threshold", "6", "-hls_segment_filename"])
        .arg(path.with_file_name("seg%05d.ts"))
        .arg(path);
    command
}

/// A clip offered whole: a media playlist with ENDLIST behind a master playlist, as public test streams are.
pub async fn vod(dir: &Workdir, clip: &Clip, segment: u32) -> Server {
    offered(dir, clip, segment, &["-map", "0"], "avc1.4d401f,mp4a.40.2").await
}

/// The same, silent.
pub async fn vod_without_audio(dir: &Workdir, clip: &Clip, segment: u32) -> Server {
    offered(dir, clip, segment, &["-map", "0:v"], "avc1.4d401f").await
}

async fn offered(dir: &Workdir, clip: &Clip, segment: u32, map: &[&str], codecs: &str) -> Server {
    let root = dir.join("vod");
    std::fs::create_dir_all(root.join("720p")).expect("a folder for the source");
    let mut command = judge_tool("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(&clip.file).args(map).args(["-c", "copy", "-f", "hls"]);
    command.args(["-hls_time", &segment.to_string(), "-hls_playlist_type", "vod", "-hls_segment_filename"]);
    command.arg(root.join("720p/seg%05d.ts")).arg(root.join("720p/index.m3u8"));
    run(&mut command, Duration::from_secs(60)).await.success("cutting the clip");
    let master = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n\
        #EXT-X-STREAM-INF:BANDWIDTH=3300000,RESOLUTION=1280x720,CODECS=\"{codecs}\"\n720p/index.m3u8\n"
    );
    std::fs::write(root.join("master.m3u8"), master).expect("a master playlist");
    Server::start(&root).await
}
