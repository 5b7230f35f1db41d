import type { Fault } from "./faults.ts";
import type { GenesisSettings, ImageSource } from "./genesisSettings.ts";
import { checkForm, checkWhole, dnsLabel, fault } from "./check.ts";
import { parseIpv4 } from "./ipv4.ts";
import { checkPublicKeys, publicKey } from "./publicKeys.ts";

/** Host and port of an API endpoint such as `https://192.168.1.10:8006/`; undefined when it is none. */
export function endpointParts(endpoint: string): { readonly host: string; readonly port: number } | undefined {
  const url = URL.parse(endpoint);
  if (url === null || url.protocol !== "https:" || url.username !== "" || url.password !== "") return undefined;
  if (!["", "/"].includes(url.pathname) || url.search !== "" || url.hash !== "") return undefined;
  const port = Number(url.port === "" ? "443" : url.port);
  return port === 0 || !isHost(url.hostname) ? undefined : { host: url.hostname, port };
}

/** An IPv4 address or a DNS name. */
function isHost(text: string): boolean {
  if (/^[\d.]+$/.test(text)) return parseIpv4(text) !== undefined;
  return (
    text.length <= 253 &&
    text
      .toLowerCase()
      .split(".")
      .every((label) => dnsLabel.test(label))
  );
}

function checkAccess({ endpoint, nodeName, ssh, agentTimeoutSec }: GenesisSettings): Fault[] {
  const faults: Fault[] = [];
  if (endpointParts(endpoint) === undefined) {
    const limit = "an https URL without user, path or query, such as https://192.168.1.10:8006/";
    faults.push(fault("endpoint", endpoint, limit, "Write the address of the Proxmox web interface."));
  }
  faults.push(
    ...checkForm(
      "nodeName",
      nodeName,
      dnsLabel,
      "a DNS label, the node's name in the Proxmox tree",
      "Run `hostname` on the host.",
    ),
    ...checkForm(
      "ssh.user",
      ssh.user,
      /^[a-z_][a-z0-9_-]{0,31}$/,
      "a Unix user name; the root-only steps need root",
      "Use root, or a user with the same rights.",
    ),
    ...checkWhole("agentTimeoutSec", agentTimeoutSec, 10, 900, "seconds", "180 suits a first boot with cloud-init."),
  );
  if (!isHost(ssh.host))
    faults.push(fault("ssh.host", ssh.host, "an IPv4 address or a DNS name", "Write the host's address."));
  if (ssh.hostKey !== undefined) {
    const limit = "a public host key, such as ssh-ed25519 AAAA…";
    faults.push(
      ...checkForm(
        "ssh.hostKey",
        ssh.hostKey,
        publicKey,
        limit,
        "Run `ssh-keyscan -t ed25519 HOST` and compare it on the host.",
      ),
    );
  }
  return faults;
}

function checkAdmin({ admin }: GenesisSettings): Fault[] {
  const faults = checkForm(
    "admin.user",
    admin.user,
    /^[a-z_][a-z0-9_-]{0,31}$/,
    "a Unix user name of 1 to 32 characters",
    "Choose another login.",
  );
  if (admin.user === "root") {
    faults.push(
      fault("admin.user", admin.user, "a login other than root", "Choose a login of your own; it may use sudo."),
    );
  }
  faults.push(...checkPublicKeys("admin.publicKeys", admin.publicKeys, 1));
  return faults;
}

function checkStorage({ storage }: GenesisSettings): Fault[] {
  const zfs = /^[A-Za-z][A-Za-z0-9_.:-]{0,62}$/;
  const id = /^[A-Za-z][A-Za-z0-9_.-]{0,61}[A-Za-z0-9]$/;
  const faults = [
    ...checkForm("storage.pool", storage.pool, zfs, "a ZFS pool name", "Run `zpool list` on the host."),
    ...checkForm(
      "storage.id",
      storage.id,
      id,
      "a Proxmox storage id: a letter, then letters, digits, -, _ and .",
      "Choose another id.",
    ),
    ...checkForm(
      "storage.files",
      storage.files,
      id,
      "a Proxmox storage id: a letter, then letters, digits, -, _ and .",
      "Run `pvesm status` on the host.",
    ),
  ];
  if (storage.dataset.length > 200 || !storage.dataset.split("/").every((part) => zfs.test(part))) {
    faults.push(
      fault(
        "storage.dataset",
        storage.dataset,
        "a dataset name below the pool, such as hive",
        "Leave out the pool and leading slashes.",
      ),
    );
  }
  if (storage.id === storage.files) {
    faults.push(
      fault("storage.id", storage.id, "another storage than storage.files, which is adopted", "Choose another id."),
    );
  }
  return faults;
}

function checkImage(path: string, image: ImageSource, template: boolean): Fault[] {
  const url = URL.parse(image.url);
  const sound = (url?.protocol === "https:" || url?.protocol === "http:") && url.username === "" && url.password === "";
  const faults = sound
    ? []
    : [fault(`${path}.url`, image.url, "an http or https URL without user", "Copy the image's address.")];
  // Proxmox tells the kind of a file by its ending: disks to import, and container templates.
  const form = template
    ? /^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}\.tar\.(?:gz|xz|zst)$/
    : /^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}\.(?:qcow2|raw)$/;
  const ending = template ? ".tar.gz, .tar.xz or .tar.zst" : ".qcow2 or .raw";
  const limit = `a file name of letters, digits, -, _ and . that ends in ${ending}`;
  faults.push(
    ...checkForm(`${path}.fileName`, image.fileName, form, limit, "Name the file as Proxmox should store it."),
  );
  if (image.sha256 !== undefined) {
    faults.push(
      ...checkForm(
        `${path}.sha256`,
        image.sha256,
        /^[0-9a-f]{64}$/,
        "64 hexadecimal digits",
        "Copy it from the publisher's SHA256SUMS.",
      ),
    );
  }
  if (image.sha512 !== undefined) {
    faults.push(
      ...checkForm(
        `${path}.sha512`,
        image.sha512,
        /^[0-9a-f]{128}$/,
        "128 hexadecimal digits",
        "Copy it from the publisher's SHA512SUMS.",
      ),
    );
  }
  return faults;
}

function checkImages({ images }: GenesisSettings): Fault[] {
  const faults = (["ubuntu", "debian", "alpine"] as const).flatMap((name) =>
    checkImage(`images.${name}`, images[name], name === "alpine"),
  );
  if (images.windowsIso === undefined) return faults;
  const iso = /^[A-Za-z][\w.-]*:iso\/[\w.+ -]+\.iso$/i;
  const limit = "an ISO volume, such as local:iso/win10-ltsc.iso";
  const fix = "Run `pvesm list local --content iso`.";
  return [...faults, ...checkForm("images.windowsIso", images.windowsIso, iso, limit, fix)];
}

/** Faults of the settings that no planner computes with: access, admin, storage and images. */
export function checkSettings(settings: GenesisSettings): readonly Fault[] {
  return [checkAccess, checkAdmin, checkStorage, checkImages].flatMap((check) => check(settings));
}
