# Sourced by the other scripts: one virtual environment that holds exactly requirements.lock,
# with this checkout installed in it.  VENV chooses its folder, PYTHON the interpreter.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${VENV:-$root/.venv}
unset PYTHONPATH PYTHONHOME
# Dozens of processes import the same packages: each would compile them all, where images of
# containers forbid to keep byte code.  It stays with the environment.
unset PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '\n== %s\n' "$1"; }
die() { printf 'error: %s\n' "$1" >&2; exit "${2:-1}"; }

# The first interpreter that runs and is new enough.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "no Python 3.11 or newer found; install one or name it, e.g. PYTHON=/usr/bin/python3.11." 6
}

# Make the environment, or use the one that is there: a copy of what was installed lies in it.
ensure_environment() {
  local python quiet=-q
  [ -t 1 ] && quiet=
  if ! cmp -s "$root/requirements.lock" "$VENV/installed.lock" || ! "$VENV/bin/python" -c ''; then
    if [ -e "$VENV" ] && [ ! -e "$VENV/made-by-latent-policies" ]; then
      die "$VENV exists and was not made by these scripts; move it or set VENV to another folder."
    fi
    python=$(find_python)
    say "installing into $VENV ($("$python" --version); about 1.5 GB, a few minutes)"
    "$python" -m venv --clear "$VENV" ||
      die "$python cannot make a virtual environment; on Debian install python3-venv." 6
    touch "$VENV/made-by-latent-policies"
    # Compiled to byte code is what gets imported, when it is: all of it would take a minute.
    "$VENV/bin/python" -m pip install $quiet --only-binary :all: --require-hashes --no-compile \
      -r "$root/requirements.lock" </dev/null
    cp "$root/requirements.lock" "$VENV/installed.lock"
  fi
  if ! { echo "$root"; cat "$root/pyproject.toml"; } | cmp -s - "$VENV/installed.project"; then
    "$VENV/bin/python" -m pip install -q --no-deps --no-build-isolation -e "$root" </dev/null
    { echo "$root"; cat "$root/pyproject.toml"; } >"$VENV/installed.project"
  fi
}

can_render() {
  "$VENV/bin/python" -c 'import ctypes; [ctypes.CDLL(f"lib{n}.so.1") for n in ("EGL", "GL")]' \
    2>/dev/null
}

# Drawing without a display needs two system packages, which pip cannot install.
ensure_rendering() {
  if [ "$(uname -s)" != Linux ] || can_render; then return; fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing the system packages libegl1 and libgl1"
    { apt-get -q update && DEBIAN_FRONTEND=noninteractive \
        apt-get -qy install --no-install-recommends libegl1 libgl1; } </dev/null || true
  fi
  can_render || printf 'warning: %s\n' "drawing without a display needs the system packages \
libegl1 and libgl1 (apt-get install libegl1 libgl1); what renders will fail." >&2
}

has_browser() {
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null
}

# The pages of reports are looked at in a real browser, a system package, too.
ensure_browser() {
  if [ "$(uname -s)" != Linux ] || has_browser; then return; fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing the system package chromium"
    { apt-get -q update && DEBIAN_FRONTEND=noninteractive \
        apt-get -qy install --no-install-recommends chromium; } </dev/null || true
  fi
  has_browser || printf 'warning: %s\n' "pages are looked at in a browser, which is the system \
package chromium (apt-get install chromium); tests that need it will be skipped." >&2
}
