//! The commands on files: what goes in comes out, times included.

use std::path::Path;
use std::time::Duration;

use super::overdub::finished;
use super::packets::packets;
use super::tools::{Workdir, judge_tool, run};

const LIMIT: Duration = Duration::from_secs(60);

/// Ten seconds with B-frames, and sound with priming, which a plain MP4 hides behind edit lists.
async fn plain_mp4(path: &Path) {
    let mut command = judge_tool("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=duration=10:rate=25:size=320x180"]);
    command.args(["-f", "lavfi", "-i", "sine=duration=10:sample_rate=44100"]);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-c:a", "aac"]).arg(path);
    run(&mut command, LIMIT).await.success("making a plain MP4");
}

#[tokio::test(flavor = "multi_thread")]
async fn remux_changes_no_sample_and_no_time_of_a_plain_mp4_with_edit_lists() {
    let dir = Workdir::new("remux-plain");
    let (source, ours) = (dir.join("plain.mp4"), dir.join("remuxed.mp4"));
    plain_mp4(&source).await;
    let done = finished(["remux".as_ref(), source.as_path(), &source, &ours], LIMIT).await;
    done.success("remux");
    for track in ["0:v:0", "0:a:0"] {
        let copy = ["-map", track, "-c", "copy"];
        let listed = |list: Vec<super::packets::Packet>| -> Vec<_> {
            list.into_iter().map(|packet| (packet.dts, packet.pts, packet.hash)).collect()
        };
        let (theirs, mine) = (listed(packets(&source, &copy).await), listed(packets(&ours, &copy).await));
        assert!(theirs.len() >= 250, "{track}: {}", theirs.len());
        assert!(theirs[0].0 < 0, "{track}: nothing is hidden before zero, the test shows nothing");
        assert_eq!(theirs, mine, "{track}");
    }
}
