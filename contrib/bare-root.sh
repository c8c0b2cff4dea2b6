#!/usr/bin/env bash
# For maintainers: runs the tests in a bare Debian that has make, a C compiler, this machine's Rust and nothing else,
# so that a package that nobody installs is found out. As root; needs debootstrap and 10 GB.
#
#   contrib/bare-root.sh DIR [COMMAND...]      DIR is made when it is not there; COMMAND defaults to `bash .ci/run`
#
# The committed state is tested (HEAD), with `../shared` (or BREVBRO_SHARED) beside it when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

root=${1:?usage: $0 DIR [COMMAND...]}
shift
[ $# -gt 0 ] || set -- bash .ci/run
[ "$(id -u)" = 0 ] || { echo "$0 needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "install debootstrap first" >&2; exit 1; }
shared=${BREVBRO_SHARED:-../shared}

if [ ! -e "$root/etc/debian_version" ]; then
    . /etc/os-release
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | sed -n 1p)
    debootstrap --variant=minbase --include=make,gcc,g++,libc6-dev,ca-certificates "${VERSION_CODENAME:?}" "$root" "${mirror:?no Debian mirror is set up here}"
fi

# The ways to the package registries are this machine's: sources, proxies, CAs.
for path in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/auth.conf.d /etc/pip.conf /etc/ssl/certs /etc/resolv.conf /etc/hosts; do
    [ ! -e "$path" ] || { rm -rf "${root:?}$path"; cp -aL --no-target-directory "$path" "$root$path"; }
done

# Rust as it is here, and the crates that were fetched already.
sysroot=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
mkdir -p "$root/opt/cargo"
[ -d "$root/opt/rust" ] || cp -a --no-target-directory "$sysroot" "$root/opt/rust"
for path in registry config.toml config; do
    [ ! -e "$cargo_home/$path" ] || cp -a --update "$cargo_home/$path" "$root/opt/cargo/"
done

# The build folder stays from run to run; everything else is as committed.
mkdir -p "$root/work/brevbro"
find "$root/work/brevbro" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
git archive HEAD | tar -x -C "$root/work/brevbro"
[ ! -d "$shared" ] || { rm -rf "$root/work/shared"; cp -aL "$shared" "$root/work/shared"; }

mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
trap 'umount -l "$root/dev" "$root/proc"' EXIT

forwarded=()
while IFS= read -r variable; do forwarded+=("$variable"); done < <(env | grep -iE '^(https?_proxy|no_proxy|pip_cert|pip_index_url|ssl_cert_file|ssl_cert_dir|cargo_http_[a-z]+)=' || true)
env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/opt/cargo CI=true "${forwarded[@]}" \
    chroot "$root" sh -c 'cd /work/brevbro && exec "$@"' sh "$@"
