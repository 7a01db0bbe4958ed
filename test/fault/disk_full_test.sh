#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A loader on a disk that is too small: it says so, and the zone of before stays.
# usage: disk_full_test.sh LETHE
set -eu

lethe=$(realpath "$1")
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
    echo "SKIPPED: needs root and a mount namespace of its own"
    exit 77
fi
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

make_zone() { # SERIAL RECORDS
    printf '@ 60 IN SOA ns1 admin %s 7200 3600 1209600 300\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.1\n' "$1"
    seq "$2" | sed 's/.*/n& 60 IN TXT "some text to fill the disk, some text to fill the disk"/'
}
make_zone 1 500 >"$directory/small.zone"
make_zone 2 60000 >"$directory/big.zone"
mkdir "$directory/db"

# The tmpfs is in a mount namespace that goes with the shell inside.
export lethe directory
# shellcheck disable=SC2016
unshare -m sh -eu -c '
    mount -t tmpfs -o size=2m lethe-test "$directory/db"
    "$lethe" --quiet --db "$directory/db" zone load example. "$directory/small.zone"
    "$lethe" --db "$directory/db" zone dump example. >"$directory/before"
    code=0
    "$lethe" --db "$directory/db" zone load example. "$directory/big.zone" 2>"$directory/told" || code=$?
    cat "$directory/told"
    [ "$code" = 1 ]
    grep -q "no room on the disk of .*; the zone served before is unchanged" "$directory/told"
    "$lethe" --db "$directory/db" zone dump example. | cmp - "$directory/before"
    "$lethe" --quiet --db "$directory/db" zone load example. "$directory/small.zone"
'
echo "the old zone is whole"
