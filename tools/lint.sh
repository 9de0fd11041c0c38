#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ./dev lint: the clang build, the layout, clang-tidy, gcc's -fanalyzer, and the man pages.
set -eu
cd "$(dirname "$0")/.."
status=0

echo "== clang, warnings as errors"
[ -f build/clang/build.ninja ] || cmake --preset clang >/dev/null
cmake --build --preset clang || status=1

echo "== layout"
git ls-files -z '*.c' '*.h' | xargs -0 clang-format-14 --dry-run -Werror || status=1

echo "== clang-tidy"
find src -name '*.c' -print0 | xargs -0 -n 8 -P "$(nproc)" clang-tidy -quiet -p build/clang 2>/dev/null || status=1

echo "== gcc -fanalyzer"
# gcc 12 loses track of what a list owns and of values set in a loop; leaks are
# LeakSanitizer's (the asan preset), unset values valgrind's and clang's. Our stand-in for
# cv_error_set (common/error.h) leaves its value unused where the code is known already.
quiet="-Wno-analyzer-malloc-leak -Wno-analyzer-use-of-uninitialized-value -Wno-unused-value"
cmake -S . -B build/analyzer -G Ninja -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DBUILD_TESTING=OFF \
    -DCMAKE_C_FLAGS="-fanalyzer -DCV_ANALYZER $quiet" >/dev/null
cmake --build build/analyzer -- -k 0 || status=1

echo "== man pages"
for page in docs/man/*.scd; do
    scdoc < "$page" >/dev/null || { status=1; continue; }
    # scdoc writes a paragraph before every list and title, which mandoc leaves out and tells.
    faults=$(scdoc < "$page" | mandoc -T lint -W warning 2>&1 | grep -v 'WARNING: skipping paragraph macro: PP' || :)
    [ -z "$faults" ] || { printf '%s:\n%s\n' "$page" "$faults"; status=1; }
done
exit $status
