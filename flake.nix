{
  description = "gps-denied-onboard: an index; the logic is in nix/ and images/";

  # No inputs: see _docs/decisions/0001-no-nixpkgs.md. A registry file that does not exist is an empty registry.
  nixConfig.flake-registry = "/no-registry";

  outputs = { self }:
    let
      system = "x86_64-linux";
      kit = import ./nix/kit.nix { inherit system; };
      images = import ./nix/images.nix { inherit kit; };
      release = import ./nix/release.nix { inherit kit images; };
      checks = import ./nix/checks.nix { inherit kit images release; };
    in {
      packages.${system} = images.packages // release.packages // { inherit (checks) prefetch-list; };
      checks.${system} = checks.all;
      apps.${system} = images.apps;
      devShells.${system}.default = import ./nix/shell.nix { inherit kit images; };
    };
}
