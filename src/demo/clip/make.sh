#!/bin/sh
# Makes 0.ts to 7.ts beside this script. Needs FFmpeg 5.1 or later with libx264 and drawtext.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The picture: closed GOPs of 50, so that every 2 s segment stands alone.
ffmpeg -v error -y -f lavfi -i "testsrc2=size=640x360:rate=25:duration=16" -vf "
  drawbox=x=200:y=130:w=240:h=100:color=black@0.8:t=fill,
  drawtext=font='DejaVu Sans Mono':fontsize=48:fontcolor=white:x=(w-tw)/2:y=145:text='%{pts\:hms}',
  drawtext=font='DejaVu Sans Mono':fontsize=24:fontcolor=white:x=(w-tw)/2:y=200:text='picture %{n}',
  drawbox=color=white:t=fill:enable='lt(mod(n,25),2)',format=yuv420p" \
  -c:v libx264 -preset veryslow -profile:v high -b:v 185k -maxrate 220k -bufsize 440k \
  -x264-params keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=2:b-adapt=0:b-pyramid=none \
  "$work/video.mp4"

# The sound: three rounds are encoded and the middle one is kept, so that its last frame overlaps its first
# as any two neighbours do. Frame 0 is the encoder's priming: frame 751 begins at 16 s.
ffmpeg -v error -y -f lavfi -i "aevalsrc='if(lt(mod(t,1),0.08),0.25*sin(2*PI*1000*mod(t,1)),0)|if(lt(mod(t,1),0.08),0.25*sin(2*PI*1000*mod(t,1)),0)':s=48000:d=48" \
  -c:a aac -b:a 32k -f adts "$work/rounds.aac"
ffmpeg -v error -y -i "$work/rounds.aac" -c copy \
  -bsf:a "noise=drop='lt(n,751)+gte(n,1501)',aac_adtstoasc,setts=ts=N*1024" "$work/audio.mp4"

# One file for each GOP. The offset keeps the first DTS above zero.
ffmpeg -v error -y -i "$work/video.mp4" -i "$work/audio.mp4" -map 0:v -map 1:a -c copy \
  -output_ts_offset 10 -muxdelay 0 -muxpreload 0 \
  -f hls -hls_time 2 -hls_list_size 0 -hls_segment_filename "$here/%d.ts" "$work/clip.m3u8"
cat "$work/clip.m3u8"
