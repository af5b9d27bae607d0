#!/usr/bin/env bash
# Fills fuzz/corpus from the corpus of real streams (OVERDUB_CORPUS, default ../shared/corpus), or else from
# tests/data. What a fuzzer has found before stays.
set -euo pipefail
cd "$(dirname "$0")"
source=${OVERDUB_CORPUS:-../../shared/corpus}
if [ ! -d "$source" ]; then
  source=../tests/data
  echo "fuzz: no corpus of real streams; seeding from tests/data"
fi
python3 seed.py "$source" corpus
