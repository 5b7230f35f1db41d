// Package provider maps the Proxmox provider of bpg (Terraform) to the Pulumi package "proxmoxve",
// with the tokens that the npm package @muhlba91/pulumi-proxmoxve asks for.
package provider

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"unicode"

	"github.com/bpg/terraform-provider-proxmox/fwprovider"
	"github.com/bpg/terraform-provider-proxmox/proxmoxtf/provider"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/info"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	sdkv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Name is the Pulumi package's name.
const Name = "proxmoxve"

// Version is the npm package's version whose tokens are served here.
const Version = "8.6.0"

const (
	prefix       = "proxmox_"
	legacyPrefix = "proxmox_virtual_environment_"
)

// Written by the schema program before the plugin is built; empty in the source tree.
//
//go:embed bridge-metadata.json
var metadata []byte

// token splits a Terraform name into a Pulumi module and a type name:
// "proxmox_network_linux_bridge" is ("network/linux", "Bridge"), and the older
// "proxmox_virtual_environment_vm" is ("index", "VmLegacy").
func token(terraformName string) (module, name string) {
	rest, legacy := strings.CutPrefix(terraformName, legacyPrefix)
	if !legacy {
		rest = strings.TrimPrefix(terraformName, prefix)
	}
	words := strings.Split(rest, "_")
	last := words[len(words)-1]
	name = string(unicode.ToUpper(rune(last[0]))) + last[1:]
	if legacy {
		name += "Legacy"
	}
	if len(words) == 1 {
		return "index", name
	}
	return strings.Join(words[:len(words)-1], "/"), name
}

func strategy() tfbridge.Strategy {
	return tfbridge.Strategy{
		Resource: func(terraformName string, r *info.Resource) error {
			if r.Tok == "" {
				module, name := token(terraformName)
				r.Tok = tfbridge.MakeResource(Name, module, name)
			}
			return nil
		},
		DataSource: func(terraformName string, d *info.DataSource) error {
			if d.Tok == "" {
				module, name := token(terraformName)
				d.Tok = tfbridge.MakeDataSource(Name, module, "get"+name)
			}
			return nil
		},
	}
}

// renamed are the properties whose Terraform names the npm package does not use: an "id" that a
// person gives is `resourceId`, for Pulumi keeps `id` for its own.
func renamed(p shim.Provider) map[string]*info.Resource {
	out := map[string]*info.Resource{}
	p.ResourcesMap().Range(func(terraformName string, r shim.Resource) bool {
		id, ok := r.Schema().GetOk("id")
		if !ok {
			return true
		}
		if id.Required() || (id.Optional() && id.Computed()) || id.Optional() {
			out[terraformName] = &info.Resource{
				Fields:    map[string]*info.Schema{"id": {Name: "resourceId", Type: "string"}},
				ComputeID: resourceID,
			}
		} else if id.Type() != shim.TypeString {
			out[terraformName] = &info.Resource{
				Fields:    map[string]*info.Schema{"id": {Type: "string"}},
				ComputeID: resourceID,
			}
		}
		return true
	})
	return out
}

func resourceID(_ context.Context, state resource.PropertyMap) (resource.ID, error) {
	for _, key := range []resource.PropertyKey{"resourceId", "id"} {
		value, ok := state[key]
		for ok && value.IsSecret() {
			value = value.SecretValue().Element
		}
		switch {
		case !ok:
		case value.IsString():
			return resource.ID(value.StringValue()), nil
		case value.IsNumber():
			return resource.ID(fmt.Sprintf("%.0f", value.NumberValue())), nil
		}
	}
	return "", fmt.Errorf("the provider gave the resource no id")
}

// Info describes the bridged provider.
func Info() info.Provider {
	p := pfbridge.MuxShimWithPF(
		context.Background(),
		sdkv2.NewProvider(provider.ProxmoxVirtualEnvironment()),
		fwprovider.New(Version)(),
	)
	result := info.Provider{
		P:              p,
		Name:           Name,
		Version:        Version,
		ResourcePrefix: "proxmox",
		Homepage:       "https://github.com/bpg/terraform-provider-proxmox",
		Repository:     "https://github.com/bpg/terraform-provider-proxmox",
		License:        "MPL-2.0",
		GitHubOrg:      "bpg",
		MetadataInfo:   info.NewProviderMetadata(metadata),
		Resources:      renamed(p),
		JavaScript:     &info.JavaScript{PackageName: "@muhlba91/pulumi-proxmoxve"},
	}
	result.MustComputeTokens(strategy())
	result.MustApplyAutoAliases()
	return result
}
