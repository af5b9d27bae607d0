#!/usr/bin/env bash
# Makes the small files again, with the truth beside each, from FFmpeg's own test sources (README.md).
set -euo pipefail
cd "$(dirname "$0")/ts"

picture() { echo "testsrc2=s=$1:r=$2:d=2"; }
sound() { echo "sine=f=440:r=$1:d=2"; }
x264=(-c:v libx264 -preset veryfast -crf 34 -pix_fmt yuv420p)
make() {
  local out=$1; shift
  ffmpeg -hide_banner -v error -y -fflags +bitexact "$@" -flags:v +bitexact -flags:a +bitexact -f mpegts "$out"
}

# B-frames in a pyramid, stereo at 48 kHz, GOPs of half a second: what most live sources look like.
make bframes_48k.ts -f lavfi -i "$(picture 160x90 25)" -f lavfi -i "$(sound 48000)" \
  "${x264[@]}" -bf 3 -g 12 -c:a aac -b:a 48k -ac 2
# No B-frames, mono at 44.1 kHz: a frame of 1024/44100 s is no whole number of 90 kHz ticks.
make plain_44k1.ts -f lavfi -i "$(picture 160x90 30)" -f lavfi -i "$(sound 44100)" \
  "${x264[@]}" -bf 0 -g 15 -c:a aac -b:a 32k -ac 1
# The 33-bit clock of MPEG-TS wraps in the middle: 2^33 / 90000 s = 95443.7 s.
make wrap.ts -f lavfi -i "$(picture 160x90 25)" -f lavfi -i "$(sound 48000)" \
  "${x264[@]}" -bf 2 -g 25 -c:a aac -b:a 48k -output_ts_offset 95441.3
# Several slices in a picture, filler NAL units and buffering periods (constant bitrate).
make slices_cbr.ts -f lavfi -i "$(picture 160x90 25)" -f lavfi -i "$(sound 48000)" -c:v libx264 -preset veryfast \
  -pix_fmt yuv420p -bf 2 -g 25 -b:v 200k -minrate 200k -maxrate 200k -bufsize 100k \
  -x264-params nal-hrd=cbr:slices=3 -c:a aac -b:a 48k
# One track only.
make video_only.ts -f lavfi -i "$(picture 160x90 25)" "${x264[@]}" -bf 2 -g 25
make audio_only.ts -f lavfi -i "$(sound 48000)" -c:a aac -b:a 48k

for file in *.ts; do
  python3 ../truth.py "$file" >"$file.truth.json"
done
