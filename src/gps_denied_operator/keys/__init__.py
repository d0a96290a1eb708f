"""Keys that manifests are signed with."""
