/** A stand-in for the agent's tarball: the same layout and commands, a few kilobytes, and the failures that a test asks for. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Release } from "../../components/shared/agent/installScripts.ts";

/**
 * How it fares: `well`; `sick` runs and answers nothing; `ailing` says that it is not well; `mute` answers without a word
 * of its health; `fleeting` does for half a second and ends; `crash` ends
 * at once, for good (status 78); `broken` cannot even say its version; `picky` refuses every configuration. A secret that says "bad" makes each of them end.
 */
export type Fate = "well" | "sick" | "ailing" | "mute" | "fleeting" | "crash" | "broken" | "picky";

/** It is in the place that its configuration is in. Perl is on every Debian, and can notify systemd from the main process itself. */
const program = (version: string, fate: Fate): string => `#!/usr/bin/perl
use strict; use warnings; use Socket;
my ($version, $fate) = ('${version}', '${fate}');
my $place = "@ARGV" =~ m{--config /etc/([\\w-]+)/} ? $1 : 'hive-agent';
my ($run, $etc) = ("/run/$place/keeper", "/etc/$place");
my $secrets = "$etc/secrets";
my $command = shift @ARGV // '';
sub slurp { open(my $file, '<', $_[0]) or return ''; local $/; my $text = <$file>; return $text // '' }
exit 3 if $fate eq 'broken';
if ($command eq 'version') { print "$version\\n"; exit 0 }
if ($command eq 'status') { my $text = slurp("$run/status"); print $text; exit($text eq '' ? 1 : 0) }
if (grep { $_ eq '--check' } @ARGV) {
  exit 0 unless $fate eq 'picky';
  print STDERR "1 fault(s)\\n  - market.open is not to my taste\\n"; exit 78;
}
print STDERR "release $version starts\\n";
if ($fate eq 'crash' || slurp("$secrets/psk") =~ /bad/) { print STDERR "cannot go on: no reason\\n"; exit 78 }
for my $named (slurp("$etc/keeper.yaml") =~ m{$secrets/([\\w.-]+)}g) {
  unless (-s "$secrets/$named") { print STDERR "cannot go on: no secret $named\\n"; exit 78 }
}
socket(my $notify, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
connect($notify, sockaddr_un($ENV{NOTIFY_SOCKET})) or die "notify: $!";
unlink "$run/status";
my $writes = open(my $outside, '>', '/etc/outside') ? 'true' : 'false';
my ($hierarchy) = grep { -e "$_/cgroup.procs" } '/sys/fs/cgroup', '/sys/fs/cgroup/unified';
my $freezes = $hierarchy && mkdir("$hierarchy/hive-probe-$$") && rmdir("$hierarchy/hive-probe-$$") ? 'true' : 'false';
my $hurries = setpriority(0, $$, -19) && getpriority(0, $$) == -19 ? 'true' : 'false';
my ($caps) = slurp('/proc/self/status') =~ /^CapBnd:\\s*(\\w+)/m;
open(my $state, '>', "/var/lib/$place/keeper/note") or die "state: $!"; print $state "x\\n"; close $state;
open(my $log, '>', "/var/log/$place/gpu.json") or die "log: $!"; close $log;
my $zone = slurp("$etc/keeper.yaml") =~ /^timeZone: (\\S+)/m ? $1 : '';
if ($fate ne 'sick') {
  open(my $file, '>', "$run/status.new") or die "status: $!";
  my $health = $fate eq 'mute' ? '' : $fate eq 'ailing' ? '"healthy":false,"unhealthy":["Proxmox refuses"],' : '"healthy":true,';
  print $file qq({$health"version":"$version","timeZone":"$zone","secret":"@{[length slurp("$secrets/psk")]}",),
    qq("pid":$$,"writesOutside":$writes,"makesCgroups":$freezes,"capabilities":"$caps","hurries":$hurries}\\n);
  close $file; rename "$run/status.new", "$run/status";
}
send($notify, "READY=1", 0);
if ($fate eq 'fleeting') { select(undef, undef, undef, 0.5); exit 78 }
while (1) { send($notify, "WATCHDOG=1", 0); sleep 1 }
`;

export interface Tarball {
  readonly path: string;
  readonly release: Release;
}

/** Makes a tarball in `folder`. The same version of another fate is another build. */
export function fakeTarball(folder: string, version: string, fate: Fate = "well"): Tarball {
  const tree = join(folder, `${version}-${fate}`);
  mkdirSync(join(tree, "bin"), { recursive: true });
  const file = join(tree, "bin", "hive-agent");
  writeFileSync(file, program(version, fate));
  chmodSync(file, 0o755);
  const path = `${tree}.tar.gz`;
  const made = spawnSync("tar", ["-C", tree, "--sort=name", "--mtime=@0", "-czf", path, "bin"], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(made.stderr);
  rmSync(tree, { recursive: true });
  const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  return { path, release: { version, sha256 } };
}
