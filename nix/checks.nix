# What `nix flake check` builds. Each is a derivation that fails, so each can also be built alone.
{ kit, images, release }:
let
  inherit (kit) run;
  tree = builtins.path {
    name = "tree";
    path = ../.;
    filter = path: _: !(builtins.elem (baseNameOf path) [ ".git" ".venv" "build" "result" "__pycache__" ".mypy_cache" ".ruff_cache" ]);
  };
  python = "${images.develop}/bin/python3";

  # The repository with the native module, writable, and PostgreSQL on PATH.
  inTree = name: script: run name {
    repository = tree;
    inherit (images) develop nativeHost;
    programs = [ images.tools kit.python "${images.postgresql}/usr/lib/postgresql/15" images.develop ];
  } ''
    cp -r "$repository" tree
    chmod -R u+w tree
    cd tree
    cp "$nativeHost"/_native.* src/gps_denied_onboard/
    export PYTHONPATH=$PWD/src PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
    ${script}
    echo passed > "$out"
  '';

  contents = image: run "${image}-contents" {
    sources = map images.source (images.packagesOf image);
    names = images.packagesOf image;
    check = ./contents.sh;
    forbidden = ../images + "/${image}/forbidden.txt";
  } ''
    mkdir own
    set -- $sources
    for name in $names; do cp -r "$1" "own/$name"; shift; done
    sh "$check" own "$forbidden"
    echo passed > "$out"
  '';

  sbomAgainstPins = image: imageSets: bom: run "sbom-${image}-against-pins" { inherit bom; inherit (images) develop; pins = ./pins; script = ./sbom.py; } ''
    "$develop/bin/python3" "$script" check --pins "$pins" "$bom" \
      ${toString (map (set: "${set.kind}:${set.name}") imageSets)}
    echo passed > "$out"
  '';
in {
  prefetch-list = derivation {
    name = "prefetch-list";
    inherit (kit) system;
    builder = "${kit.seed}/bin/busybox";
    args = [ "sh" "-c" "printf %s \"$text\" > $out; exit 0" ];
    text = builtins.concatStringsSep "" (map (kind: builtins.concatStringsSep "" (map
      (name: "${kit.pins.${kind}.files.${name}.sha256}  ${name}\n")
      (builtins.attrNames kit.pins.${kind}.files))) [ "debs" "wheels" ]);
  };

  all = {
    # Every pinned file is in the store under its hash: quick, and first to say that nix/prefetch must run.
    pins = run "pins" { files = builtins.concatMap (kind: builtins.concatMap (kit.pinned kind)
      (builtins.attrNames kit.pins.${kind}.sets)) [ "debs" "wheels" ]; } ''
      for file in $files; do [ -s "$file" ]; done
      echo passed > "$out"
    '';
    # The quick suite. What a sandbox cannot run is skipped for a reason that the list holds; any other skip is a failure.
    tests = inTree "tests" ''
      export GCONV_PATH=${images.tools}/usr/lib/x86_64-linux-gnu/gconv
      python3 -m pytest -q --color=no -p no:cacheprovider -n 2 -m "not tier2 and not slow" | tee ../report.txt
      if grep '^SKIPPED' ../report.txt | grep -vFf nix/not-in-sandbox.txt; then
        echo "these tests were skipped for a reason that nix/not-in-sandbox.txt does not hold"
        exit 1
      fi
    '';
    style = inTree "style" ''
      python3 tools/lint
    '';
    import-boundary = inTree "import-boundary" ''
      python3 -m pytest -q -p no:cacheprovider tests/test_import_boundary.py
    '';
    companion-composition = images.composition "companion";
    operator-composition = images.composition "operator";
    companion-contents = contents "companion";
    operator-contents = contents "operator";

    # Every file of the root tree against the list of paths; every module of the image imported, with its own libraries.
    companion-modules = run "companion-modules" {
      inherit (images) companionRootfs companionPython companionHost companionHostLibraries;
      script = ./sealed_modules.py;
      forbidden = ../images/companion/forbidden.txt;
    } ''
      export PYTHONDONTWRITEBYTECODE=1
      "$companionHostLibraries/bin/python3" -sP "$script" --forbidden "$forbidden" --listing "$companionRootfs/files.txt" \
        --site "$companionPython/site-packages" --import-from "$companionHost"
      echo passed > "$out"
    '';

    # The same of the operator's image: all of its closure but what lies inside the libraries, which rules name.
    operator-modules = run "operator-modules" {
      exportReferencesGraph = [ "closure" images.operatorRootfs ];
      inherit (images) operatorRootfs operatorLibraries;
      script = ./sealed_modules.py;
      forbidden = ../images/operator/forbidden.txt;
    } ''
      export PYTHONDONTWRITEBYTECODE=1
      grep ^/nix/store/ closure | sort -u | while read -r path; do
        find "$path" ! -type d ! -path "$operatorLibraries/lib/*" | sed 's,$, 0,'
      done > files.txt
      "$operatorRootfs/bin/python3" -sP "$script" --forbidden "$forbidden" --listing files.txt \
        --site "$operatorLibraries/lib/python3.11/site-packages" --import-from "$operatorRootfs/lib/site-packages"
      echo passed > "$out"
    '';

    # Builders' functions leave a derivation's own variables alone.
    helpers = run "helpers" { tree = "kept"; path = "kept"; deb = "kept"; } ''
      unpack_debs "$PWD/somewhere"
      run_from_store "$PWD/somewhere"
      [ "$tree $path $deb $name" = "kept kept kept helpers" ]
      echo passed > "$out"
    '';

    # The operator's files, judged by the companion's list, must be refused: a check that refuses nothing proves nothing.
    contents-check-bites = run "contents-check-bites" {
      operator = images.source "gps_denied_operator";
      check = ./contents.sh;
      forbidden = ../images/companion/forbidden.txt;
    } ''
      mkdir own
      cp -r "$operator" own/gps_denied_operator
      if sh "$check" own "$forbidden" > refused; then
        echo "the operator's files passed the companion's list"
        exit 1
      fi
      echo refused > "$out"
    '';
    sbom-companion = sbomAgainstPins "companion" release.companionSets release.packages.sbom-companion;
    sbom-operator = sbomAgainstPins "operator" release.operatorSets release.packages.sbom-operator;
  };
}
