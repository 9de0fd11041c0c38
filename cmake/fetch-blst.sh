#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fills DIR with the sources of blst that we compile, once: afterwards nothing
# is fetched. They come, by package name, from where they can be had: from PyPI's
# ckzg (pip, which the tests need anyway), from the Rust crate (cargo), or from
# npm's c-kzg; all carry the same files. Each file is checked against
# blst/SHA256SUMS, and only files on that list are kept.
#
# usage: fetch-blst.sh DIR
set -eu

[ $# -eq 1 ] || { echo "usage: fetch-blst.sh DIR" >&2; exit 2; }
dest=$1
here=$(cd "$(dirname "$0")" && pwd)
sums=$here/blst/SHA256SUMS

complete() {
    [ -d "$1" ] && (cd "$1" && sha256sum --check --quiet --strict "$sums" >/dev/null 2>&1)
}

if complete "$dest"; then
    exit 0
fi
mkdir -p "$(dirname "$dest")"
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Each prints nothing and leaves the sources in $work/found, or fails.
# pip runs a source package's setup.py to read its name: one that is pinned, too.
from_pip() {
    python=/usr/bin/python3
    [ -x "$python" ] || python=python3
    mkdir "$work/pip" || return 1
    "$python" -m venv "$work/pip/venv" >"$work/log" 2>&1 || { tail -n 5 "$work/log"; return 1; }
    isolation=--no-build-isolation
    "$work/pip/venv/bin/python3" -c 'import setuptools' 2>/dev/null || isolation=
    # shellcheck disable=SC2086
    (cd "$work/pip" && timeout 300 venv/bin/python3 -m pip download -q --disable-pip-version-check --no-deps \
        --no-binary :all: $isolation --require-hashes -r "$here/blst/requirements.txt" &&
        tar -xzf ckzg-2.0.1.tar.gz) >"$work/log" 2>&1 </dev/null || { tail -n 5 "$work/log"; return 1; }
    mv "$work/pip/ckzg-2.0.1/blst" "$work/found"
}
from_cargo() {
    command -v cargo >/dev/null || { echo "cargo is not installed"; return 1; }
    mkdir "$work/cargo" && cp "$here/blst/Cargo.toml" "$here/blst/Cargo.lock" "$work/cargo/" || return 1
    : >"$work/cargo/lib.rs"
    (cd "$work/cargo" && timeout 300 cargo vendor --locked --versioned-dirs vendor) \
        >"$work/log" 2>&1 </dev/null || { tail -n 5 "$work/log"; return 1; }
    mv "$work/cargo/vendor/blst-0.3.12/blst" "$work/found"
}
from_npm() {
    command -v npm >/dev/null || { echo "npm is not installed"; return 1; }
    mkdir "$work/npm" || return 1
    (cd "$work/npm" && timeout 300 npm pack --silent c-kzg@4.0.1 && tar -xzf c-kzg-4.0.1.tgz) \
        >"$work/log" 2>&1 </dev/null || { tail -n 5 "$work/log"; return 1; }
    mv "$work/npm/package/deps/blst" "$work/found"
}

for source in pip cargo npm; do
    rm -rf "$work/found"
    if ! why=$(from_$source); then
        echo "fetch-blst: $source could not give the sources: $why" >&2
        continue
    fi
    if ! complete "$work/found"; then
        echo "fetch-blst: what $source gave does not match SHA256SUMS; it is not used" >&2
        continue
    fi
    mkdir "$work/kept"
    while read -r _ file; do
        mkdir -p "$work/kept/$(dirname "$file")"
        cp "$work/found/$file" "$work/kept/$file"
    done <"$sums"
    # Another build may have been faster, or an older content was damaged.
    complete "$dest" || { rm -rf "$dest"; mv -T "$work/kept" "$dest"; }
    complete "$dest" || { echo "fetch-blst: $dest changed while it was written" >&2; exit 1; }
    chmod -R a+rX "$dest"
    echo "fetch-blst: sources from $source in $dest"
    exit 0
done
echo "fetch-blst: no source of blst could be reached. Install libblst (pkg-config), or give" >&2
echo "its prefix with -DBLST_ROOT, or run this once where pip, cargo or npm work." >&2
exit 1
