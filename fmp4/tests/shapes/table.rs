//! The shapes.

use super::patches;

/// What the shapes are made of: pictures that are presented in another order than they are decoded in,
/// sound with priming.
pub(crate) const SOURCES: &[(&str, &str)] = &[
    (
        "av.mp4",
        "-f lavfi -i testsrc2=s=192x108:r=25:d=3 -f lavfi -i sine=r=48000:d=3 -c:v libx264 -preset ultrafast \
         -bf 2 -x264opts b-adapt=0 -g 12 -pix_fmt yuv420p -c:a aac -b:a 48k",
    ),
    (
        "nob.mp4",
        "-f lavfi -i testsrc2=s=96x64:r=30000/1001:d=2 -f lavfi -i sine=r=44100:d=2 -c:v libx264 \
         -preset ultrafast -g 15 -pix_fmt yuv420p -c:a aac -b:a 48k",
    ),
    (
        "hevc.mp4",
        "-f lavfi -i testsrc2=s=128x128:r=24:d=2 -c:v libx265 -preset ultrafast \
         -x265-params log-level=none:bframes=2:keyint=12 -pix_fmt yuv420p",
    ),
    ("tone.wav", "-f lavfi -i sine=r=48000:d=2"),
];

/// Name, and what FFmpeg makes it of.
pub(crate) const SHAPES: &[(&str, &str)] = &[
    ("plain.mp4", "-i av.mp4 -c copy"),
    ("faststart.mp4", "-i av.mp4 -c copy -movflags faststart"),
    ("no_edits.mp4", "-i av.mp4 -c copy -use_editlist 0"),
    ("cut_copy.mp4", "-ss 1.3 -i av.mp4 -c copy"),
    ("cut_at_both_ends.mp4", "-ss 0.5 -t 1.1 -i av.mp4 -c copy"),
    ("cut_non_negative.mp4", "-ss 1.3 -i av.mp4 -c copy -avoid_negative_ts make_non_negative"),
    ("cut_disabled.mp4", "-ss 1.3 -i av.mp4 -c copy -avoid_negative_ts disabled"),
    ("late_video.mp4", "-itsoffset 0.7 -i av.mp4 -i av.mp4 -map 0:v -map 1:a -c copy"),
    ("late_audio.mp4", "-itsoffset 0.7 -i av.mp4 -i av.mp4 -map 0:a -map 1:v -c copy"),
    ("ticks.mp4", "-i av.mp4 -c copy -video_track_timescale 90000"),
    ("movie_ticks.mp4", "-i av.mp4 -c copy -movie_timescale 90000"),
    ("negative_cts.mp4", "-i av.mp4 -c copy -movflags +negative_cts_offsets"),
    ("no_b.mp4", "-i nob.mp4 -c copy"),
    ("text.mp4", "-i av.mp4 -i subs.srt -c copy -c:s mov_text"),
    ("two_sounds.mp4", "-i av.mp4 -i nob.mp4 -map 0 -map 1:a -c copy -metadata:s:a:1 language=fra"),
    ("timecode.mp4", "-i av.mp4 -c copy -timecode 01:00:00:00"),
    ("quicktime.mov", "-i av.mp4 -c copy -timecode 01:00:00:00"),
    ("quicktime_fast.mov", "-i nob.mp4 -c copy -movflags faststart"),
    ("chapters.m4v", "-i av.mp4 -c copy -f ipod"),
    ("mobile.3gp", "-i nob.mp4 -c copy"),
    ("psp.mp4", "-i av.mp4 -c copy -f psp"),
    ("hev1.mp4", "-i hevc.mp4 -c copy"),
    ("hvc1.mp4", "-i hevc.mp4 -c copy -tag:v hvc1"),
    ("hevc.mov", "-i hevc.mp4 -c copy -tag:v hvc1"),
    ("avc3.mp4", "-i av.mp4 -c copy -tag:v avc3"),
    ("mp3.mp4", "-i tone.wav -c:a libmp3lame"),
    ("mp3.mov", "-i tone.wav -c:a libmp3lame"),
    ("mp2.mp4", "-i tone.wav -c:a mp2"),
    ("ac3.mp4", "-i tone.wav -c:a ac3"),
    ("ac3.mov", "-i tone.wav -c:a ac3"),
    ("eac3.mp4", "-i tone.wav -c:a eac3"),
    ("opus.mp4", "-i tone.wav -c:a libopus"),
    ("opus_60ms.mp4", "-i tone.wav -c:a libopus -frame_duration 60"),
    ("flac.mp4", "-i tone.wav -c:a flac -strict -2"),
    ("alac.m4a", "-i tone.wav -c:a alac"),
    ("aac.m4a", "-i tone.wav -c:a aac"),
    ("aac.mov", "-i tone.wav -c:a aac"),
    ("six_channels.mp4", "-i tone.wav -c:a aac -ac 6"),
    ("mjpeg.mov", "-i nob.mp4 -an -c:v mjpeg"),
    ("mpeg4.mp4", "-i nob.mp4 -an -c:v mpeg4"),
    ("one_sample.mp4", "-i av.mp4 -c copy -frames:v 1 -frames:a 1"),
    ("empty_track.mp4", "-i av.mp4 -c copy -bsf:a noise=drop=1"),
    (
        "changing_rate.mp4",
        "-i nob.mp4 -an -vf setpts='PTS*(1+gt(N,20))' -vsync vfr -c:v libx264 -preset ultrafast",
    ),
    ("fragments.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+empty_moov"),
    ("half_fragmented.mp4", "-i av.mp4 -c copy -movflags frag_keyframe"),
    ("default_base.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+empty_moov+default_base_moof"),
    ("omit_offset.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+empty_moov+omit_tfhd_offset"),
    ("separate.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+empty_moov+separate_moof"),
    ("global_sidx.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+empty_moov+global_sidx+default_base_moof"),
    ("dash.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+dash"),
    ("dash_delayed.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+dash+delay_moov"),
    ("cmaf.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+cmaf"),
    ("cmaf_video.mp4", "-i av.mp4 -c copy -an -movflags frag_keyframe+cmaf+delay_moov"),
    ("smooth.ismv", "-i av.mp4 -c copy -movflags frag_keyframe"),
    ("isml.isml", "-i av.mp4 -c copy -movflags frag_keyframe+isml -f ismv"),
    ("negative_fragments.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+empty_moov+negative_cts_offsets"),
    ("delayed.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+delay_moov"),
    ("no_trailer.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+empty_moov+skip_trailer"),
    ("every_frame.mp4", "-i av.mp4 -c copy -movflags frag_every_frame+empty_moov+default_base_moof"),
    ("half_second.mp4", "-i av.mp4 -c copy -frag_duration 500000 -movflags empty_moov"),
    ("small.mp4", "-i av.mp4 -c copy -frag_size 4000 -movflags empty_moov+default_base_moof"),
    ("wall_clock.mp4", "-i av.mp4 -c copy -movflags frag_keyframe+cmaf+delay_moov -write_prft wallclock"),
    (
        "discontinuous.mp4",
        "-ss 1.3 -i av.mp4 -c copy -movflags frag_keyframe+frag_discont+delay_moov+default_base_moof",
    ),
    ("late_fragments.mp4", "-itsoffset 5.5 -i av.mp4 -c copy -movflags frag_keyframe+delay_moov"),
    (
        "late_without_edit.mp4",
        "-itsoffset 5.5 -i av.mp4 -c copy -movflags frag_keyframe+empty_moov+default_base_moof",
    ),
    ("fragments.mov", "-i av.mp4 -c copy -movflags frag_keyframe+empty_moov"),
    ("hevc_fragments.mp4", "-i hevc.mp4 -c copy -movflags frag_keyframe+cmaf -tag:v hvc1"),
    ("opus_fragments.mp4", "-i tone.wav -c:a libopus -frag_duration 300000 -movflags empty_moov+delay_moov"),
    ("ac3_fragments.mp4", "-i tone.wav -c:a ac3 -frag_duration 300000 -movflags delay_moov"),
    ("eac3_fragments.mp4", "-i tone.wav -c:a eac3 -frag_duration 300000 -movflags delay_moov"),
    ("mp3_fragments.mp4", "-i tone.wav -c:a libmp3lame -frag_duration 300000 -movflags empty_moov"),
    ("text_fragments.mp4", "-i av.mp4 -i subs.srt -c copy -c:s mov_text -movflags frag_keyframe+empty_moov"),
];

type Patch = fn(&[u8]) -> Vec<u8>;

/// Which file ffprobe reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    Patched,
    /// The file as it was before, which says the same: FFmpeg reads the patched one wrongly. It takes a run
    /// without an offset for one at the base, not behind the run before (ISO/IEC 14496-12 8.8.8.1), and
    /// begins a second fragment of a track at the time of the first (libavformat/mov.c, mov_read_trun).
    Original,
}

use Judge::{Original, Patched};

/// Name, the shape that it is made of, and what is done to that.
pub(crate) const PATCHED: &[(&str, &str, Judge, Patch)] = &[
    ("p_stz2_16.mp4", "plain.mp4", Patched, |file| patches::compact_sizes(file, 16)),
    ("p_stz2_8.mp4", "aac.m4a", Patched, |file| patches::compact_sizes(file, 8)),
    ("p_co64.mp4", "plain.mp4", Patched, patches::long_offsets),
    ("p_long_mdat.mp4", "plain.mp4", Patched, patches::long_mdat),
    ("p_endless_mdat.mp4", "faststart.mp4", Patched, patches::endless_mdat),
    ("p_second_entry.mp4", "plain.mp4", Patched, patches::second_entry),
    ("p_no_stss.mp4", "plain.mp4", Original, patches::all_sync),
    ("p_partial_sync.mov", "hevc.mov", Original, patches::partial_sync),
    ("p_no_tfdt.mp4", "default_base.mp4", Patched, patches::without_decode_times),
    ("p_strangers.mp4", "default_base.mp4", Patched, patches::strangers),
    ("p_two_runs.mp4", "default_base.mp4", Original, |file| patches::halves(file, false)),
    ("p_two_fragments.mp4", "default_base.mp4", Original, |file| patches::halves(file, true)),
    ("p_random_access_group.mp4", "hvc1.mp4", Original, patches::random_access_group),
    ("p_all_sync.mp4", "default_base.mp4", Original, patches::all_sync),
    ("p_mdats.mp4", "default_base.mp4", Patched, patches::mdat_for_each_run),
    ("p_mdats_of_cmaf.mp4", "cmaf.mp4", Patched, patches::mdat_for_each_run),
];

/// Shapes that are read cut off, too.
pub(crate) const CUT: &[&str] =
    &["faststart.mp4", "half_fragmented.mp4", "separate.mp4", "dash.mp4", "p_strangers.mp4"];
