import type { Invocation } from "../args/parse.ts";
import { renderMachines } from "../output/machines.ts";
import { print, printJson, progress, say, styled } from "../output/terminal.ts";
import { type UpDocument, bringUp } from "./bringUp.ts";
import { type Context, withContext } from "./context.ts";
import { readyForChange } from "./ready.ts";
import type { LabKeeperBeside } from "../keeper/besideGenesis.ts";

/** The document of `start --json`. */
interface StartDocument extends UpDocument {
  /** Whether the Keeper runs beside genesis, and why not. */
  readonly keeper: { readonly running: boolean; readonly why?: string };
}

/** `npm start`: the lab, genesis on it and the Keeper beside it, until Ctrl-C. */
export async function start(invocation: Invocation): Promise<number> {
  return withContext(
    invocation,
    async (context) => {
      if (context.lab !== undefined) await endLeft();
      const session = await readyForChange(context, invocation);
      const document = await bringUp(context, session);
      const stays = context.lab !== undefined && !invocation.once;
      const keeper = stays && !context.interrupts.cancel.aborted ? await beside(invocation, context) : undefined;
      try {
        const told: StartDocument = {
          ...document,
          keeper: keeper?.told ?? { running: false, why: "it stays only while the lab does: leave out --once" },
        };
        if (invocation.json) await printJson(told);
        else if (document.machines.length > 0) await print(renderMachines(document.machines));
        if (context.lab !== undefined && stays) await stayUp(context, context.lab.info, keeper);
      } finally {
        await keeper?.stop();
      }
      return 0;
    },
    { stack: "genesis" },
  );
}

/** Ends what a killed `npm start` left of its Keeper, also when this one starts none. */
async function endLeft(): Promise<void> {
  const [{ endLeftKeeper }, { labStateFolder }] = await Promise.all([
    import("../keeper/endKeeper.ts"),
    import("../targets/stateFolder.ts"),
  ]);
  await endLeftKeeper(labStateFolder().lab);
}

async function beside(invocation: Invocation, { lab, target }: Context): Promise<LabKeeperBeside> {
  const [{ keeperBesideGenesis }, { labStateFolder }] = await Promise.all([
    import("../keeper/besideGenesis.ts"),
    import("../targets/stateFolder.ts"),
  ]);
  return keeperBesideGenesis(labStateFolder().lab, {
    evening: invocation.evening === true,
    ...(lab === undefined || target.host === undefined
      ? {}
      : {
          proxmox: {
            ...{ url: lab.info.apiUrl, tokenFile: lab.info.tokenFile, caFile: lab.info.caCertFile },
            node: target.host.nodeName,
          },
        }),
  });
}

async function stayUp(
  context: Context,
  lab: NonNullable<Context["lab"]>["info"],
  keeper: LabKeeperBeside | undefined,
): Promise<void> {
  say("");
  say(`  page         ${styled("bold", lab.pageUrl)}`);
  say(`  Proxmox API  ${lab.apiUrl}`);
  say(`  SSH          ssh -i ${lab.ssh.privateKeyFile} -p ${String(lab.ssh.port)} ${lab.ssh.user}@${lab.ssh.host}`);
  if (keeper !== undefined) say(`  Keeper       ${keeper.line}`);
  say("");
  progress("The lab stays up. Ctrl-C stops it and keeps its state.");
  const { cancel } = context.interrupts;
  const { isAlive } = await import("../../lab/keeper/folder.ts");
  if (cancel.aborted) return;
  const gone = new AbortController();
  const looking = setInterval(() => {
    if (isAlive(lab)) return;
    progress("The lab is gone: its process has ended.");
    gone.abort();
  }, 1000);
  const end = AbortSignal.any([cancel, gone.signal]);
  const playing = keeper?.play(end);
  await new Promise<void>((done) => {
    end.addEventListener(
      "abort",
      () => {
        done();
      },
      { once: true },
    );
  });
  clearInterval(looking);
  await playing;
}
