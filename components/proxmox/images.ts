import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import * as pulumi from "@pulumi/pulumi";
import type { ImageSource } from "../shared/genesisSettings.ts";
import { guestAgentVendorData } from "./cloudInit.ts";

/** Arguments of {@link Images}. */
export interface ImagesArgs {
  readonly nodeName: string;
  /** Existing directory storage that allows `import`, `vztmpl` and `snippets`. */
  readonly storageId: string;
  readonly ubuntu: ImageSource;
  readonly debian: ImageSource;
  readonly alpine: ImageSource;
}

/**
 * Disk images, container template and first-boot snippet, fetched by the host itself. Their file names begin with
 * `hive-<stack>-`, for files carry no description: that name is how a later run knows them as ours.
 */
export class Images extends pulumi.ComponentResource {
  /** Volume id of each image, known once it is there. */
  readonly volumes: Readonly<Record<"ubuntu" | "debian" | "alpine", pulumi.Output<string>>>;
  /** Volume id of the snippet that installs the guest agent. */
  readonly vendorData: pulumi.Output<string>;

  constructor(name: string, args: ImagesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("hive:index:Images", name, args, opts);
    const prefix = `hive-${pulumi.getStack()}`;
    const fetch = (os: "ubuntu" | "debian" | "alpine", contentType: "import" | "vztmpl"): pulumi.Output<string> => {
      const source = args[os];
      return new proxmox.download.File(
        `${name}-${os}`,
        {
          nodeName: args.nodeName,
          datastoreId: args.storageId,
          contentType,
          url: source.url,
          fileName: `${prefix}-${source.fileName}`,
          ...(source.sha512 === undefined ? {} : { checksum: source.sha512, checksumAlgorithm: "sha512" }),
          ...(source.sha256 === undefined ? {} : { checksum: source.sha256, checksumAlgorithm: "sha256" }),
          // A new upstream build under the same address must not replace what guests were made from.
          overwrite: false,
          // The name is ours: what an interrupted download left under it is fetched again.
          overwriteUnmanaged: true,
        },
        { parent: this },
      ).id;
    };
    this.volumes = {
      ubuntu: fetch("ubuntu", "import"),
      debian: fetch("debian", "import"),
      alpine: fetch("alpine", "vztmpl"),
    };
    this.vendorData = new proxmox.FileLegacy(
      `${name}-agent`,
      {
        nodeName: args.nodeName,
        datastoreId: args.storageId,
        contentType: "snippets",
        sourceRaw: { fileName: `${prefix}-guest-agent.yaml`, data: guestAgentVendorData },
      },
      { parent: this },
    ).id;
    this.registerOutputs({ volumes: this.volumes, vendorData: this.vendorData });
  }
}
