#!/usr/bin/env bash
# Removes artifacts (captured segments, batches) through the running service, which never removes what is still to be
# published.
#
#   clean-storage.sh [--stream ID] [--keep N]
#
#   --stream ID   of this stream only; default: of all
#   --keep N      leaves the newest N batches of each stream and what they were made of; default 10
#
#   OVERDUB_URL         where the service is; default http://127.0.0.1:3000
#   OVERDUB_API_TOKEN   its token, where it asks for one
set -euo pipefail

url=${OVERDUB_URL:-http://127.0.0.1:3000}
stream=
keep=10

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --stream) stream=${2:-}; [ -n "$stream" ] || usage; shift 2 ;;
    --keep) keep=${2:-}; [[ $keep =~ ^[0-9]+$ ]] || usage; shift 2 ;;
    *) usage ;;
  esac
done
# What the service allows; nothing in it needs an escape in JSON.
[[ -z $stream || $stream =~ ^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$ ]] || { echo "clean-storage: \"$stream\" is no stream id" >&2; exit 2; }
command -v curl >/dev/null || { echo "clean-storage: curl is missing" >&2; exit 1; }

body="{\"keepLast\":$keep${stream:+,\"streamId\":\"$stream\"}}"
# The token goes by a file descriptor: arguments can be read by every user of the machine.
header() { [ -z "${OVERDUB_API_TOKEN:-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$OVERDUB_API_TOKEN"; }
if ! answer=$(curl --silent --show-error --max-time 60 --config <(header) --header 'Content-Type: application/json' \
  --data "$body" --write-out '\n%{http_code}' "$url/api/storage/clean"); then
  echo "clean-storage: no service at $url" >&2
  exit 1
fi
echo "${answer%$'\n'*}"
[ "${answer##*$'\n'}" = 200 ] || exit 1
