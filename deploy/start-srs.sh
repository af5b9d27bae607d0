#!/usr/bin/env bash
# Starts SRS with deploy/srs.conf in the background: a binary of this machine, else a container.
#
#   SRS              the binary; default: srs on the PATH, then /usr/local/srs/objs/srs
#   SRS_DIR          where its files, log and process id go; default ~/.local/state/overdub-srs
#   SRS_IMAGE        the container's image where there is no binary; default ossrs/srs:6
#   SRS_LISTEN, SRS_HTTP_SERVER_LISTEN, SRS_HTTP_API_LISTEN
#                    ports, or ADDRESS:PORT; defaults 1935, 8080, 127.0.0.1:1985
#
# Returns when its HTTP API answers (with SRS running already: at once), and with 1 when it does not.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=${SRS_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/overdub-srs}
image=${SRS_IMAGE:-ossrs/srs:6}
container=overdub-srs
# SRS itself reads these three.
export SRS_LISTEN=${SRS_LISTEN:-1935}
export SRS_HTTP_SERVER_LISTEN=${SRS_HTTP_SERVER_LISTEN:-8080}
export SRS_HTTP_API_LISTEN=${SRS_HTTP_API_LISTEN:-127.0.0.1:1985}

api=http://127.0.0.1:${SRS_HTTP_API_LISTEN##*:}/api/v1/versions
answers() { curl --silent --fail --max-time 2 --output /dev/null "$api"; }

command -v curl >/dev/null || { echo "start-srs: curl is missing" >&2; exit 1; }

# The process id is only trusted while it is an SRS: ids are used again.
is_running() {
  [ -s "$dir/srs.pid" ] && [[ $(ps -o comm= -p "$(cat "$dir/srs.pid")" 2>/dev/null) == *srs* ]]
}

# Says where things are.
ready() {
  echo "start-srs: $1"
  echo "  publish  rtmp://127.0.0.1:${SRS_LISTEN##*:}/live/STREAM"
  echo "  play     rtmp://127.0.0.1:${SRS_LISTEN##*:}/live/STREAM"
  echo "           http://127.0.0.1:${SRS_HTTP_SERVER_LISTEN##*:}/live/STREAM.flv"
  echo "           http://127.0.0.1:${SRS_HTTP_SERVER_LISTEN##*:}/live/STREAM.m3u8"
  echo "  api      http://127.0.0.1:${SRS_HTTP_API_LISTEN##*:}"
}

if is_running; then
  answers || { echo "start-srs: process $(cat "$dir/srs.pid") is there and does not answer at $api" >&2; exit 1; }
  ready "runs already, process $(cat "$dir/srs.pid")"
  exit 0
fi
if answers; then
  echo "start-srs: another SRS answers at $api" >&2
  exit 1
fi

if [ -n "${SRS:-}" ] && [ ! -x "$SRS" ]; then
  echo "start-srs: SRS=$SRS is no program" >&2
  exit 1
fi
binary=${SRS:-$(command -v srs || true)}
[ -n "$binary" ] || binary=/usr/local/srs/objs/srs

if [ -x "$binary" ]; then
  binary=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
  mkdir -p "$dir/objs/nginx/html"
  cp "$here/srs.conf" "$dir/srs.conf"
  cd "$dir"
  nohup "$binary" -c srs.conf </dev/null >srs.log 2>&1 &
  echo $! >srs.pid
  what="process $(cat srs.pid), log $dir/srs.log"
  tell() { tail -n 20 "$dir/srs.log" >&2; }
  lives() { is_running; }
elif command -v docker >/dev/null; then
  # The API listens on all addresses inside, and is published on this machine's loopback only.
  docker run --detach --rm --name "$container" \
    --publish "$SRS_LISTEN:1935" --publish "$SRS_HTTP_SERVER_LISTEN:8080" --publish "$SRS_HTTP_API_LISTEN:1985" \
    --env SRS_LISTEN=1935 --env SRS_HTTP_SERVER_LISTEN=8080 --env SRS_HTTP_API_LISTEN=1985 \
    --volume "$here/srs.conf:/usr/local/srs/conf/overdub.conf:ro" \
    "$image" ./objs/srs -c conf/overdub.conf >/dev/null
  what="container $container of $image, log: docker logs $container"
  tell() { docker logs --tail 20 "$container" >&2; }
  lives() { [ -n "$(docker ps --quiet --filter "name=^$container\$")" ]; }
else
  echo "start-srs: neither an SRS binary (SRS=/path/to/srs) nor docker is there" >&2
  exit 1
fi

for _ in $(seq 150); do
  if answers && lives; then
    ready "$what"
    exit 0
  fi
  lives || break
  sleep 0.2
done
echo "start-srs: SRS does not answer at $api" >&2
tell || true
"$here/stop-srs.sh" >/dev/null 2>&1 || true
exit 1
