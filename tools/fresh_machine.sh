#!/bin/sh
# A clone on a machine that has nothing: what a person who never saw the project would do, in an
# empty Debian 12 below DIR, as a user with sudo. Runs `make serve`, asks the server what it prints
# to try, then runs every command of README, docs/ and --help (tests/docs/commands.py --all, which
# builds and tests too), and prints how long each step took.
#
# Usage, as root: tools/fresh_machine.sh DIR [serve]
#   DIR    made by debootstrap when it is not there; keep it for another run, remove it for a fresh one
#   serve  end after `make serve` answered
# Needs the package debootstrap and Debian's mirror. Nothing outside DIR changes.
set -eu
[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2; }
[ "$(id -u)" = 0 ] || { echo "fresh_machine.sh: run as root: chroot and mount need it" >&2; exit 1; }
root=$1
until=${2:-all}
source=$(cd "$(dirname "$0")/.." && pwd)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
user=newcomer
uid=54321  # nobody's on this machine, whose processes the chroot shares
home=/home/$user/mach

begin=$(date +%s)
step() {  # step TEXT: how long the last one took, and what comes
  now=$(date +%s)
  [ -z "${what:-}" ] || echo "== $what: $((now - begin)) s"
  begin=$now what=$1
}

step "an empty Debian 12"
[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase bookworm "$root" "$mirror" >/dev/null
cp /etc/resolv.conf "$root/etc/resolv.conf"
cleanup() {
  pkill -u $uid || true
  sleep 1
  for where in dev/shm dev/pts dev sys proc; do
    mountpoint -q "$root/$where" && umount -l "$root/$where"
  done
  return 0
}
trap cleanup EXIT
trap 'exit 1' INT TERM
for where in proc sys dev dev/pts dev/shm; do
  mountpoint -q "$root/$where" || mount --bind "/$where" "$root/$where"
done

inside() {  # inside COMMAND: as the user, in the clone
  chroot "$root" su - "$user" -c "cd $home && $1"
}

step "git, make and sudo: what has to be there before the clone"
chroot "$root" sh -c 'export DEBIAN_FRONTEND=noninteractive; apt-get update -q &&
  apt-get install -y -q --no-install-recommends git make sudo ca-certificates' >/dev/null 2>&1
chroot "$root" id "$user" >/dev/null 2>&1 || chroot "$root" useradd -m -u $uid -s /bin/bash "$user"
echo "$user ALL=(ALL) NOPASSWD: ALL" > "$root/etc/sudoers.d/$user"
for tool in cc g++ cmake python3; do
  ! chroot "$root" sh -c "command -v $tool" >/dev/null 2>&1 || echo "note: $tool was there before"
done

step "the clone"
rm -rf "$root$home"
git clone -q "$source" "$root$home"
chroot "$root" chown -R "$user:$user" "$home"

step "make serve, until it serves"
inside "make serve" > "$root/tmp/serve.log" 2>&1 &
server=$!
until grep -q '^serving on ' "$root/tmp/serve.log"; do
  kill -0 "$server" 2>/dev/null || { cat "$root/tmp/serve.log"; exit 1; }
  sleep 1
done

step "the commands that it prints to try"
sleep 1
sed -n 's/^  \(curl .*\)/\1/p' "$root/tmp/serve.log" > "$root/tmp/try.sh"
[ "$(wc -l < "$root/tmp/try.sh")" -ge 3 ] || { cat "$root/tmp/serve.log"; exit 1; }
inside "sh -ex /tmp/try.sh" > "$root/tmp/try.log" 2>&1 || { cat "$root/tmp/try.log"; exit 1; }
for said in '"content":"' 'data: \[DONE\]' '"object":"list"'; do
  grep -q "$said" "$root/tmp/try.log" || { echo "no $said in:"; cat "$root/tmp/try.log"; exit 1; }
done
pkill -u $uid -x mach
wait "$server" || true
if [ "$until" = serve ]; then step "" && exit 0; fi

step "make test"
inside "make test" > "$root/tmp/test.log" 2>&1 || { tail -50 "$root/tmp/test.log"; exit 1; }
tail -5 "$root/tmp/test.log"

step "every command of README, docs/ and --help"
inside "python3 tests/docs/commands.py build/release/bin . --all"
step ""
