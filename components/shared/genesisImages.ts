import type { ImageSettings, ImageSource } from "./genesisSettings.ts";
import type { RawReader } from "./rawReader.ts";

/**
 * Dated releases, which their publishers do not change. Publishers remove old ones after a time: then name a newer
 * one in the configuration, with its checksum. Ubuntu's `.img` is a qcow2 file, and Proxmox imports by that ending.
 */
const defaults = {
  ubuntu: {
    url: "https://cloud-images.ubuntu.com/releases/24.04/release-20251001/ubuntu-24.04-server-cloudimg-amd64.img",
    fileName: "ubuntu-24.04-server-cloudimg-amd64-20251001.qcow2",
  },
  debian: {
    url: "https://cloud.debian.org/images/cloud/trixie/20251117-2299/debian-13-genericcloud-amd64-20251117-2299.qcow2",
    fileName: "debian-13-genericcloud-amd64-20251117-2299.qcow2",
  },
  alpine: {
    url: "https://download.proxmox.com/images/system/alpine-3.22-default_20250617_amd64.tar.xz",
    fileName: "alpine-3.22-default_20250617_amd64.tar.xz",
  },
} as const;

function readImage(reader: RawReader, missing: ImageSource): ImageSource {
  const image = {
    url: reader.text("url", missing.url),
    fileName: reader.text("fileName", missing.fileName),
    sha256: reader.optionalText("sha256"),
    sha512: reader.optionalText("sha512"),
  };
  if (reader.has("url") && !reader.has("fileName")) {
    // The default name carries the default release: another image under it would be a lie.
    reader.note(
      "fileName",
      undefined,
      "a file name beside a URL of your own",
      "Name the file, with its release in the name.",
    );
  }
  reader.finish();
  return image;
}

/** The images of the configuration, defaults filled in. */
export function genesisImages(reader: RawReader): ImageSettings {
  const images = {
    ubuntu: readImage(reader.object("ubuntu"), defaults.ubuntu),
    debian: readImage(reader.object("debian"), defaults.debian),
    alpine: readImage(reader.object("alpine"), defaults.alpine),
    windowsIso: reader.optionalText("windowsIso"),
  };
  reader.finish();
  return images;
}
