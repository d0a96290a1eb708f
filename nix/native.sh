# gps_denied_onboard._native for $processor: Python's headers of that machine, Zig's compiler, the project's own CMake.
include=$PWD/include/python3.11
mkdir include
cp -r "$headers/usr/include/python3.11" include/
chmod -R u+w include
cp "$headers/usr/include/$processor-linux-gnu/python3.11/pyconfig.h" "$include/pyconfig.h"
export ZIG_GLOBAL_CACHE_DIR=$TMPDIR/zig ZIG_LOCAL_CACHE_DIR=$TMPDIR/zig
printf '#!%s sh\nexec "%s/zig/zig" c++ -target %s-linux-gnu.2.36 "$@"\n' "$seed/bin/busybox" "$zig" "$processor" > zig-c++
chmod +x zig-c++
for tool in ar ranlib; do
  printf '#!%s sh\nexec "%s/zig/zig" %s "$@"\n' "$seed/bin/busybox" "$zig" "$tool" > "zig-$tool"
  chmod +x "zig-$tool"
done
# Without the odometry of an OKVIS2 (DBoW2 is its part), whatever the machine has.
# CMake's trials do not link, and do not try link-time optimisation: Zig would build its C++ library once more for each.
cmake -S "$cpp" -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$PWD/zig-c++" \
  -DCMAKE_AR="$PWD/zig-ar" -DCMAKE_RANLIB="$PWD/zig-ranlib" -DCMAKE_MAKE_PROGRAM="$develop/bin/ninja" \
  -DCMAKE_CXX_FLAGS="-O3 -DNDEBUG -g0 -s -ffile-prefix-map=$PWD=." \
  -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY -DHAS_FLTO_THIN=OFF -DHAS_FLTO=OFF \
  -DCMAKE_DISABLE_FIND_PACKAGE_DBoW2=ON -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$processor" \
  -DPython_EXECUTABLE="$develop/bin/python3" -DPython_INCLUDE_DIR="$include" \
  -DPYTHON_MODULE_EXTENSION=".cpython-311-$processor-linux-gnu.so" -DCMAKE_INSTALL_PREFIX="$PWD/installed"
cmake --build build --target _native
cmake --install build
mkdir "$out"
cp installed/gps_denied_onboard/_native.* "$out/"
