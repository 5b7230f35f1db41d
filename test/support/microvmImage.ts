/**
 * The Debian guest of the tests that need a kernel of their own: a machine of QEMU, booted once and kept asleep, so that
 * a test wakes it in a second. An artifact of the set-up's cache; its files are checked against their hashes at each use.
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import ssh2 from "ssh2";
import { cachedArtifact, ensureArtifact, type ArtifactOptions, type Recipe } from "../../cli/setup/artifact.ts";
import { cacheRoot } from "../../cli/setup/paths.ts";
import { findOnPath, run } from "../../cli/setup/process.ts";
import { guestImpossible, guestTree } from "./guestTree.ts";
import { bootMicrovm, machineArgs, qemu } from "./microvm.ts";

const sbin = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

/** Debian's kernel for virtual machines: 26 MB, and its ext4 is built in. */
const kernelPackage = "linux-image-cloud-amd64";

/** In the order in which they need each other. */
const modules = [
  "drivers/virtio/virtio",
  "drivers/virtio/virtio_ring",
  "drivers/virtio/virtio_mmio",
  "drivers/block/virtio_blk",
  "net/core/failover",
  "drivers/net/net_failover",
  "drivers/net/virtio_net",
  "drivers/char/hw_random/virtio-rng",
];

/** Brings up disk and network, so that the guest needs neither udev nor a network daemon. Addresses are QEMU's own. */
const init = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
for module in ${modules.map((module) => basename(module)).join(" ")}; do $b insmod /lib/$module.ko; done
$b ip link set lo up
$b ip addr add 10.0.2.15/24 dev eth0
$b ip link set eth0 up
$b ip route add default via 10.0.2.2
$b mount -t ext4 -o rw,noatime /dev/vda /root
$b umount /proc
$b mount --move /dev /root/dev
exec $b switch_root /root /sbin/init
`;

const sshdConfig = `PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
HostKey /etc/ssh/ssh_host_ed25519_key
`;

/** Units that have nothing to do in a guest of a minute, and would do it in the midst of a test. */
const masked = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "getty.target",
  "systemd-timesyncd.service",
  "systemd-tmpfiles-clean.timer",
];

/** Makes kernel, initrd and disk of the tree in $1; apt and debootstrap have checked what they fetched by its signatures. */
const build = `set -eu
tree=$1; out=$2
cp /etc/resolv.conf "$tree/etc/resolv.conf"
chroot "$tree" sh -euc '
  apt-get update -qq
  kernel=$(apt-cache depends ${kernelPackage} | sed -n "s/.*Depends: \\(linux-image-[^ ]*\\)$/\\1/p")
  cd /tmp
  apt-get download -qq "$kernel" busybox-static
'
mkdir "$out/side" "$out/initrd" "$out/initrd/bin" "$out/initrd/dev" "$out/initrd/lib" "$out/initrd/proc" "$out/initrd/root"
for package in "$tree"/tmp/*.deb; do dpkg-deb -x "$package" "$out/side"; basename "$package" >>"$out/packages"; done
rm -r "$tree"/tmp/*.deb "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*
cp "$out"/side/boot/vmlinuz-* "$out/kernel"
cp "$out/side/bin/busybox" "$out/initrd/bin/"
for module in ${modules.join(" ")}; do cp "$out"/side/lib/modules/*/kernel/"$module.ko" "$out/initrd/lib/"; done
cp "$out/init" "$out/initrd/init"
(cd "$out/initrd" && find . | ./bin/busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$out/initrd.gz")
chroot "$tree" useradd --system --no-create-home --shell /usr/sbin/nologin antigravity
truncate -s 384M "$out/disk"
mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$tree" "$out/disk"
rm -r "$out/side" "$out/initrd" "$out/init" "$tree"
`;

/** Why this machine cannot run such a guest, whatever is installed by the tests themselves. */
export function microvmImpossible(): string | undefined {
  const why = guestImpossible();
  if (why !== undefined) return why;
  const missing = Object.entries({ [qemu]: "qemu-system-x86", mke2fs: "e2fsprogs", "dpkg-deb": "dpkg" }).flatMap(
    ([tool, name]) => (findOnPath(tool, sbin) === undefined ? [name] : []),
  );
  return missing.length === 0 ? undefined : `no ${missing.join(", ")} here: apt-get install ${missing.join(" ")}`;
}

async function must(file: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const env = { ...process.env, PATH: sbin, LC_ALL: "C" };
  const ended = await run(file, args, { env, timeoutMs: 300_000, signal });
  if (ended.status === 0) return ended.stdout;
  throw new Error(`${file}: ${ended.fault ?? ended.stderr.slice(-2000)}\n${ended.stdout.slice(-1000)}`);
}

async function furnish(tree: string, publicKey: string): Promise<void> {
  const units = join(tree, "etc/systemd/system");
  const host = ssh2.utils.generateKeyPairSync("ed25519");
  for (const kind of ["ecdsa", "rsa"]) await rm(join(tree, `etc/ssh/ssh_host_${kind}_key`), { force: true });
  await writeFile(join(tree, "etc/ssh/ssh_host_ed25519_key"), host.private, { mode: 0o600 });
  await chmod(join(tree, "etc/ssh/ssh_host_ed25519_key"), 0o600);
  await writeFile(join(tree, "etc/ssh/ssh_host_ed25519_key.pub"), `${host.public}\n`);
  await writeFile(join(tree, "etc/ssh/sshd_config"), sshdConfig);
  await writeFile(join(tree, "etc/hostname"), "microvm\n");
  await mkdir(join(tree, "root/.ssh"), { mode: 0o700, recursive: true });
  await writeFile(join(tree, "root/.ssh/authorized_keys"), `${publicKey}\n`, { mode: 0o600 });
  // Every reload would run them all, and there is nothing here to generate a unit from.
  await rm(join(tree, "usr/lib/systemd/system-generators"), { recursive: true, force: true });
  for (const unit of masked) await symlink("/dev/null", join(units, unit));
  await symlink("/usr/lib/systemd/system/multi-user.target", join(units, "default.target"));
}

function recipeOf(tree: string, version: string): Recipe {
  const depends = [1, basename(dirname(tree)), version, machineArgs, kernelPackage, init, build, sshdConfig, masked];
  return {
    name: "microvm",
    version,
    key: createHash("sha256").update(JSON.stringify(depends)).digest("hex").slice(0, 16),
    build: async ({ folder, progress, signal }) => {
      progress("microvm: booting a guest to keep asleep (a minute; more on a busy machine)");
      const { private: privateKey, public: publicKey } = ssh2.utils.generateKeyPairSync("ed25519");
      const root = join(folder, "tree");
      await mkdir(root);
      await must("tar", ["-C", root, "--zstd", "-xpf", tree], signal);
      await furnish(root, publicKey);
      await writeFile(join(folder, "key"), privateKey, { mode: 0o600 });
      await writeFile(join(folder, "init"), init, { mode: 0o755 });
      await rm(join(folder, "bin"), { recursive: true, force: true });
      await must("/bin/sh", ["-c", build, "sh", root, folder], signal);
      const guest = await bootMicrovm(folder, { asleep: false });
      try {
        const ran = await guest.ssh("systemctl is-system-running --wait && sync");
        if (ran.stdout.trim() !== "running") throw new Error(`the guest is ${ran.stdout}${guest.console()}`);
        await guest.fallAsleep();
      } finally {
        await guest.close();
      }
      const { size } = await stat(join(folder, "state"));
      if (size < 1024 ** 2) throw new Error(`the guest's memory was not saved: ${String(size)} bytes`);
    },
  };
}

/** The folder of the guest, made first when it is not there. @throws Error when it cannot be made */
export async function microvmImage(progress: (line: string) => void): Promise<string> {
  const tree = await guestTree(progress);
  const [version = ""] = (await must(qemu, ["--version"])).split("\n");
  const options: ArtifactOptions = { cache: cacheRoot(), progress };
  const recipe = recipeOf(tree, version);
  return (await cachedArtifact(recipe, options)) ?? (await ensureArtifact(recipe, options));
}
