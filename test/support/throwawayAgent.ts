/** Stand-ins for the runner's release and for a heavy agent: a few kilobytes that do what matters to the server. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Release } from "../../components/shared/agent/installScripts.ts";

/**
 * Stands for the runner: does within its unit's fence what the runner does there (starts the agent's unit, waits for its
 * result, reads it from the agent's own folder), and tells it as its status.
 */
const runner = `#!/usr/bin/perl
use strict; use warnings; use Socket;
my $command = shift @ARGV // '';
my $status = '/run/hive-agent/runner/status';
sub slurp { open(my $file, '<', $_[0]) or return ''; local $/; my $text = <$file>; return $text // '' }
if ($command eq 'farewell') { print "farewell said\\n"; exit 0 }
if ($command eq 'version') { print "1.0.0\\n"; exit 0 }
if ($command eq 'status') { my $text = slurp($status); print $text; exit($text eq '' ? 1 : 0) }
exit 0 if grep { $_ eq '--check' } @ARGV;
unlink $status;
my $key = length slurp('/etc/hive-agent/secrets/agent.key');
open(my $state, '>', '/var/lib/hive-agent/runner/journal') or die "state: $!"; close $state;
socket(my $notify, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
connect($notify, sockaddr_un($ENV{NOTIFY_SOCKET})) or die "notify: $!";
send($notify, "READY=1", 0);
my $folder = '/var/lib/heavy-agent-run/x';
open(my $env, '>', "$folder/run.env") or die "run.env: $!"; print $env "HEAVY_AGENT_RUN_ID=run_7\\n"; close $env;
system('systemctl', 'reset-failed', 'heavy-agent@x.service');
my $started = system('systemctl', 'start', 'heavy-agent@x.service') == 0 ? 'true' : 'false';
my $result = '';
for (1 .. 300) { $result = slurp('/var/lib/heavy-agent/x/result.json'); last if $result =~ /\\n/; send($notify, "WATCHDOG=1", 0); select(undef, undef, undef, 0.1) }
chomp $result;
my $outside = open(my $file, '>', '/etc/outside') ? 'true' : 'false';
open(my $out, '>', "$status.new") or die "status: $!";
print $out qq({"healthy":true,"sentinel":"up","key":$key,"started":$started,"writesOutside":$outside,"result":), ($result eq '' ? 'null' : $result), "}\\n";
close $out; rename "$status.new", $status;
while (1) { send($notify, "WATCHDOG=1", 0); sleep 1 }
`;

/** An agent that tells what it was given. */
export const fakeHeavyAgent = `#!/bin/sh
printf '{"token":"%s","run":"%s","user":"%s"}\\n' "$TOKEN" "$HEAVY_AGENT_RUN_ID" "$(id -un)" >"$HOME/result.new"
mv "$HOME/result.new" "$HOME/result.json"
`;

/** The release of {@link runner}: the same layout and commands as the real one's. */
export function fakeRunner(folder: string): { readonly path: string; readonly release: Release } {
  const tree = join(folder, "release");
  mkdirSync(join(tree, "bin"), { recursive: true });
  writeFileSync(join(tree, "bin/hive-agent"), runner);
  chmodSync(join(tree, "bin/hive-agent"), 0o755);
  const path = join(folder, "release.tar.gz");
  const made = spawnSync("tar", ["-C", tree, "--mtime=@0", "-czf", path, "bin"], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(made.stderr);
  const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  return { path, release: { version: "1.0.0", sha256 } };
}
