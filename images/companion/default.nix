# A board's root file system and disk image, from the scripts beside this file and the pinned tools.
{ kit, companionPython, tools }:
let
  inherit (kit) run python pins;
  version = (builtins.fromTOML (builtins.readFile ../../pyproject.toml)).project.version;
  boards = builtins.attrNames (builtins.readDir ../boards);
  scripts = builtins.path {
    name = "companion-scripts";
    path = ./.;
    filter = path: _: builtins.match ".*(\\.nix|__pycache__|forbidden.txt|wheel_excludes.txt|composition.toml)" path == null;
  };

  # What the vendor's licence keeps out of this repository: pinned by the integrator, in the form of nix/pins/debs.json.
  vendorFile = settings: ../../. + "/${settings.vendor_pins}";
  vendorDebs = settings: map (file: kit.fixed "flat" file.name file.value.sha256)
    ((let files = (builtins.fromJSON (builtins.readFile (vendorFile settings))).files; in map (name: { inherit name; value = files.${name}; }) (builtins.attrNames files)));
  missing = name: settings: run "companion-image-${name}" { } ''
    echo "board '${name}' needs ${settings.vendor_pins}, which is not there: it pins the vendor's packages"
    echo "${toString settings.vendor_packages}"
    echo "Accept the vendor's licence, add the vendor's package source to apt, then run: images/boards/${name}/pin"
    exit 1
  '';

  sealed = name: settings: rec {
    board = builtins.path { name = "board-${name}"; path = ../boards + "/${name}"; };
    common = {
      inherit python scripts board;
      programs = [ tools ];
      PYTHONDONTWRITEBYTECODE = "1";
      GCONV_PATH = "${tools}/usr/lib/x86_64-linux-gnu/gconv"; # mtools converts names through it
    };
    own = kit.pinned "debs" "companion";
    rootfs = run "companion-rootfs" (common // {
      debs = own ++ (if settings ? vendor_pins then vendorDebs settings else [ ]);
      software = companionPython;
    }) ''
      mkdir debs
      for deb in $debs; do ln -s "$deb" debs/; done
      "$python/bin/python3" "$scripts/rootfs.py" --debs debs --python "$software" --board "$board" --version ${version} --out "$out"
    '';
    image = run "companion-image" (common // { inherit rootfs; }) ''
      "$python/bin/python3" "$scripts/image.py" --rootfs "$rootfs" --board "$board" --out "$out"
    '';
  };
in name:
  if !builtins.elem name boards
  then throw "there is no board '${name}'; there are: ${builtins.concatStringsSep ", " boards}"
  else let settings = builtins.fromTOML (builtins.readFile (../boards + "/${name}/board.toml")); in
    if settings ? vendor_pins && !builtins.pathExists (vendorFile settings)
    then { rootfs = missing name settings; image = missing name settings; }
    else sealed name settings
