# What every builder script starts with: busybox on PATH, then functions.
"$seed/bin/busybox" mkdir "$TMPDIR/busybox"
"$seed/bin/busybox" --install -s "$TMPDIR/busybox"
# A derivation's own variables are the script's: functions keep theirs `local`, and no name is set here but PATH and these.
put_on_path() {
  local program
  PATH=$TMPDIR/busybox
  for program in "$@"; do PATH=$program/bin:$program/sbin:$PATH; done
}
put_on_path $programs
export PATH HOME="$TMPDIR" LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=1700000000
set -o pipefail
# Programs that call system() or popen() want /bin/sh, which Debian's Nix leaves out. Only inside the sandbox.
if [ "$NIX_BUILD_TOP" = /build ] && [ ! -e /bin/sh ] && mkdir -p /bin 2>/dev/null; then ln -s "$seed/bin/busybox" /bin/sh; fi

# unpack_debs TREE DEB...: all files, /usr merged, without documentation; no maintainer script runs.
unpack_debs() {
  local tree=$1 deb name
  shift
  mkdir -p "$tree/usr/bin" "$tree/usr/sbin" "$tree/usr/lib"
  for name in bin sbin lib; do ln -s "usr/$name" "$tree/$name"; done
  for deb in "$@"; do
    mkdir deb
    ar p "$deb" data.tar.xz | tar -xJ -C deb
    for name in bin sbin lib; do # busybox's tar would replace the links
      [ ! -d "deb/$name" ] || { mkdir -p "deb/usr/$name"; cp -a "deb/$name/." "deb/usr/$name/"; rm -r "deb/$name"; }
    done
    [ ! -d deb/lib64 ] || { mkdir -p deb/usr/lib64; cp -a deb/lib64/. deb/usr/lib64/; rm -r deb/lib64; }
    rm -rf deb/usr/share/man deb/usr/share/info deb/usr/share/locale deb/usr/share/lintian deb/usr/share/bash-completion
    find deb/usr/share/doc ! -type d ! -name copyright -exec rm -f {} + 2>/dev/null || true
    cp -a deb/. "$tree/"
    rm -rf deb
  done
  [ ! -d "$tree/usr/lib64" ] || ln -sfn usr/lib64 "$tree/lib64"
  chmod -R u+w "$tree"
}

# is_elf64 FILE: an x86-64 program or library that the dynamic loader reads.
is_elf64() {
  [ "$(dd if="$1" bs=1 count=4 2>/dev/null | tail -c 3)" = ELF ] &&
    [ "$(dd if="$1" bs=1 skip=18 count=1 2>/dev/null | od -An -tx1 | tr -d ' ')" = 3e ]
}

# use_own_loader FILE TREE: a dynamic program starts with the loader and the libraries of TREE.
use_own_loader() {
  is_elf64 "$1" && patchelf --print-interpreter "$1" >/dev/null 2>&1 || return 0
  local old
  chmod u+w "$1"
  old=$(patchelf --print-rpath "$1")
  patchelf --set-interpreter "$2/lib64/ld-linux-x86-64.so.2" \
    --set-rpath "${old:+$old:}$2/usr/lib/x86_64-linux-gnu:$2/usr/lib" "$1"
}

# run_from_store TREE: links and programs of a Debian tree find each other where the tree lies.
run_from_store() {
  local tree=$1 link target path file
  find "$tree" -type l | while read -r link; do
    target=$(readlink "$link")
    case $target in /nix/*) ;; /*) ln -sfn "$tree$target" "$link" ;; esac
  done
  path=$tree/usr/lib/x86_64-linux-gnu:$tree/usr/lib
  find "$tree" -type f \( -perm -100 -o -name '*.so*' \) | while read -r file; do
    case $file in *.o | *.a | */ld-linux* | */libc.so.6) continue ;; esac
    is_elf64 "$file" || continue
    chmod u+w "$file"
    if patchelf --print-interpreter "$file" >/dev/null 2>&1; then
      patchelf --set-interpreter "$tree/lib64/ld-linux-x86-64.so.2" "$file"
    fi
    ! patchelf --print-rpath "$file" >/dev/null 2>&1 || patchelf --set-rpath "$path" "$file"
  done
}
