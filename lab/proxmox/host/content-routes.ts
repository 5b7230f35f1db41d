/**
 * What storages hold. Downloads are simulated: the file appears with a size derived from its address and with the
 * checksum given; the lab never contacts the network. Files written under a directory storage on the lab's host root
 * (snippets, over SFTP) are listed too. Sources: pve-storage src/PVE/API2/Storage/{Content,Status}.pm.
 */
import { createHash } from "node:crypto";
import { allowed, need, needAny } from "../access/permissions.ts";
import { isRoot } from "../access/identity.ts";
import { die, paramError } from "../core/errors.ts";
import type { Context, Route } from "../core/router.ts";
import type { LabState, StorageConfig, Volume } from "../core/state.ts";
import { referencedVolumes } from "../guests/drives.ts";
import { storageConfig, supports, volumePath, volumesOf } from "../guests/volumes.ts";

const CONTENT = "pve-storage@0c56bad src/PVE/API2/Storage/Content.pm";
const STATUS = "pve-storage@0c56bad src/PVE/API2/Storage/Status.pm";

const DIRECTORIES: readonly (readonly [string, string])[] = [
  ["snippets", "snippets"],
  ["iso", "template/iso"],
  ["vztmpl", "template/cache"],
  ["import", "import"],
];

/** Volumes that exist as files on the lab's host root. */
function fileVolumes(context: Context, storage: StorageConfig): Volume[] {
  const root = storage.options["path"];
  if (storage.type !== "dir" || root === undefined) return [];
  return DIRECTORIES.filter(([content]) => supports(storage, content)).flatMap(([content, directory]) =>
    context.env.hostFiles(`${root}/${directory}`).map((file) => ({
      volid: `${storage.storage}:${content}/${file.name}`,
      storage: storage.storage,
      content,
      format: formatOf(file.name, content),
      sizeBytes: file.sizeBytes,
      ctime: Math.floor(file.mtimeMs / 1000),
      bootable: content !== "snippets",
    })),
  );
}

function formatOf(name: string, content: string): string {
  if (content === "snippets") return "snippet";
  if (content === "iso") return "iso";
  const extension = /\.(qcow2|raw|vmdk|ova)$/.exec(name)?.[1];
  if (extension !== undefined) return extension;
  return /\.tar\.(gz|xz|zst)$/.exec(name)?.[1] ? `t${/\.tar\.(gz|xz|zst)$/.exec(name)?.[1] ?? "gz"}` : "raw";
}

function row(volume: Volume): Record<string, string | number> {
  const out: Record<string, string | number> = {
    volid: volume.volid,
    content: volume.content,
    format: volume.format,
    size: volume.sizeBytes,
    ctime: volume.ctime,
  };
  if (volume.vmid !== undefined) out["vmid"] = volume.vmid;
  return out;
}

function auditStorage(context: Context): StorageConfig {
  const id = context.path["storage"] ?? "";
  needAny(context.state, context.identity, `/storage/${id}`, ["Datastore.Audit", "Datastore.AllocateSpace"]);
  return storageConfig(context.state, id);
}

function volumeId(context: Context): string {
  const volume = context.path["volume"] ?? "";
  const storage = context.path["storage"] ?? "";
  if (!volume.includes(":")) return `${storage}:${volume}`;
  if (!volume.startsWith(`${storage}:`))
    paramError({ volume: `storage ID mismatch (${volume.split(":")[0] ?? ""} != ${storage})` });
  return volume;
}

function info(context: Context): unknown {
  const storage = auditStorage(context);
  const volid = volumeId(context);
  const volume = context.state.volumes[volid] ?? fileVolumes(context, storage).find((v) => v.volid === volid);
  if (!volume) die(`volume '${volid}' does not exist`);
  return { path: volumePath(storage, volume), size: volume.sizeBytes, used: volume.sizeBytes, format: volume.format };
}

function ownerOf(state: LabState, volid: string): number | undefined {
  return Object.values(state.guests).find((guest) => referencedVolumes(guest).has(volid))?.vmid;
}

function remove(context: Context): unknown {
  const { state, identity, env } = context;
  const storage = storageConfig(state, context.path["storage"] ?? "");
  const volid = volumeId(context);
  const volume = state.volumes[volid];
  const path = `/storage/${storage.storage}`;
  if (volume?.vmid !== undefined) need(state, identity, path, ["Datastore.AllocateSpace"]);
  else need(state, identity, path, ["Datastore.AllocateTemplate"]);
  if (!volume) {
    const file = fileVolumes(context, storage).find((v) => v.volid === volid);
    // A file that is gone already is what the caller wanted.
    if (file) env.removeHostFile(volumePath(storage, file));
    return context.task({ type: "imgdel", id: volid, work: { kind: "none" } });
  }
  const owner = ownerOf(state, volid);
  if (owner !== undefined && volume.content === "images")
    die(`Cannot remove image, a guest with VMID '${owner}' exists!`);
  context.event("volume-delete", { volid });
  return context.task({
    type: "imgdel",
    id: `${volume.vmid ?? ""}@${storage.storage}`,
    work: { kind: "volume-delete", volid },
  });
}

/** A size that depends on the address alone: 300 to 700 MB, so that a second look sees the same file. */
export function simulatedSize(url: string): number {
  const digest = createHash("sha256").update(url).digest();
  return 300_000_000 + (digest.readUInt32BE(0) % 400_000_000);
}

const DIGEST_LENGTH: Record<string, number> = { md5: 32, sha1: 40, sha224: 56, sha256: 64, sha384: 96, sha512: 128 };

function checkFilename(content: string, filename: string): void {
  const pattern: Record<string, RegExp> = {
    iso: /\.(iso|img)$/i,
    vztmpl: /\.(tar\.(gz|xz|zst|bz2)|tar)$/i,
    import: /\.(ova|qcow2|raw|vmdk)$/i,
  };
  const wanted = pattern[content];
  if (!wanted) paramError({ content: `upload content-type '${content}' is not allowed` });
  if (!wanted.test(filename) || /[/\s]/.test(filename)) {
    paramError({ filename: content === "import" ? "invalid filename or wrong extension" : "wrong file extension" });
  }
}

function download(context: Context): string {
  const { state, identity, params, fullStorages } = context;
  const id = context.path["storage"] ?? "";
  need(state, identity, `/storage/${id}`, ["Datastore.AllocateTemplate"]);
  needNetwork(context);
  const storage = storageConfig(state, id);
  const { content = "", filename = "", url = "" } = params;
  if (!/^https?:\/\//.test(url)) paramError({ url: "value does not match the regex pattern" });
  if (storage.type !== "dir") die(`can't upload to storage type '${storage.type}', not a file based storage!`);
  checkFilename(content, filename);
  if (!supports(storage, content)) die(`storage '${id}' is not configured for content-type '${content}'`);
  const algorithm = params["checksum-algorithm"];
  const value = params["checksum"];
  if ((algorithm === undefined) !== (value === undefined)) {
    paramError({ checksum: "missing dependency: checksum and checksum-algorithm are needed together" });
  }
  if (algorithm !== undefined && value?.length !== DIGEST_LENGTH[algorithm]) {
    paramError({ checksum: `value is no ${algorithm} digest` });
  }
  const volid = `${id}:${content}/${filename}`;
  if (state.volumes[volid]) die(`refusing to override existing file '${filename}'`);
  if (fullStorages.includes(id)) die(`not enough free space on storage '${id}'`);
  context.event("download", { volid });
  return context.task({
    type: "download",
    id: filename,
    log: [`downloading ${url.replace(/\?.*$/, "")} to ${volumePath(storage, { volid, format: "raw" })}`],
    work: {
      kind: "download",
      volid,
      storage: id,
      content,
      format: formatOf(filename, content),
      sizeBytes: simulatedSize(url),
      ...(algorithm === undefined || value === undefined ? {} : { checksum: { algorithm, value } }),
    },
  });
}

function needNetwork({ state, identity }: Context): void {
  const may = ["Sys.Audit", "Sys.Modify"].every((p) => allowed(state, identity, "/", p));
  if (!may) need(state, identity, `/nodes/${state.node.name}`, ["Sys.AccessNetwork"]);
}

function upload(context: Context): string {
  const { state, identity, params } = context;
  const id = context.path["storage"] ?? "";
  need(state, identity, `/storage/${id}`, ["Datastore.AllocateTemplate"]);
  const storage = storageConfig(state, id);
  if (storage.type !== "dir") die(`can't upload to storage type '${storage.type}'`);
  const file = context.upload ?? die("missing temporary file name");
  const content = params["content"] ?? "";
  const filename = file.filename;
  checkFilename(content, filename);
  if (!supports(storage, content)) die(`storage '${id}' does not support '${content}' content`);
  if (
    params["checksum"] !== undefined &&
    params["checksum-algorithm"] === "sha256" &&
    params["checksum"] !== file.sha256
  ) {
    die(`checksum mismatch: got '${file.sha256}' != expect '${params["checksum"]}'`);
  }
  return context.task({
    type: "imgcopy",
    work: {
      kind: "download",
      volid: `${id}:${content}/${filename}`,
      storage: id,
      content,
      format: formatOf(filename, content),
      sizeBytes: file.sizeBytes,
      checksum: { algorithm: "sha256", value: file.sha256 },
    },
  });
}

export const contentRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/nodes/{node}/storage/{storage}/content",
    params: "content vmid",
    source: `${CONTENT} (index); bpg v0.111.1 proxmox/nodes/storage/content_types.go`,
    handle: (context) => {
      const storage = auditStorage(context);
      const all = new Map(
        [...fileVolumes(context, storage), ...volumesOf(context.state, storage.storage)].map((v) => [v.volid, v]),
      );
      return [...all.values()]
        .filter((v) => context.params["content"] === undefined || v.content === context.params["content"])
        .filter((v) => context.params["vmid"] === undefined || String(v.vmid) === context.params["vmid"])
        .filter(
          (v) =>
            v.vmid === undefined ||
            isRoot(context.identity) ||
            allowed(context.state, context.identity, `/vms/${v.vmid}`, "VM.Audit"),
        )
        .map(row);
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/storage/{storage}/content/{volume}",
    params: "",
    source: `${CONTENT} (info)`,
    handle: info,
  },
  {
    method: "DELETE",
    path: "/nodes/{node}/storage/{storage}/content/{volume}",
    params: "delay",
    source: `${CONTENT} (delete)`,
    handle: remove,
  },
  {
    method: "POST",
    path: "/nodes/{node}/storage/{storage}/download-url",
    params: "url! content! filename! checksum checksum-algorithm compression verify-certificates node storage",
    source: `${STATUS} (download_url); bpg v0.111.1 proxmox/nodes/storage/download_url_types.go`,
    handle: download,
  },
  {
    method: "POST",
    path: "/nodes/{node}/storage/{storage}/upload",
    params: "content! filename tmpfilename checksum checksum-algorithm",
    source: `${STATUS} (upload)`,
    handle: upload,
  },
  {
    method: "GET",
    path: "/nodes/{node}/query-url-metadata",
    params: "url! verify-certificates",
    source:
      "pve-manager@14a22df3 PVE/API2/Nodes.pm (query_url_metadata); bpg v0.111.1 proxmox/nodes/query_url_metadata_types.go",
    handle: (context) => {
      needNetwork(context);
      const url = context.params["url"] ?? "";
      if (!/^https?:\/\//.test(url)) paramError({ url: "value does not match the regex pattern" });
      const filename = decodeURIComponent(new URL(url).pathname.split("/").pop() ?? "");
      return { filename, mimetype: "application/octet-stream", size: simulatedSize(url) };
    },
  },
];
