# What is sealed: packages by explicit file sets, so that a file of another package cannot get in.
{ kit }:
let
  inherit (kit) run pinned python environment;
  source = name: builtins.path { inherit name; path = ../src + "/${name}"; filter = path: _: builtins.match ".*(/__pycache__|\\.so|\\.pyc)" path == null; };

  # An image's composition file names its packages; sealed with its hash if the software has every strategy it links.
  compositionFile = image: ../images + "/${image}/composition.toml";
  packagesOf = image: (builtins.fromTOML (builtins.readFile (compositionFile image))).packages;
  composition = image: run "composition-${image}" {
    inherit python;
    onboard = source "gps_denied_onboard";
    file = compositionFile image;
    read = ./read_composition.py;
  } ''
    mkdir "$out"
    cp "$file" "$out/composition.toml"
    sha256sum < "$file" | cut -d' ' -f1 > "$out/composition.sha256"
    ln -s "$onboard" gps_denied_onboard
    PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1 "$python/bin/python3" "$read" "$out/composition.toml"
  '';

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

  wheelExcludes = ../images/companion/wheel_excludes.txt;

  # site-packages of an image: its own packages, migrations and composition.
  own = image: nativeModule: ''
    mkdir -p "$site"
    set -- $sources
    for name in ${toString (packagesOf image)}; do cp -r "$1" "$site/$name"; chmod -R u+w "$site/$name"; shift; done
    cp ${nativeModule}/_native.* "$site/gps_denied_onboard/"
    cp -r "$migrations" "$site/gps_denied_onboard/migrations"
    cp "$composition"/composition.* "$site/gps_denied_onboard/"
  '';
  ownFiles = image: {
    sources = map source (packagesOf image);
    composition = composition image;
    migrations = builtins.path { name = "migrations"; path = ../migrations; };
  };

  # What the aircraft's root file system takes as usr/lib/gps-denied: unpacked only, compiled there.
  companionPython = run "companion-python" (ownFiles "companion" // {
    inherit python;
    wheels = pinned "wheels" "companion";
    install = ./install_wheels.py;
    inherit wheelExcludes;
  }) ''
    site=$out/site-packages
    "$python/bin/python3" "$install" "$site" --exclude "$wheelExcludes" $wheels
    ${own "companion" nativeCompanion}
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
  companionHost = run "companion-host" (ownFiles "companion") ''
    site=$out
    ${own "companion" nativeHost}
  '';
  companionHostLibraries = environment "companion-host-libraries" "companion-host" { inherit wheelExcludes; };

  postgresql = kit.debTree "postgresql" "postgresql" ''
    rm -rf "$out/usr/lib/postgresql/15/lib/bitcode" "$out"/usr/lib/postgresql/15/lib/llvmjit* "$out/usr/share/doc" \
      "$out/usr/share/zoneinfo" "$out/etc" "$out/var" "$out/usr/lib/x86_64-linux-gnu/gconv"
    "$out/usr/lib/postgresql/15/bin/postgres" --version
  '';

  operatorLibraries = environment "operator-libraries" "operator" { };
  operatorPrograms = kit.debTree "operator-programs" "operator" ''
    # mtools reads code pages through the C library; each of its commands is a link to one program
    mv "$out/usr/bin/mtools" "$out/usr/lib/mtools"
    {
      echo "#!$seed/bin/busybox sh"
      echo "export GCONV_PATH=$out/usr/lib/x86_64-linux-gnu/gconv"
      echo "exec $out/usr/lib/mtools -c \"\''${0##*/}\" \"\$@\""
    } > "$out/usr/bin/mtools"
    chmod 555 "$out/usr/bin/mtools"
  '';
  operatorRootfs = run "operator-rootfs" (ownFiles "operator" // {
    inherit python postgresql operatorPrograms operatorLibraries;
  }) ''
    site=$out/lib/site-packages
    ${own "operator" nativeHost}
    chmod -R u+w "$site"
    PYTHONDONTWRITEBYTECODE=1 "$python/bin/python3" -m compileall -fqq --invalidation-mode unchecked-hash -s "$out" "$site"
    mkdir -p "$out/bin"
    # A link would be a Python without its libraries: it looks for them beside the name that it was called by.
    printf '#!%s sh\nPYTHONPATH=%s exec %s "$@"\n' "$seed/bin/busybox" "$site" "$operatorLibraries/bin/python3" > "$out/bin/python3"
    chmod 555 "$out/bin/python3"
    for command in operator-tool:gps_denied_operator.cli gps-denied-onboard:gps_denied_onboard.cli.main gps-denied-sim:gps_denied_sim.cli; do
      {
        echo "#!$operatorLibraries/bin/python3 -sP"
        echo 'import os, sys'
        echo "sys.path.insert(0, '$site')"
        echo "os.environ['PATH'] = '$postgresql/usr/lib/postgresql/15/bin:$operatorPrograms/bin:$out/bin:' + os.environ.get('PATH', '/bin')"
        echo "os.environ['PYTHONPATH'] = '$site'"
        echo "from ''${command#*:} import main"
        echo "if __name__ == '__main__':" # worker processes load this file again
        echo '    sys.exit(main())'
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
    operatorLibraries operatorRootfs operatorImage source packagesOf composition;
  packages = {
    companion-python = companionPython;
    companion-rootfs = companionRootfs;
    companion-image = companionImage;
    operator-rootfs = operatorRootfs;
    operator-image = operatorImage;
  } // builtins.listToAttrs (map (board: { name = "companion-image-${board}"; value = (companionFor board).image; })
    (builtins.attrNames (builtins.readDir ../images/boards)));
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
