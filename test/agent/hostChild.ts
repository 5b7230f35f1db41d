/** The host side as a process of its own, on a clock that runs 4 or RATE times as fast: `node hostChild.ts CONFIG.json [RATE]`. */
import { readFile } from "node:fs/promises";
import { checkKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { runHost } from "../../runtime-agent/src/keeper/host/daemon.ts";
import { compressedClock } from "../../runtime-agent/src/shared/clock.ts";

const configFile = process.argv[2] ?? "";
const raw: unknown = JSON.parse(await readFile(configFile, "utf8"));
const config = valueOrThrow("configuration", checkKeeperConfig(raw));
process.exitCode = await runHost({
  config,
  configFile,
  clock: compressedClock(Number(process.argv[3] ?? 4), Date.now()),
});
