# Python from the store. Wheels' libraries carry their own search paths, so what they expect of a system is loaded first.
libraries=$out/usr/lib/x86_64-linux-gnu
set -- libstdc++.so.6 libgcc_s.so.1 libgomp.so.1 libz.so.1 libexpat.so.1 libm.so.6 libdl.so.2 librt.so.1 \
  libpthread.so.0 libutil.so.1 libresolv.so.2
patchelf --force-rpath --set-rpath "$libraries" "$out/usr/bin/python3.11"
for library in "$@"; do patchelf --add-needed "$library" "$out/usr/bin/python3.11"; done
# The loader looks at nothing of the host: its built-in paths are replaced in place, by others of the same length.
loader=$libraries/ld-linux-x86-64.so.2
blind() {
  strings -t d "$loader" | sed -n "s,^ *\([0-9]*\) $1\$,\1,p" | while read -r at; do
    printf %s "$2" | dd of="$loader" bs=1 seek="$at" conv=notrunc 2>/dev/null
  done
}
chmod u+w "$loader"
blind /etc/ld.so.cache /nix/ld.so.cache
blind /lib/x86_64-linux-gnu/ /nix/x86_64-linux-gnu/
blind /usr/lib/x86_64-linux-gnu/ /nix/lib/x86_64-linux-gnu/
blind /lib/ /nix/
blind /usr/lib/ /nix/lib/
ln -sf python3.11 "$out/usr/bin/python3"
ln -sf bash "$out/usr/bin/sh"
mkdir -p "$out/etc/ssl/certs"
cat "$out"/usr/share/ca-certificates/mozilla/*.crt > "$out/etc/ssl/certs/ca-certificates.crt"
standard=$out/usr/lib/python3.11
rm -rf "$out/usr/share/zoneinfo/right" "$out/usr/share/zoneinfo/posix" "$out/usr/lib/x86_64-linux-gnu/gconv" \
  "$standard/sitecustomize.py" "$standard/test" "$standard/idlelib" "$standard/lib2to3" "$standard/pydoc_data" "$out/var"
cat > "$standard/sitecustomize.py" <<END
import os
os.environ.setdefault("SSL_CERT_FILE", "$out/etc/ssl/certs/ca-certificates.crt")
END
PYTHONDONTWRITEBYTECODE=1 "$out/usr/bin/python3.11" -m compileall -fqq -j 2 --invalidation-mode unchecked-hash "$standard"
"$out/usr/bin/python3.11" -c 'import ssl, sqlite3, ctypes, lzma, bz2, uuid, zlib, readline; assert ssl.create_default_context().get_ca_certs()'
