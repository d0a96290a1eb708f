# How a derivation is made from nothing but the pinned seed: one static busybox.
{ system }:
let
  pin = builtins.fromJSON (builtins.readFile ./pins/seed.json);

  # In the store it costs nothing; absent, the name of its builder says what to run.
  seed = derivation {
    name = "seed";
    inherit system;
    builder = "/seed-is-missing/run-nix-prefetch-first";
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = pin.sha256;
  };
in {
  # A builder script that sees busybox's applets and the given environment, and nothing of the host.
  run = name: env: script: derivation ({
    inherit name system seed;
    builder = "${seed}/bin/busybox";
    # Ends in a builtin: a last external command would replace the shell, and Nix 2.8 takes its closed log for an end.
    args = [ "sh" "-euc" ''
      "$seed/bin/busybox" mkdir "$TMPDIR/bin"
      "$seed/bin/busybox" --install -s "$TMPDIR/bin"
      export PATH="$TMPDIR/bin"
      ${script}
      exit 0
    '' ];
  } // env);
}
