// What systemctl in a guest and the guest's supervisor say to each other: one line of JSON each way on a Unix socket.

/** In the guest; gone with each boot, as all of /run. */
export const socketPath = "/run/systemd/lab-init.sock";

/** The lab leaves it where a boot has units to start; the first supervisor takes it away. */
export const bootMark = "/run/systemd/lab-boot";

export type Request =
  | {
      readonly op: "start" | "stop" | "restart" | "try-restart" | "reload" | "reset-failed";
      readonly units: readonly string[];
      /** Answer when it is done; else when it is taken up. */
      readonly wait: boolean;
    }
  | {
      readonly op: "kill";
      readonly units: readonly string[];
      readonly signal: string;
      readonly whom: "all" | "main";
    }
  | { readonly op: "daemon-reload" }
  | { readonly op: "show"; readonly units: readonly string[] }
  | { readonly op: "list" };

export interface Failure {
  readonly unit: string;
  readonly message: string;
  readonly status: number;
}

export interface Answer {
  readonly failures: readonly Failure[];
  /** Properties by name, as `systemctl show` prints them, for each unit that was asked for. */
  readonly units: readonly Readonly<Record<string, string>>[];
}
