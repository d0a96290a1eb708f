# Which files of this repository each image holds. An image's derivation names only its own packages, so that a file
# of another package cannot get in.
{ kit }:
let
  files = image: packages: kit.run "${image}-files" {
    composition = ../images + "/${image}/composition.toml";
    migrations = ../migrations;
    names = map (package: package.name) packages;
    sources = map (package: package.source) packages;
  } ''
    mkdir -p "$out/src" "$out/etc/gps-denied"
    set -- $sources
    for name in $names; do
      cp -r "$1" "$out/src/$name"
      shift
    done
    cp -r "$migrations" "$out/migrations"
    cp "$composition" "$out/etc/gps-denied/composition.toml"
    (cd "$out/etc/gps-denied" && sha256sum composition.toml > composition.toml.sha256)
  '';
  source = name: path: { inherit name; source = builtins.path { inherit name path; }; };
  onboard = source "gps_denied_onboard" ../src/gps_denied_onboard;
  operatorPackage = source "gps_denied_operator" ../src/gps_denied_operator;

  companion = files "companion" [ onboard ];
  operator = files "operator" [ onboard operatorPackage ];

  contents = image: tree: kit.run "${image}-contents" {
    inherit tree;
    check = ./contents.sh;
    forbidden = ../images + "/${image}/forbidden.txt";
  } ''
    sh "$check" "$tree" "$forbidden"
    echo "$tree" > "$out"
  '';
in {
  inherit companion operator;
  companionContents = contents "companion" companion;
  operatorContents = contents "operator" operator;

  # The operator's files, judged by the companion's list, must be refused: a check that refuses nothing proves nothing.
  contentsCheckBites = kit.run "contents-check-bites" {
    tree = operator;
    check = ./contents.sh;
    forbidden = ../images/companion/forbidden.txt;
  } ''
    if sh "$check" "$tree" "$forbidden" > refused; then
      echo "the operator's files passed the companion's list"
      exit 1
    fi
    tail -n 1 refused
    echo refused > "$out"
  '';
}
