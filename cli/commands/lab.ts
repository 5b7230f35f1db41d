import { rmSync } from "node:fs";
import type { Invocation } from "../args/parse.ts";
import { withInterrupts } from "../engine/interrupt.ts";
import { CommandFailure } from "../output/failure.ts";
import { ask, print, printJson, progress } from "../output/terminal.ts";
import { labStateFolder, prepareStateFolder } from "../targets/stateFolder.ts";

/** `hive lab`: start (until Ctrl-C), status, stop, reset. */
export async function lab(invocation: Invocation): Promise<number> {
  const action = invocation.positionals[0] ?? "status";
  const folder = labStateFolder();
  const { findLab, startLab, stopLabProcess } = await import("../../lab/index.ts");
  const [{ endKeeper }, { endSentinel }] = await Promise.all([
    import("../keeper/endKeeper.ts"),
    import("../sentinel/endSentinel.ts"),
  ]);
  const running = await findLab(folder.lab);
  const tell = async (document: Readonly<Record<string, unknown>>, text: string): Promise<void> => {
    if (invocation.json) await printJson(document);
    else await print(text);
  };
  if (action === "status") {
    if (running === undefined) await tell({ running: false, stateDir: folder.lab }, "not running");
    else {
      const { pid, apiUrl, pageUrl, ssh, startedAt } = running;
      await tell(
        {
          running: true,
          stateDir: folder.lab,
          pid,
          startedAt,
          apiUrl,
          pageUrl,
          ssh: { host: ssh.host, port: ssh.port, user: ssh.user },
        },
        `running since ${startedAt} (process ${String(pid)})\npage ${pageUrl}\nProxmox API ${apiUrl}\nSSH ssh -i ${ssh.privateKeyFile} -p ${String(ssh.port)} ${ssh.user}@${ssh.host}`,
      );
    }
    return running === undefined ? 3 : 0;
  }
  if (action === "stop") {
    // They go with their lab, whether or not the command that runs one still lives.
    const keeperEnded = await endKeeper(folder.lab);
    const sentinelEnded = await endSentinel(folder.lab);
    if (running !== undefined) await stopLabProcess(running);
    const its = [
      keeperEnded === 0 ? "" : `; ended what ran of its Keeper: ${plural(keeperEnded)}`,
      sentinelEnded ? "; ended its Sentinel" : "",
    ].join("");
    await tell(
      { running: false, stopped: running !== undefined, keeperEnded, sentinelEnded },
      `${running === undefined ? "was not running" : "stopped, its state is kept"}${its}`,
    );
    return 0;
  }
  if (action === "reset") {
    if (
      !invocation.yes &&
      (await ask(`Everything in ${folder.root} goes: the lab's host and the stack's state. Type reset: `)) !== "reset"
    )
      throw new CommandFailure("not confirmed; add --yes", { exitCode: 2 });
    await endKeeper(folder.lab);
    await endSentinel(folder.lab);
    if (running !== undefined) await stopLabProcess(running);
    for (const path of [folder.lab, folder.backend, folder.project, folder.stacks, folder.passphraseFile])
      rmSync(path, { recursive: true, force: true, maxRetries: 5 });
    for (const name of ["secrets.digest.json", "journal.jsonl", "pulumi-home"])
      rmSync(`${folder.root}/${name}`, { recursive: true, force: true });
    await tell({ reset: true }, "reset: the next start is a fresh host");
    return 0;
  }
  prepareStateFolder(folder);
  return withInterrupts(async ({ cancel }) => {
    const started = await startLab({ stateDir: folder.lab });
    try {
      const { apiUrl, pageUrl } = started.info();
      await tell({ running: true, apiUrl, pageUrl, stateDir: folder.lab }, `page ${pageUrl}\nProxmox API ${apiUrl}`);
      progress("The lab stays up. Ctrl-C stops it and keeps its state.");
      if (!cancel.aborted)
        await new Promise<void>((done) => {
          cancel.addEventListener(
            "abort",
            () => {
              done();
            },
            { once: true },
          );
        });
    } finally {
      await endSentinel(folder.lab);
      await started.close();
    }
    return 0;
  });
}

function plural(processes: number): string {
  return processes === 1 ? "1 process" : `${String(processes)} processes`;
}
