#!/usr/bin/env bash
# Measures and writes bench/REPORT.md: bench/bench.sh [CASES [PEERS]]; REPEAT=3 times, FRESH=1 forgets what was
# measured before. Without cases all of them, for two hours.
set -euo pipefail
cd "$(dirname "$0")/.."
bench/prepare
python=.cache/bench/client/bin/python
if [ "${FRESH:-}" = 1 ]; then rm -f .cache/bench/results.jsonl; fi
"$python" -m bench.run "${1:-}" --peers "${2:-}" --repeat "${REPEAT:-3}"
"$python" -m bench.report
bench/check || true
