//! The stream that every source shows: made once, kept in target/tmp.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Length of a segment; a group of pictures is half of it.
pub const SEGMENT_SECONDS: u64 = 4;
/// Pictures that are repeated: whole segments, and every run is longer than one round of them.
const PICTURES_SECONDS: u64 = 5 * SEGMENT_SECONDS;
pub const FRAMES_PER_SECOND: f64 = 30.0;
/// Pictures and sound.
pub const BITS_PER_SECOND: f64 = 3e6;

/// A folder with segments `0.ts`, `1.ts`, ... of one continuous stream at least this long: 1280x720, 30 pictures a
/// second with B-frames, 3 Mbit/s in all, constant; AAC. Every picture and every frame of sound follows the one before
/// it by its length: what is missing at the other end was lost. So what is repeated is pictures alone, and the sound is
/// made in one go: no whole number of AAC frames lasts as long as the pictures.
pub fn segments(seconds: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load-source");
    let minutes = seconds.div_ceil(60);
    let there = folder.join(format!("{minutes}-minutes"));
    if there.is_dir() {
        return there;
    }
    fs::create_dir_all(&folder).expect("a folder");
    let pictures = folder.join("pictures.mp4");
    if !pictures.is_file() {
        println!("load: encoding {PICTURES_SECONDS} s of 720p");
        let made = folder.join(format!("made-{}.mp4", std::process::id()));
        ffmpeg()
            .args(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30"])
            .args(["-t", &PICTURES_SECONDS.to_string()])
            .args(["-vf", "noise=alls=12:allf=t", "-c:v", "libx264", "-preset", "veryfast", "-bf", "2"])
            .args(["-g", "60", "-b:v", "2780k", "-maxrate", "2780k", "-bufsize", "2780k"])
            .args(["-x264-params", "nal-hrd=cbr:scenecut=0"])
            .arg(&made)
            .run();
        fs::rename(made, &pictures).expect("a name");
    }
    // Another run may be making the same.
    let making = folder.join(format!("making-{}", std::process::id()));
    fs::create_dir_all(&making).expect("a folder");
    ffmpeg()
        .args(["-stream_loop", "-1", "-i"])
        .arg(&pictures)
        .args(["-f", "lavfi", "-i", "aevalsrc=0.3*sin(880*PI*t)+0.1*random(0):s=48000"])
        .args(["-t", &(minutes * 60).to_string(), "-c:v", "copy", "-c:a", "aac", "-b:a", "128k", "-ac", "2"])
        .args(["-f", "segment", "-segment_format", "mpegts", "-segment_time"])
        .arg(SEGMENT_SECONDS.to_string())
        .arg(making.join("%d.ts"))
        .run();
    if fs::rename(&making, &there).is_err() {
        fs::remove_dir_all(making).expect("a folder of this run");
    }
    there
}

/// FFmpeg that says only what went wrong.
pub fn ffmpeg() -> Tool {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]);
    Tool(command)
}

/// A command that has to succeed.
pub struct Tool(Command);

impl Tool {
    fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.args(args);
        self
    }

    fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    fn run(mut self) {
        let status = self.0.status().expect("ffmpeg is missing: apt-get install ffmpeg");
        assert!(status.success(), "{:?}", self.0);
    }
}
