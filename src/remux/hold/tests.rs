use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::media::{
    AudioCodec, AudioParams, AudioTrack, Batch, Moment, PacketKind, VideoCodec, VideoParams, VideoSample,
    VideoTrack,
};

const IDR: &[u8] = &[0, 0, 0, 2, 0x65, 0x88];
const OTHER: &[u8] = &[0, 0, 0, 2, 0x41, 0x9A];
const PICTURE: i64 = 40;
/// One AAC frame at 48 kHz.
const FRAME: Flicks = Flicks::new(1024 * 14_700);

fn ms(n: i64) -> Flicks {
    Flicks::from_millis(n)
}

fn video_params(codec: VideoCodec, config: &'static [u8]) -> Arc<VideoParams> {
    let config = Bytes::from_static(config);
    Arc::new(VideoParams { codec, config, width: 640, height: 360, codec_string: String::new() })
}

fn audio_params(codec: AudioCodec) -> Arc<AudioParams> {
    Arc::new(AudioParams {
        codec,
        config: Bytes::from_static(&[0x11, 0x90]),
        sample_rate: 48_000,
        channels: 2,
        frame_len: 1024,
        codec_string: String::new(),
    })
}

fn picture(at: i64, data: &'static [u8]) -> Packet {
    let params = video_params(VideoCodec::Avc, b"avcC");
    let kind = PacketKind::Video { params, random_access: data == IDR };
    let data = Bytes::from_static(data);
    Packet { kind, dts: ms(at), pts: ms(at), duration: ms(PICTURE), batch: 3, data }
}

fn frame(k: i64) -> Packet {
    let at = Flicks::new(k * FRAME.get());
    let kind = PacketKind::Audio { params: audio_params(AudioCodec::Aac) };
    Packet { kind, dts: at, pts: at, duration: FRAME, batch: 3, data: Bytes::from_static(b"sound") }
}

/// Pictures and sound of `from..to` ms in DTS order, an IDR picture each second.
fn source(from: i64, to: i64) -> Vec<Packet> {
    let pictures = (from..to).step_by(PICTURE as usize);
    let mut packets: Vec<_> =
        pictures.map(|at| picture(at, if at % 1_000 == 0 { IDR } else { OTHER })).collect();
    let frames = (0..).map(frame).skip_while(|packet| packet.dts < ms(from));
    packets.extend(frames.take_while(|packet| packet.dts < ms(to)));
    packets.sort_by_key(|packet| packet.dts);
    packets
}

fn give(hold: &mut Hold, packets: impl IntoIterator<Item = Packet>) -> Vec<Packet> {
    packets.into_iter().for_each(|packet| hold.handle_packet(packet));
    drain(hold)
}

fn drain(hold: &mut Hold) -> Vec<Packet> {
    std::iter::from_fn(|| hold.poll()).collect()
}

fn pictures(packets: &[Packet]) -> Vec<i64> {
    packets.iter().filter(|packet| packet.is_video()).map(|packet| packet.dts.to_millis()).collect()
}

fn assert_one_order(packets: &[Packet]) {
    for pair in packets.windows(2) {
        assert!(pair[0].dts <= pair[1].dts, "{:?} before {:?}", pair[0].dts, pair[1].dts);
    }
    let sound: Vec<_> = packets.iter().filter(|packet| !packet.is_video()).collect();
    for pair in sound.windows(2) {
        let off = pair[1].dts - (pair[0].dts + pair[0].duration);
        assert!(off.abs().get() <= FRAME.get() / 2, "sound at {:?}: {off:?}", pair[1].dts);
    }
}

#[test]
fn what_comes_in_time_goes_through_as_it_is() {
    let mut hold = Hold::new(Filler::Still);
    let packets = source(0, 5_000);
    let mut out = Vec::new();
    for packet in packets.clone() {
        hold.fill(packet.dts - ms(200));
        out.extend(give(&mut hold, [packet]));
    }
    assert_eq!(out, packets);
    assert_eq!(hold.status(ms(5_000)), HoldStatus::default());
}

#[test]
fn in_a_hole_the_last_picture_is_shown_once_a_second_and_the_sound_is_silence() {
    let mut hold = Hold::new(Filler::Still);
    let mut all = give(&mut hold, source(0, 5_500));
    let mut at = ms(5_500);
    while at < ms(65_000) {
        at = hold.next_fill().expect("there is always something to do");
        hold.fill(at);
        all.extend(drain(&mut hold));
    }
    let held: Vec<_> = pictures(&all).into_iter().filter(|at| *at >= 5_500).collect();
    assert_eq!(held.len(), 59);
    assert_eq!(held[0], 6_480, "a second after the last that came");
    assert!(held.windows(2).all(|pair| pair[1] - pair[0] == 1_000));
    assert_one_order(&all);
    let made: Vec<_> = all.iter().filter(|packet| packet.dts >= ms(5_600)).collect();
    for packet in &made {
        match &packet.kind {
            PacketKind::Video { random_access, .. } => {
                assert!(*random_access && packet.data == IDR && packet.pts >= packet.dts);
            }
            PacketKind::Audio { .. } => assert_eq!(packet.data.len(), 6, "AAC silence"),
        }
    }
    let status = hold.status(ms(65_000));
    assert!(status.active && status.count == 1, "{status:?}");
    assert!((status.seconds - ms(59_500)).abs() < ms(100), "{status:?}");
}

#[test]
fn play_goes_on_at_the_first_random_access_picture_that_is_still_ahead() {
    let mut hold = Hold::new(Filler::Still);
    let mut all = give(&mut hold, source(0, 5_000));
    hold.fill(ms(20_500));
    all.extend(drain(&mut hold));
    // It comes back with media from 18 s on, of which up to 20.5 s are past.
    let back = give(&mut hold, source(18_000, 25_000));
    let shown = pictures(&back);
    assert_eq!(shown[..2], [20_960, 21_000], "the held one for the last time, and then the source");
    assert_eq!(shown.len(), 1 + 100);
    all.extend(back);
    assert_one_order(&all);
    let status = hold.status(ms(25_000));
    assert!(!status.active, "{status:?}");
    assert!((status.seconds - ms(16_000)).abs() < ms(100), "{status:?}");
    // 75 pictures, and the sound of the time that was silent already.
    assert!(status.dropped > 75 + 110 && status.dropped < 75 + 120, "{status:?}");
}

#[test]
fn sound_on_another_grid_than_the_silence_before_it_is_heard() {
    // By how many parts of eight of a frame it is behind the silence's grid.
    for eighths in 0..8 {
        let mut hold = Hold::new(Filler::Still);
        let mut all = give(&mut hold, source(0, 5_000));
        hold.fill(ms(9_500));
        all.extend(drain(&mut hold));
        let off = Flicks::new(FRAME.get() * eighths / 8);
        let mut back = source(10_000, 15_000);
        for packet in back.iter_mut().filter(|packet| !packet.is_video()) {
            (packet.dts, packet.pts) = (packet.dts + off, packet.pts + off);
        }
        back.sort_by_key(|packet| packet.dts);
        all.extend(give(&mut hold, back));
        assert_one_order(&all);
        let heard = |packet: &&Packet| packet.dts >= ms(10_000) && packet.data == b"sound"[..];
        assert!(all.iter().filter(heard).count() >= 233, "{eighths}");
    }
}

#[test]
fn leading_pictures_of_the_one_that_play_goes_on_with_are_left_out() {
    let mut hold = Hold::new(Filler::Still);
    give(&mut hold, source(0, 5_000));
    hold.fill(ms(9_000));
    drain(&mut hold);
    let mut entry = picture(10_000, IDR);
    entry.pts = ms(10_120);
    let (mut leading, mut trailing) = (picture(10_040, OTHER), picture(10_080, OTHER));
    leading.pts = ms(10_080);
    trailing.pts = ms(10_200);
    let out = give(&mut hold, [entry, leading, trailing]);
    assert_eq!(pictures(&out).split_off(1), [10_000, 10_080], "the one before is held");
}

#[test]
fn where_no_picture_decodes_on_its_own_the_sound_goes_on_alone() {
    let mut hold = Hold::new(Filler::Still);
    let mut packets = source(0, 3_000);
    packets.retain(|packet| packet.data != IDR);
    give(&mut hold, packets);
    hold.fill(ms(10_000));
    let made = drain(&mut hold);
    assert!(pictures(&made).is_empty() && made.len() > 300);
    assert!(hold.status(ms(10_000)).without_picture);
}

#[test]
fn where_no_silence_can_be_made_the_picture_goes_on_alone() {
    let mut hold = Hold::new(Filler::Still);
    let mut packets = source(0, 3_000);
    for packet in &mut packets {
        if let PacketKind::Audio { params } = &mut packet.kind {
            *params = audio_params(AudioCodec::Ac3);
        }
    }
    give(&mut hold, packets);
    hold.fill(ms(10_000));
    let made = drain(&mut hold);
    assert_eq!(pictures(&made).len(), made.len());
    assert!(hold.status(ms(10_000)).without_sound);
}

#[test]
fn one_track_alone_is_held_while_the_other_plays() {
    let mut hold = Hold::new(Filler::Still);
    let mut packets = source(0, 20_000);
    packets.retain(|packet| packet.is_video() || !(ms(5_000)..ms(9_000)).contains(&packet.dts));
    packets.retain(|packet| !packet.is_video() || !(ms(12_000)..ms(15_000)).contains(&packet.dts));
    let out = give(&mut hold, packets);
    assert_one_order(&out);
    let at = pictures(&out);
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] <= 1_000), "{at:?}");
    let status = hold.status(ms(20_000));
    assert_eq!((status.count, status.active), (2, false), "{status:?}");
}

#[test]
fn sound_that_is_left_out_on_purpose_is_not_made() {
    let mut hold = Hold::new(Filler::Still);
    hold.mute(ms(5_000)..ms(9_000));
    let mut packets = source(0, 12_000);
    packets.retain(|packet| packet.is_video() || !(ms(5_000)..ms(9_000)).contains(&packet.dts));
    let given = packets.len();
    assert_eq!(give(&mut hold, packets).len(), given);
    assert_eq!(hold.status(ms(12_000)).count, 0);
}

#[test]
fn with_nothing_to_fill_holes_they_stay() {
    let mut hold = Hold::new(Filler::Nothing);
    give(&mut hold, source(0, 5_000));
    hold.fill(ms(60_000));
    assert_eq!((drain(&mut hold).len(), hold.next_fill()), (0, None));
}

/// Two seconds: an IDR picture and one that refers to it, with sound.
fn clip(codec: VideoCodec) -> Slate {
    let sample = |at, data: &'static [u8], random_access| VideoSample {
        dts: ms(at),
        pts: ms(at + 80),
        duration: ms(1_000),
        random_access,
        data: Bytes::from_static(data),
    };
    let params = video_params(codec, b"clip");
    let idr = if codec == VideoCodec::Avc { IDR } else { &[0, 0, 0, 2, 0x26, 0x01] };
    let samples = vec![sample(7_000, idr, true), sample(8_000, OTHER, false)];
    let frames = vec![Bytes::from_static(b"clip sound"); 94];
    let audio = AudioTrack { params: audio_params(AudioCodec::Aac), start: ms(7_000), frames };
    Slate::new(Batch {
        number: 0,
        period: 0,
        segments: 0..1,
        captured_at: Moment::ZERO,
        shift: Flicks::ZERO,
        start: ms(7_000),
        duration: ms(2_000),
        program_date_time: None,
        video: Some(VideoTrack { params, samples }),
        audio: Some(audio),
        context: crate::media::AudioContext::default(),
        mid_gop: false,
    })
    .unwrap()
}

#[test]
fn a_slate_plays_with_its_sound_again_and_again_until_there_is_a_picture() {
    let mut hold = Hold::new(Filler::Slate(Box::new(clip(VideoCodec::Avc))));
    let mut all = give(&mut hold, source(0, 5_000));
    hold.fill(ms(15_500));
    let made = drain(&mut hold);
    let at = pictures(&made);
    assert_eq!(at[0], 5_960);
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] == 1_000), "{at:?}");
    let clip_pictures: Vec<_> = made.iter().filter(|packet| packet.is_video()).collect();
    for (k, packet) in clip_pictures.iter().enumerate() {
        let PacketKind::Video { params, random_access } = &packet.kind else { unreachable!() };
        assert_eq!((&params.config[..], *random_access), (&b"clip"[..], k % 2 == 0));
        assert_eq!(packet.pts - packet.dts, ms(80));
    }
    let sounds = |packet: &&Packet| packet.data == b"clip sound"[..];
    assert!(made.iter().filter(sounds).count() > 400);
    all.extend(made);
    all.extend(give(&mut hold, source(14_000, 18_000)));
    assert_one_order(&all);
    let status = hold.status(ms(18_000));
    assert!(!status.active && !status.slate_unfit, "{status:?}");
}

#[test]
fn a_slate_of_another_codec_is_not_played_and_said() {
    let mut hold = Hold::new(Filler::Slate(Box::new(clip(VideoCodec::Hevc))));
    give(&mut hold, source(0, 5_000));
    hold.fill(ms(15_500));
    let made = drain(&mut hold);
    assert!(made.iter().filter(|packet| packet.is_video()).all(|packet| packet.data == IDR));
    assert!(hold.status(ms(15_500)).slate_unfit);
}
