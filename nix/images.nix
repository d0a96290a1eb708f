# What is sealed: packages by explicit file sets, so that a file of another package cannot get in.
{ kit }:
let
  inherit (kit) run pinned python environment;
  source = name: builtins.path { inherit name; path = ../src + "/${name}"; filter = path: _: builtins.match ".*(/__pycache__|\\.so|\\.pyc)" path == null; };
  composition = image: ../images + "/${image}/composition.toml";

  develop = environment "develop" "develop" { };
  zig = run "zig" { wheel = pinned "wheels" "zig"; } ''
    mkdir "$out"
    unzip -q $wheel -d wheel
    mv wheel/ziglang "$out/zig"
  '';

  # The native module for a processor, by the one compiler for all.
  native = processor: debArchitecture: run "native-${processor}" {
    inherit develop zig processor;
    programs = [ develop ];
    cpp = builtins.path { name = "cpp"; path = ../cpp; };
    headers = kit.unpackDebs "python-headers-${debArchitecture}" "headers-${debArchitecture}";
  } (builtins.readFile ./native.sh);
  nativeHost = native "x86_64" "amd64";
  nativeCompanion = native "aarch64" "arm64";

  # A compiler for the shell, by the names that build tools look for.
  zigCompiler = run "zig-compiler" { inherit zig; } ''
    mkdir -p "$out/bin"
    for name in cc c++; do
      printf '#!%s sh\nexec "%s/zig/zig" %s -target x86_64-linux-gnu.2.36 "$@"\n' "$seed/bin/busybox" "$zig" "$name" > "$out/bin/$name"
      chmod 555 "$out/bin/$name"
    done
  '';

  prune = ../images/companion/prune.txt;

  # site-packages of an image: its own packages, migrations and composition. `libraries` adds the wheels of a set.
  own = image: names: nativeModule: ''
    mkdir -p "$site"
    set -- $sources
    for name in ${toString names}; do cp -r "$1" "$site/$name"; chmod -R u+w "$site/$name"; shift; done
    cp ${nativeModule}/_native.* "$site/gps_denied_onboard/"
    cp -r "$migrations" "$site/gps_denied_onboard/migrations"
    cp "$composition" "$site/gps_denied_onboard/composition.toml"
    sha256sum < "$composition" | cut -d' ' -f1 > "$site/gps_denied_onboard/composition.sha256"
  '';
  ownFiles = image: names: {
    sources = map source names;
    composition = composition image;
    migrations = builtins.path { name = "migrations"; path = ../migrations; };
  };

  # What the aircraft's root file system takes as usr/lib/gps-denied: unpacked only, compiled there.
  companionPython = run "companion-python" (ownFiles "companion" [ "gps_denied_onboard" ] // {
    inherit python;
    wheels = pinned "wheels" "companion";
    install = ./install_wheels.py;
    inherit prune;
  }) ''
    site=$out/site-packages
    "$python/bin/python3" "$install" "$site" --prune "$prune" $wheels
    ${own "companion" [ "gps_denied_onboard" ] nativeCompanion}
  '';

  # Userland, kernel, boot chain and disk of a board.
  tools = kit.debTree "tools" "tools" ''
    for program in mksquashfs veritysetup; do # threads end by a library that the C library looks for by itself
      patchelf --add-needed libgcc_s.so.1 "$(find "$out/usr" -type f -name "$program")"
    done
  '';
  companionFor = import ../images/companion { inherit kit companionPython tools; };
  companionRootfs = (companionFor "qemu-virt").rootfs;
  companionImage = (companionFor "qemu-virt").image;

  # The same files over the same libraries for the build host: every module of the companion is imported there.
  companionHost = run "companion-host" (ownFiles "companion" [ "gps_denied_onboard" ]) ''
    site=$out
    ${own "companion" [ "gps_denied_onboard" ] nativeHost}
  '';
  companionHostLibraries = environment "companion-host-libraries" "companion-host" { inherit prune; };

  postgresql = kit.debTree "postgresql" "postgresql" ''
    rm -rf "$out/usr/lib/postgresql/15/lib/bitcode" "$out"/usr/lib/postgresql/15/lib/llvmjit* "$out/usr/share/doc" \
      "$out/usr/share/zoneinfo" "$out/etc" "$out/var" "$out/usr/lib/x86_64-linux-gnu/gconv"
    "$out/usr/lib/postgresql/15/bin/postgres" --version
  '';

  operatorLibraries = environment "operator-libraries" "operator" { };
  operatorPackages = [ "gps_denied_onboard" "gps_denied_operator" "gps_denied_sim" ];
  operatorRootfs = run "operator-rootfs" (ownFiles "operator" operatorPackages // {
    inherit python postgresql operatorLibraries;
  }) ''
    site=$out/lib/site-packages
    ${own "operator" operatorPackages nativeHost}
    chmod -R u+w "$site"
    PYTHONDONTWRITEBYTECODE=1 "$python/bin/python3" -m compileall -fqq --invalidation-mode unchecked-hash -s "$out" "$site"
    mkdir -p "$out/bin"
    ln -s "$operatorLibraries/bin/python3" "$out/bin/python3"
    for command in operator-tool:gps_denied_operator gps-denied-onboard:gps_denied_onboard gps-denied-sim:gps_denied_sim; do
      {
        echo "#!$operatorLibraries/bin/python3 -sP"
        echo 'import os, sys'
        echo "sys.path.insert(0, '$site')"
        echo "os.environ['PATH'] = '$postgresql/usr/lib/postgresql/15/bin:$out/bin:' + os.environ.get('PATH', '/bin')"
        echo "os.environ['PYTHONPATH'] = '$site'"
        echo "from ''${command#*:}.cli import main"
        echo 'sys.exit(main())'
      } > "$out/bin/''${command%:*}"
      chmod 555 "$out/bin/''${command%:*}"
    done
  '';

  operatorImage = run "operator-image" {
    inherit python;
    exportReferencesGraph = [ "closure" operatorRootfs "seed-closure" kit.seed ];
    rootfs = operatorRootfs;
    write = ../images/operator/oci.py;
  } ''
    "$python/bin/python3" "$write" "$out" --closure closure --closure seed-closure --rootfs "$rootfs" --shell "$seed/bin/busybox"
  '';

  app = program: { type = "app"; inherit program; };
in {
  inherit companionFor develop tools zigCompiler nativeHost nativeCompanion companionPython companionRootfs companionImage companionHost companionHostLibraries postgresql
    operatorLibraries operatorRootfs operatorImage source;
  packages = {
    companion-python = companionPython;
    companion-rootfs = companionRootfs;
    companion-image = companionImage;
    companion-image-jetson-orin = (companionFor "jetson-orin").image;
    operator-rootfs = operatorRootfs;
    operator-image = operatorImage;
  };
  apps = {
    operator-tool = app "${operatorRootfs}/bin/operator-tool";
    demo = app "${run "demo" { inherit operatorRootfs; } ''
      {
        echo "#!$seed/bin/busybox sh"
        echo "exec $operatorRootfs/bin/operator-tool evaluate flights --seeds 1-1 --minutes 3 --scenario blackout --out build/demo \"\$@\""
      } > "$out"
      chmod 555 "$out"
    ''}";
  };
}
