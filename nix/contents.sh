#!/bin/sh
# contents.sh TREE LIST: refuse a tree that holds what LIST forbids, and name each offence.
# A line of LIST is `path GLOB` (a file's path below TREE) or `import MODULE` (in a Python file, with its submodules).
set -eu
tree=$1
list=$2
offences=0
rules=0
start='^([^#]*;)?[[:space:]]*' # where a statement can begin
offend() {
  echo "forbidden by '$1': $2"
  offences=$((offences + 1))
}
[ -n "$(find "$tree" -type f -name '*.py' | head -n 1)" ] || { echo "no Python file under $tree: nothing was checked"; exit 1; }
while read -r kind what rest; do
  case $kind in
    '' | '#'*) continue ;;
    path) found=$(cd "$tree" && find . -path "./$what") ;;
    import)
      module=$(echo "$what" | sed 's/\./\\./g')
      parent=$(echo "${what%.*}" | sed 's/\./\\./g')
      child=${what##*.}
      pattern="${start}(import|from)[[:space:]]+([A-Za-z0-9_.]+,[[:space:]]*)*$module([.,;[:space:]]|\$)"
      [ "$what" = "$child" ] || pattern="$pattern|${start}from[[:space:]]+${parent}[[:space:]]+import[[:space:]].*\\b$child\\b"
      found=$(cd "$tree" && find . -name '*.py' -exec grep -lE "$pattern" {} + || true)
      ;;
    *) echo "$list: '$kind' is neither 'path' nor 'import'"; exit 1 ;;
  esac
  [ -z "$rest" ] || { echo "$list: too many words after '$kind $what'"; exit 1; }
  rules=$((rules + 1))
  for file in $found; do offend "$kind $what" "$file"; done
done <"$list"
echo "$rules rules, $offences offences"
[ "$rules" -gt 0 ] && [ "$offences" = 0 ]
