#!/bin/sh
# Installs the system packages that are missing, on Debian and what is made of it:
#   contrib/packages.sh build         what `cargo build` needs
#   contrib/packages.sh build test    and what the tests judge with
# As root, or with sudo. Installs nothing that is there already. Elsewhere it says what is needed and lets the build try.
set -eu

# libxmlsec1 has to be 1.2: the binding does not build against 1.3.
build="libxmlsec1-dev libxml2-dev libssl-dev pkg-config libclang-dev ca-certificates"
# The foreign judges of the tests.
test="xmlsec1 libxml2-utils openssl bind9-dnsutils python3 python3-venv curl dovecot-core dovecot-imapd dovecot-lmtpd procps nginx
    default-jdk-headless libxml-security-java postfix libsasl2-modules libmail-java clamav-daemon chromium fonts-dejavu-core tnef postgresql
    pgbouncer"

wanted=""
for group in "$@"; do
    case $group in
        build) wanted="$wanted $build" ;;
        test) wanted="$wanted $test" ;;
        *) echo "usage: $0 build|test ..." >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This system has no dpkg. If the build fails, install what Debian calls:$wanted" >&2
    exit 0
fi

missing=""
for package in $wanted; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then
        root=""
    elif command -v sudo >/dev/null 2>&1; then
        root="sudo"
    else
        echo "Packages are missing and there is neither root nor sudo to install them. Ask for:" >&2
        echo "    apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    echo "Installing:$missing"
    # The tests start databases of their own; one of the system's, that is made by the package and runs for ever, is in nobody's interest.
    case " $missing " in
        *" postgresql "*)
            $root mkdir -p /etc/postgresql-common/createcluster.d
            echo "create_main_cluster = false" | $root tee /etc/postgresql-common/createcluster.d/none.conf >/dev/null
            ;;
    esac
    # Another apt may be at work: wait for its lock. Lists may be absent or old: update and try once more.
    install() {
        # shellcheck disable=SC2086 # the list is split on purpose
        $root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq install -y --no-install-recommends $missing >/dev/null
    }
    if ! install 2>/dev/null; then
        $root apt-get -qq update
        install
    fi
fi

if command -v pkg-config >/dev/null 2>&1 && pkg-config --atleast-version=1.3 xmlsec1 2>/dev/null; then
    echo "libxmlsec1 $(pkg-config --modversion xmlsec1) is installed; brevbro builds against 1.2 only (Debian 12, Ubuntu 22.04 and 24.04)." >&2
    exit 1
fi
