#!/usr/bin/env bash
# Runs the built tool on real text and compares what it says with what it should.
set -euo pipefail
cd "$(dirname "$0")/.."

bin/tally --version
diff -u tests/expected.txt <(bin/tally -n 5 text/*.txt)
echo "ok   the five most frequent words"

[ "$(bin/tally /dev/null | wc -l)" -eq 0 ]
echo "ok   an empty file"

if bin/tally text/none.txt 2>/dev/null; then
	echo "FAIL a file that is not there gives no error"
	exit 1
fi
echo "ok   a file that is not there"
