// Entry of every tool the lab answers itself: main.ts TOOL ARGUMENTS…; each tool is loaded only when called.
import { ToolError } from "./errors.ts";

type Tool = (args: string[]) => Promise<void> | void;

async function load(name: string): Promise<Tool> {
  switch (name) {
    case "qm":
      return (await import("./qm.ts")).qm;
    case "pct":
      return (await import("./pct.ts")).pct;
    case "pvesm":
      return (await import("./pvesm.ts")).pvesm;
    case "pvesh":
      return (await import("./pvesh.ts")).pvesh;
    case "pveum":
      return (await import("./pveum.ts")).pveum;
    case "zfs":
      return (await import("./zfs.ts")).zfs;
    case "zpool":
      return (await import("./zpool.ts")).zpool;
    case "systemctl":
      return (await import("./systemctl.ts")).systemctl;
    case "guest-systemctl":
      return (await import("./guest-systemctl.ts")).guestSystemctl;
    case "guest-journalctl":
      return (await import("./journalctl.ts")).journalctl;
    case "lscpu":
    case "lspci":
      return (await import("./hardware.ts"))[name];
    default: {
      if (name.startsWith("guest-")) return await account(name);
      const { small } = await import("./small.ts");
      const tool = small[name];
      if (tool === undefined) throw new ToolError(`${name}: command not found`, 127);
      return tool;
    }
  }
}

async function account(name: string): Promise<Tool> {
  const tool = (await import("./accounts.ts")).accounts[name.replace(/^guest-/, "")];
  if (tool === undefined) throw new ToolError(`${name}: command not found`, 127);
  return tool;
}

const [name = "", ...args] = process.argv.slice(2);
try {
  const tool = await load(name);
  await tool(args);
} catch (error) {
  if (!(error instanceof ToolError)) throw error;
  if (error.message !== "") process.stderr.write(`${error.message}\n`);
  process.exitCode = error.status;
}
