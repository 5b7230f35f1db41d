#!/bin/sh
# Builds the plugin into $1, working in a copy of this folder so that the tree stays as it is.
# Two stages: the bridge writes its schema and metadata, then the plugin embeds both.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$here/." "$work"
cd "$work"
export CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath"
go run -v ./schema schema --skip-docs --skip-examples --out "$work/generated"
cp "$work/generated/schema.json" "$work/schema.json"
cp "$work/bridge-metadata.json" "$work/provider/bridge-metadata.json" 2>/dev/null ||
  cp "$work/generated/bridge-metadata.json" "$work/provider/bridge-metadata.json"
go build -v -ldflags "-s -w" -o "$out" .
