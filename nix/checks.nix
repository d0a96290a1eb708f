{ kit, images }: { prefetch-list = builtins.toFile "prefetch-list" ""; all = { }; }
