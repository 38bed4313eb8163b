#!/usr/bin/env bash
# Starts a server that the tests read from and write to, in the foreground until standard input ends:
#   tests/servers.sh s3                       tests/servers/s3.py tells what it prints
#   tests/servers.sh hdfs FOLDER DATANODES    tests/servers/Hdfs.java tells what it prints
# With --install, what they need is fetched by Maven and pip, once a machine, into the folder of tools.
set -euo pipefail
cd "$(dirname "$0")/servers"

tools=${XDG_CACHE_HOME:-$HOME/.cache}/query/tools
moto_version=5.2.5
# What a change of these files outdates goes into a folder of another name.
jars=$tools/hadoop-$(cksum <pom.xml | cut -d ' ' -f 1)
classes=$tools/hdfs-$(cat pom.xml Hdfs.java | cksum | cut -d ' ' -f 1)
moto=$tools/moto-$moto_version

# A folder is whole if this file is in it.
is_whole() { [ -e "$1/whole" ]; }

debian() {
  if ! command -v apt-get >/dev/null; then
    echo "the tests need $*: install them" >&2
    exit 1
  fi
  as_root=()
  if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

install_hdfs() {
  is_whole "$classes" && is_whole "$jars" && return
  command -v javac >/dev/null && command -v mvn >/dev/null || debian openjdk-17-jdk-headless maven
  if ! is_whole "$jars"; then
    rm -rf "$jars"
    mvn --batch-mode --quiet dependency:copy-dependencies -DoutputDirectory="$jars"
    touch "$jars/whole"
  fi
  rm -rf "$classes"
  javac -cp "$jars/*" -d "$classes" Hdfs.java
  touch "$classes/whole"
}

install_s3() {
  is_whole "$moto" && return
  rm -rf "$moto"
  python3 -m venv "$moto" 2>/dev/null || { debian python3-venv && python3 -m venv --clear "$moto"; }
  "$moto/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$moto_version"
  touch "$moto/whole"
}

case "${1:-}" in
  --install)
    mkdir -p "$tools"
    # Two that install at the same time take turns.
    exec 9>"$tools/servers.lock"
    flock 9
    command -v openssl >/dev/null || debian openssl
    install_hdfs
    install_s3
    ;;
  s3)
    is_whole "$moto" || { echo "no S3 server: run \`make test\` once, which installs one" >&2; exit 1; }
    exec "$moto/bin/python" s3.py
    ;;
  hdfs)
    is_whole "$classes" || { echo "no HDFS: run \`make test\` once, which installs it" >&2; exit 1; }
    # It runs for seconds: compiling well would take longer than it saves.
    exec java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.io.tmpdir="$2" -cp "$classes:$jars/*" \
      Hdfs "$2" "$3"
    ;;
  *)
    echo "usage: tests/servers.sh --install | s3 | hdfs FOLDER DATANODES" >&2
    exit 2
    ;;
esac
