// Command schema writes the Pulumi schema and the bridge's metadata: `schema schema --out DIR`.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"

	"hive.local/pulumi-resource-proxmoxve/provider"
)

func main() {
	tfgen.MainWithMuxer(provider.Name, provider.Info())
}
