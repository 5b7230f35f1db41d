/**
 * A `systemctl` and a `journalctl` for one unit, as shell scripts with their state in a folder. What the unit runs lives
 * on when the runner that started it is killed, as under systemd.
 */
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface FakeSystemd {
  readonly systemctl: string;
  readonly journalctl: string;
  /** Run ids in the order of the agent's starts. */
  starts(): Promise<string[]>;
  /** Run ids in the order of the agent's completions. */
  completions(): Promise<string[]>;
}

/** One line: invocation, ActiveState, Result, ExecMainCode, ExecMainStatus. */
const systemctl = (folder: string, run: string): string => `#!/bin/sh
cd ${folder} || exit 1
say() { echo "$*" >state.new.$$ && mv state.new.$$ state; }
read -r invocation active result code status <state
[ "$invocation" = - ] && invocation=
case "$1" in
show)
  printf 'LoadState=loaded\\nActiveState=%s\\nResult=%s\\nInvocationID=%s\\nExecMainCode=%s\\nExecMainStatus=%s\\n' \\
    "$active" "$result" "$invocation" "$code" "$status"
  printf 'NRestarts=0\\nAfter=basic.target hive-agent-runner.service\\nBefore=shutdown.target\\n'
  ;;
reset-failed) ;;
start)
  [ "$active" = active ] && exit 0
  if [ -e refuse ]; then echo 'Job for heavy-agent@ghost.service failed.' >&2; exit 1; fi
  [ -e ${run}/run.env ] || exit 1
  . ${run}/run.env
  echo "$HEAVY_AGENT_RUN_ID" >>starts
  new=i$(wc -l <starts)
  say "$new" active success 0 0
  export HEAVY_AGENT_RUN_ID HEAVY_AGENT_PAYLOAD HEAVY_AGENT_RESULT
  setsid sh -c '
    sh ./agent >>log 2>&1; code=$?
    [ $code = 0 ] && { echo "$HEAVY_AGENT_RUN_ID" >>completions; end="inactive success"; } || end="failed exit-code"
    echo "$0 $end 1 $code" >state.new.$$ && mv state.new.$$ state
  ' "$new" </dev/null >/dev/null 2>&1 &
  ;;
esac
exit 0
`;

const journalctl = (folder: string): string => `#!/bin/sh
cat ${folder}/log 2>/dev/null
exit 0
`;

/** @param agent what the unit runs, a script for sh */
export async function fakeSystemd(folder: string, run: string, agent: string): Promise<FakeSystemd> {
  await mkdir(folder, { recursive: true });
  const programs = { systemctl: join(folder, "systemctl"), journalctl: join(folder, "journalctl") };
  await writeFile(programs.systemctl, systemctl(folder, run));
  await writeFile(programs.journalctl, journalctl(folder));
  await writeFile(join(folder, "agent"), agent);
  await writeFile(join(folder, "state"), "- inactive success 0 0\n");
  for (const file of Object.values(programs)) await chmod(file, 0o755);
  const lines = async (name: string): Promise<string[]> => {
    const text = await readFile(join(folder, name), "utf8").catch(() => "");
    return text.split("\n").filter((line) => line !== "");
  };
  return { ...programs, starts: () => lines("starts"), completions: () => lines("completions") };
}
