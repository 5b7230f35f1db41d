/**
 * What an unfinished task will do. A task's whole effect is one pure transition made when its time comes, so a
 * task that is cut short has changed nothing but the lock it holds and, for a creation, the reserved id.
 */
export type TaskWork =
  | { kind: "none" }
  | {
      kind: "qemu-create";
      vmid: number;
      params: Record<string, string>;
      pool?: string;
      start: boolean;
      storage?: string;
    }
  | { kind: "qemu-config"; vmid: number; params: Record<string, string>; remove: string[]; force: boolean }
  | { kind: "lxc-create"; vmid: number; params: Record<string, string>; pool?: string; start: boolean; storage: string }
  | { kind: "guest-destroy"; vmid: number; unreferenced: boolean; purge: boolean }
  | { kind: "guest-start"; vmid: number }
  | { kind: "guest-stop"; vmid: number; why: "stop" | "shutdown" }
  | { kind: "guest-reboot"; vmid: number }
  | { kind: "guest-pause"; vmid: number; paused: boolean }
  | { kind: "qemu-reset"; vmid: number }
  | { kind: "guest-resize"; vmid: number; disk: string; sizeBytes: number }
  | { kind: "guest-template"; vmid: number; disk?: string }
  | {
      kind: "guest-clone";
      vmid: number;
      newid: number;
      name?: string;
      description?: string;
      full: boolean;
      storage?: string;
      pool?: string;
    }
  | { kind: "qemu-move-disk"; vmid: number; disk: string; storage: string; remove: boolean }
  | { kind: "snapshot-create"; vmid: number; name: string; description: string; vmstate: boolean }
  | { kind: "snapshot-delete"; vmid: number; name: string }
  | { kind: "snapshot-rollback"; vmid: number; name: string }
  | {
      kind: "download";
      volid: string;
      storage: string;
      content: string;
      format: string;
      sizeBytes: number;
      checksum?: { algorithm: string; value: string };
    }
  | { kind: "volume-delete"; volid: string }
  | { kind: "network-reload" }
  | { kind: "zpool-create"; name: string; raid: string; devices: string[]; addStorage: boolean };
