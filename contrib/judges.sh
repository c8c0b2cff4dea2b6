#!/bin/sh
# Makes target/venv with the Python packages of the tests (contrib/judges.txt). Does nothing when it is up to date.
set -eu
cd "$(dirname "$0")/.."
venv=target/venv

if cmp -s contrib/judges.txt "$venv/judges.txt"; then
    exit 0
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "The tests need Python 3.11 or later; here is: $(python3 --version 2>&1 || echo none)." >&2
    exit 1
fi
echo "Installing the Python packages of the tests into $venv"
mkdir -p target
# Tests ask for the packages too, and may do so at the same time.
exec 9>target/venv.lock
if command -v flock >/dev/null 2>&1; then flock 9; fi
if cmp -s contrib/judges.txt "$venv/judges.txt"; then
    exit 0
fi
python3 -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement contrib/judges.txt
# Last, so that an installation that was cut short is made again.
cp contrib/judges.txt "$venv/judges.txt"
