#!/usr/bin/env bash
# Prints the browser that the tests open pages with: $QUERY_BROWSER, else the first of these on the PATH.
# With --install, a headless Chromium is installed from Debian's packages where there is none.
set -euo pipefail

find_browser() {
  if [ -n "${QUERY_BROWSER:-}" ]; then
    echo "$QUERY_BROWSER"
    return
  fi
  for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" && return
  done
  return 1
}

if [ "${1:-}" = --install ] && ! find_browser >/dev/null; then
  if ! command -v apt-get >/dev/null; then
    echo "no browser: install Chromium, or name one in QUERY_BROWSER" >&2
    exit 1
  fi
  as_root=()
  if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core >/dev/null
fi
if ! find_browser; then
  echo "no browser: run \`make test\` once, which installs one, or name one in QUERY_BROWSER" >&2
  exit 1
fi
