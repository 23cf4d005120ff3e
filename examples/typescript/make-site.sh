#!/bin/sh
# Makes a page of every note, and a list of all: make-site.sh NOTES SITE
set -eu
mkdir -p "$2"
for note in "$1"/*.txt; do
  name=$(basename "$note" .txt)
  printf '<h1>%s</h1>\n<pre>%s</pre>\n' "$name" "$(cat "$note")" > "$2/$name.html"
  printf '<li><a href="%s.html">%s</a></li>\n' "$name" "$name"
done > "$2/index.html"
printf '<p>version %s</p>\n' "$VERSION" >> "$2/index.html"
