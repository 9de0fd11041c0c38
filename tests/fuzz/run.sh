#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one fuzz target on its seed corpus for some seconds: run.sh TARGET CORPUS SECONDS
# What it finds goes to a scratch folder; the seed corpus is never written to.
set -eu
target=$1 corpus=$2 seconds=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
[ -d "$corpus" ] || { echo "no seed corpus in $corpus" >&2; exit 1; }
dict=$corpus.dict
set -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$scratch/"
[ ! -f "$dict" ] || set -- "$@" -dict="$dict"
if ! "$target" "$@" "$scratch" "$corpus"; then
    for f in "$scratch"/crash-* "$scratch"/timeout-* "$scratch"/leak-* "$scratch"/oom-*; do
        [ -f "$f" ] || continue
        echo "input that fails (hex): $(od -An -v -tx1 "$f" | tr -d ' \n' | head -c 8192)"
    done
    exit 1
fi
