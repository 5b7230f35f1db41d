#!/bin/sh
# Builds the three programs into $1/bin with the linker's flags $2, and puts beside them, in $1/stages, those stages by
# which kwok plays a kubelet that the lab takes as they are: they belong to its version.
set -eu
out=$1
flags=$2
cd "$(dirname "$0")"
go build -v -ldflags "$flags" -o "$out/bin/" . sigs.k8s.io/kwok/cmd/kwok helm.sh/helm/v3/cmd/helm
stages=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
mkdir "$out/stages"
cp "$stages/node/fast/node-initialize.yaml" \
  "$stages/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml" \
  "$stages/pod/fast/pod-ready.yaml" \
  "$out/stages"
# The module cache is read-only; the artifact is not.
chmod u+w "$out/stages"/*
