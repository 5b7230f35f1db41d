import type { Invocation } from "../args/parse.ts";
import { renderMachines } from "../output/machines.ts";
import { print, printJson, progress, say, styled } from "../output/terminal.ts";
import { bringUp } from "./bringUp.ts";
import { type Context, withContext } from "./context.ts";
import { readyForChange } from "./ready.ts";

/** `npm start`: the lab and genesis on it, until Ctrl-C. */
export async function start(invocation: Invocation): Promise<number> {
  return withContext(
    invocation,
    async (context) => {
      const session = await readyForChange(context, invocation);
      const document = await bringUp(context, session);
      if (invocation.json) await printJson(document);
      else if (document.machines.length > 0) await print(renderMachines(document.machines));
      if (context.lab !== undefined && !invocation.once) await stayUp(context, context.lab.info);
      return 0;
    },
    { stack: "genesis" },
  );
}

async function stayUp(context: Context, lab: NonNullable<Context["lab"]>["info"]): Promise<void> {
  say("");
  say(`  page         ${styled("bold", lab.pageUrl)}`);
  say(`  Proxmox API  ${lab.apiUrl}`);
  say(`  SSH          ssh -i ${lab.ssh.privateKeyFile} -p ${String(lab.ssh.port)} ${lab.ssh.user}@${lab.ssh.host}`);
  say("");
  progress("The lab stays up. Ctrl-C stops it and keeps its state.");
  const { cancel } = context.interrupts;
  if (cancel.aborted) return;
  // The listener alone does not keep the process alive.
  const alive = setInterval(() => undefined, 60_000);
  await new Promise<void>((done) => {
    cancel.addEventListener(
      "abort",
      () => {
        done();
      },
      { once: true },
    );
  });
  clearInterval(alive);
}
