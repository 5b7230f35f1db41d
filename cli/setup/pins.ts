// The versions that everything must agree on, read from the installed packages: one place to change them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "./paths.ts";

function packageVersion(name: string): string {
  const file = join(projectRoot, "node_modules", name, "package.json");
  const content: unknown = JSON.parse(readFileSync(file, "utf8"));
  if (typeof content === "object" && content !== null && "version" in content && typeof content.version === "string")
    return content.version;
  throw new Error(`${file} names no version. Repair it: npm ci`);
}

export interface Pins {
  /** Version of the engine: that of the SDK. */
  readonly engine: string;
  readonly proxmoxve: string;
  readonly command: string;
  readonly aws: string;
}

export function readPins(): Pins {
  return {
    engine: packageVersion("@pulumi/pulumi"),
    proxmoxve: packageVersion("@muhlba91/pulumi-proxmoxve"),
    command: packageVersion("@pulumi/command"),
    aws: packageVersion("@pulumi/aws"),
  };
}

/** The Node that runs our TypeScript: the npm package's, else the one running this. */
export const nodeFile: string = process.execPath;

/** Version of the Node language host on the Go module proxy: the newest there that is a module of its own path. */
export const languageHostVersion = "3.68.0";

export interface ClusterPins {
  readonly etcd: string;
  readonly kubernetes: string;
  readonly kwok: string;
  readonly helm: string;
}

/** What the Go module of the control plane names: the versions, without their `v`, that its build stamps and tests expect. */
export function readClusterPins(): ClusterPins {
  const file = join(projectRoot, "cli", "toolchain", "cluster", "go.mod");
  const content = readFileSync(file, "utf8");
  const versionOf = (module: string): string => {
    const line = content.split("\n").find((text) => text.startsWith(`\t${module} v`));
    const version = line?.split(/\s+/)[2]?.slice(1);
    if (version === undefined) throw new Error(`${file} names no version of ${module}. Restore it from git.`);
    return version;
  };
  return {
    etcd: versionOf("go.etcd.io/etcd/server/v3"),
    kubernetes: versionOf("k8s.io/kubernetes"),
    kwok: versionOf("sigs.k8s.io/kwok"),
    helm: versionOf("helm.sh/helm/v3"),
  };
}
