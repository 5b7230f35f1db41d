import type { ConfigValue } from "./labConfig.ts";

/** How the Proxmox host is reached. */
export interface HostConnection {
  readonly endpoint: string;
  readonly apiToken: string;
  readonly insecure: boolean;
  /** PEM of the authority that signed the API's certificate. */
  readonly caCertificate?: string | undefined;
  readonly nodeName: string;
  readonly ssh: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly privateKey: string;
    readonly hostKey?: string | undefined;
  };
}

/** Where a command works. */
export interface Target {
  readonly kind: "lab" | "real";
  readonly project: string;
  readonly stack: string;
  /** Folder with `Pulumi.yaml` and the stack's settings. */
  readonly workDir: string;
  /** Whole environment of the engine, without the toolchain's part. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder of a `file://` backend; absent for any other. */
  readonly backendFolder?: string | undefined;
  /** Plain values and secrets to write before a run; absent when the user keeps the settings (real). */
  readonly write?:
    | {
        readonly plain: Readonly<Record<string, ConfigValue>>;
        readonly secrets: Readonly<Record<string, string>>;
        /** Keys that the settings keep as they are, encrypted: nobody but the engine has their values. */
        readonly kept?: readonly string[] | undefined;
        /** Remembers which secrets the settings hold already. */
        readonly digestFile: string;
        readonly digestKey: string;
      }
    | undefined;
  /** Known before the engine runs on the lab; read from the stack's configuration on a real host. */
  readonly host?: HostConnection | undefined;
}
