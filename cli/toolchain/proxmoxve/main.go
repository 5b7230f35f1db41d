// Command pulumi-resource-proxmoxve is the Pulumi plugin that serves bpg's Proxmox provider.
package main

import (
	"context"
	_ "embed"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"

	"hive.local/pulumi-resource-proxmoxve/provider"
)

// Written by the schema program before the plugin is built; empty in the source tree.
//
//go:embed schema.json
var schema []byte

func main() {
	tfbridge.MainWithMuxer(context.Background(), provider.Name, provider.Info(), schema)
}
