# What is handed out with the companion image: bills of materials, and the folder that images/sign signs.
{ kit, images }:
let
  inherit (kit) run;
  sets = kind: map (name: { inherit kind name; });
in rec {
  companionSets = sets "debs" [ "companion" ] ++ sets "wheels" [ "companion" ];
  operatorSets = sets "debs" [ "seed" "python" "postgresql" "operator" ] ++ sets "wheels" [ "operator" ];

  sbom = image: imageSets: run "sbom-${image}.json" {
    inherit (images) develop;
    pins = ./pins;
    files = builtins.concatMap (set: kit.pinned set.kind set.name) imageSets;
    script = ./sbom.py;
  } ''
    "$develop/bin/python3" "$script" make --image "${image}" --pins "$pins" --out "$out" $files
  '';

  packages = rec {
    sbom-companion = sbom "companion" companionSets;
    sbom-operator = sbom "operator" operatorSets;
    release = run "release" {
      inherit (images) companionRootfs companionImage;
      composition = images.composition "companion";
      bill = sbom-companion;
    } ''
      mkdir "$out"
      ln -s "$companionImage/companion.img" "$companionImage/companion.efi" "$companionRootfs/root.img" \
        "$composition/composition.toml" "$out/"
      ln -s "$bill" "$out/sbom.json"
      for file in "$out"/*; do [ -s "$file" ]; done
    '';
  };
}
