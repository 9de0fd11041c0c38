#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The signer's image with AWS's kernel: signer-image.sh OUT.eif CMK-ARN [OPTION...]
#
# Needs the files of nitro-cli (package aws-nitro-enclaves-cli-devel) where
# NITRO_CLI_BLOBS says, by default /usr/share/nitro_enclaves/blobs. Writes
# OUT.eif and OUT.json (the measurements, as nitro-cli prints them), and fails
# when what is not the kernel takes more than 4 MiB. Further OPTIONs go to
# "claviger eif build": --region, --set, --signing-certificate and so on.
set -eu
[ $# -ge 2 ] || { sed -n 's/^# //p' "$0" | sed -n 2,9p >&2; exit 2; }
out=$1 cmk=$2
shift 2
blobs=${NITRO_CLI_BLOBS:-/usr/share/nitro_enclaves/blobs}
claviger=${CLAVIGER:-claviger}
case $(uname -m) in
aarch64) kernel=$blobs/Image ;;
*) kernel=$blobs/bzImage ;;
esac
[ -r "$kernel" ] || { echo "no kernel at $kernel: install aws-nitro-enclaves-cli-devel" >&2; exit 1; }
"$claviger" --json eif build --signer --cmk "$cmk" -o "$out" "$@" > "${out%.eif}.json"
rest=$(($(stat -c %s "$out") - $(stat -c %s "$kernel")))
echo "$out: $rest bytes without the kernel" >&2
[ "$rest" -le 4194304 ] || { echo "more than 4 MiB without the kernel" >&2; exit 1; }
cat "${out%.eif}.json"
