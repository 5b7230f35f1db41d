import type { Fault } from "../../components/shared/faults.ts";
import type { Declared } from "./declared.ts";
import { type FoundDisk, foundDisks } from "./fields.ts";

type Raw = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value);
const records = (value: unknown): readonly Raw[] => (Array.isArray(value) ? value.filter(isRecord) : []);

/** Disks by slot as a guest's inputs declare them. */
function declaredDisks({ type, inputs }: Pick<Declared, "type" | "inputs">): Map<string, Raw> {
  if (type.endsWith(":ContainerLegacy")) return new Map(isRecord(inputs["disk"]) ? [["rootfs", inputs["disk"]]] : []);
  const disks = records(inputs["disks"]).map((disk): [string, Raw] => [String(disk["interface"]), disk]);
  if (isRecord(inputs["efiDisk"])) disks.push(["efidisk0", inputs["efiDisk"]]);
  return new Map(disks);
}

/**
 * Why an object cannot be taken over without losing something: the provider would delete a disk that is not declared
 * (bpg 0.111.1 `vmUpdate`), move or grow one of a running guest (refused, for it would restart it), shrink one (refused by Proxmox), or replace the whole object (its `ForceNew` fields). Pure.
 */
export function adoptionHazards(
  declared: Pick<Declared, "type" | "inputs" | "object">,
  found: {
    readonly guestType?: "qemu" | "lxc" | undefined;
    readonly running?: boolean | undefined;
    readonly config: Raw;
  },
): Fault[] {
  const { kind, id } = declared.object;
  const faults: Fault[] = [];
  const add = (field: string, value: string, limit: string, fix: string): void => {
    faults.push({ property: `${kind} ${id}${field === "" ? "" : `: ${field}`}`, value, limit, fix });
  };
  if (kind === "storage") {
    const pool = String(found.config["pool"] ?? "");
    if (pool !== declared.inputs["zfsPool"])
      add("pool", pool || "none", String(declared.inputs["zfsPool"]), "Set storage.pool and storage.dataset to it.");
  }
  if (kind !== "guest") return faults;
  const isContainer = declared.type.endsWith(":ContainerLegacy");
  if ((found.guestType === "lxc") !== isContainer) {
    const name = (container: boolean): string => (container ? "a container" : "a VM");
    add("", name(!isContainer), name(isContainer), "Move the other guest to another id.");
    return faults;
  }
  const wanted = declaredDisks(declared);
  for (const disk of foundDisks(found.config)) {
    const each = wanted.get(disk.slot);
    if (each === undefined)
      add(
        disk.slot,
        `a disk (${disk.volume}) that is not declared: hive up would delete it`,
        [...wanted.keys()].join(", "),
        `Detach it (${isContainer ? "pct" : "qm"} set ${id} --delete ${disk.slot}), or move its data to a declared disk.`,
      );
    else judgeDisk(disk, each);
  }
  if (isContainer && String(found.config["unprivileged"] ?? "0") !== (declared.inputs["unprivileged"] ? "1" : "0"))
    add(
      "unprivileged",
      String(found.config["unprivileged"] ?? "0"),
      declared.inputs["unprivileged"] ? "1" : "0",
      "It cannot be changed in place: back the container up and restore it so.",
    );
  return faults;

  function judgeDisk(disk: FoundDisk, each: Raw): void {
    const size = each["size"];
    if (disk.sizeGiB !== undefined && typeof size === "number" && disk.sizeGiB > size)
      add(
        disk.slot,
        `${String(disk.sizeGiB)} GiB`,
        `at most the declared ${String(size)} GiB: a disk never shrinks`,
        `pulumi config set --path 'hive:machines["${id}"].diskGiB' ${String(Math.ceil(disk.sizeGiB))}`,
      );
    else if (!isContainer && found.running === true && typeof size === "number" && disk.sizeGiB !== size)
      add(
        disk.slot,
        `${String(disk.sizeGiB ?? "an unknown number of")} GiB, and the guest runs`,
        `the declared ${String(size)} GiB: the provider grows no disk of a running guest`,
        `On the host, while it runs: qm disk resize ${id} ${disk.slot} ${String(size)}G. Or declare its size: pulumi config set --path 'hive:machines["${id}"].diskGiB' ${String(Math.ceil(disk.sizeGiB ?? size))}`,
      );
    const storage = each["datastoreId"];
    if (typeof storage !== "string" || storage === disk.storage) return;
    if (!isContainer && found.running === true)
      add(
        disk.slot,
        `on ${disk.storage}, and the guest runs`,
        `on ${storage}: the provider moves no disk of a running guest`,
        `Move it while it runs, on the host: qm disk move ${id} ${disk.slot} ${storage} --delete 1 (make the storage ${storage} there first, and adopt it too). Or shut the guest down until hive up has moved it.`,
      );
    if (isContainer)
      add(
        disk.slot,
        `on ${disk.storage}`,
        `on ${storage}: another storage would replace the container`,
        `On the host: pct move-volume ${id} rootfs ${storage} --delete 1`,
      );
  }
}
