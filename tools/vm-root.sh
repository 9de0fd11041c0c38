#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: vm-root.sh DIR
#
# Fills DIR with what boots enclave images: a small Debian sid with QEMU >= 10.2,
# which older Debians lack, and in DIR/kernel Debian's kernel for virtual
# machines with the modules that an enclave loads. Takes some
# 450 MB and a few minutes, once; does nothing when DIR is whole, so that it can
# be called offline. Needs root for debootstrap. Programs of DIR are started by
# DIR's own dynamic loader (claviger-local vm --root DIR): nothing stays mounted.
set -eu
umask 022

dir=${1:?usage: vm-root.sh DIR}
suite=sid
modules="vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport nsm"

say() { printf '%s\n' "$*" >&2; }
die() { say "vm-root: $*"; exit 1; }

whole() {
    [ -x "$dir/usr/bin/qemu-system-x86_64" ] && [ -s "$dir/kernel/vmlinuz" ] &&
        [ -s "$dir/kernel/modules-load-order" ]
}

# Debian's mirror as this machine's apt has it; no other is asked.
mirror() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n 's/^Debian \(.*\)$/\1/p' | head -n 1
}

# debootstrap mounts /proc in its target and may be stopped in between.
release() {
    for m in "$dir.part/proc" "$dir.part/sys" "$dir.part/dev"; do
        if mountpoint -q "$m" 2>/dev/null; then umount -l "$m" || :; fi
    done
    rm -rf "$dir.part"
}

make_root() {
    command -v debootstrap >/dev/null 2>&1 || die "debootstrap is needed: apt-get install debootstrap"
    uri=$(mirror)
    [ -n "$uri" ] || die "this machine's apt knows no Debian mirror"
    say "making a Debian $suite with QEMU in $dir (a few minutes, once)"
    trap release EXIT
    trap 'exit 1' INT TERM HUP
    rm -rf "$dir.part"
    debootstrap --variant=minbase --include=qemu-system-x86 "$suite" "$dir.part" "$uri" >&2
    rm -f "$dir.part"/var/cache/apt/archives/*.deb
    mv "$dir.part" "$dir"
    trap - EXIT INT TERM HUP
}

# The first dependency of package $1 whose name matches $2.
depends() {
    chroot "$dir" apt-cache depends "$1" | sed -n 's/^ *Depends: //p' | grep -E "$2" || :
}

# Debian splits its kernels into more packages than it did: what holds the
# kernel and its modules is taken, the rest is for systems that start from a disk.
make_kernel() {
    image=$(depends linux-image-cloud-amd64 '^linux-image-[0-9]' | head -n 1)
    [ -n "$image" ] || die "$suite has no linux-image-cloud-amd64"
    say "fetching $image"
    rm -rf "$dir/kernel.part"
    mkdir -p "$dir/kernel.part/debs"
    # shellcheck disable=SC2046
    chroot "$dir" sh -c 'cd /kernel.part/debs && exec apt-get -q -o APT::Sandbox::User=root download "$@"' \
        sh "$image" $(depends "$image" '^linux-(base|binary|modules)-[0-9]') >&2
    for deb in "$dir"/kernel.part/debs/*.deb; do
        dpkg-deb -x "$deb" "$dir/kernel.part/tree"
    done
    kernel=$(find "$dir/kernel.part/tree" -name 'vmlinuz*' -type f | head -n 1)
    [ -n "$kernel" ] || die "there is no vmlinuz in $image"
    cp "$kernel" "$dir/kernel.part/vmlinuz"
    config=$(find "$dir/kernel.part/tree" \( -name config -o -name 'config-*' \) -type f | head -n 1)
    [ -z "$config" ] || cp "$config" "$dir/kernel.part/config"
    for m in $modules; do
        found=$(find "$dir/kernel.part/tree" -name "$m.ko*" -type f | head -n 1)
        case $found in
        *.ko) cp "$found" "$dir/kernel.part/$m.ko" ;;
        *.ko.xz) xz -dc "$found" > "$dir/kernel.part/$m.ko" ;;
        *.ko.zst) zstd -qdc "$found" > "$dir/kernel.part/$m.ko" ;;
        *) die "$image has no module $m" ;;
        esac
        printf '%s.ko\n' "$m" >> "$dir/kernel.part/modules-load-order"
    done
    rm -rf "$dir/kernel.part/tree" "$dir/kernel.part/debs" "$dir/kernel"
    mv "$dir/kernel.part" "$dir/kernel"
}

whole && exit 0
[ "$(id -u)" = 0 ] || die "making $dir needs root"
[ -x "$dir/usr/bin/qemu-system-x86_64" ] || make_root
make_kernel
whole || die "$dir is not whole"
