# `nix develop`: the images' own Python, compiler, linters and PostgreSQL, over the checkout's src.
{ kit, images }:
derivation {
  name = "develop-shell";
  inherit (kit) system;
  outputs = [ "out" ]; # `nix develop` loops over them
  builder = "${kit.python}/bin/bash";
  args = [ "-c" "echo; export > $out" ];
  PATH = builtins.concatStringsSep ":" [
    "${images.develop}/bin" "${images.zigCompiler}/bin" "${images.postgresql}/usr/lib/postgresql/15/bin" "${kit.python}/bin"
  ];
  inherit (images) develop nativeHost;
  shellHook = ''
    export BIN=$develop/bin SHELL=${kit.python}/bin/bash CXX=c++ GPS_DENIED_SHELL=1
    export PYTHONPATH=$PWD/src''${PYTHONPATH:+:$PYTHONPATH} SSL_CERT_FILE=${kit.python}/etc/ssl/certs/ca-certificates.crt
    if [ -d src/gps_denied_onboard ] && ! ls src/gps_denied_onboard/_native.*.so >/dev/null 2>&1; then
      cp "$nativeHost"/_native.* src/gps_denied_onboard/
    fi
    PS1='(gps-denied) \w\$ '
  '';
}
