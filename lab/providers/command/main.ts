// Entry of pulumi-resource-command: the engine starts it with its own address and reads the port from standard output.
import { main } from "@pulumi/pulumi/provider/server.js";
import { engineLog } from "./engine-log.ts";
import { CommandProvider } from "./provider.ts";

const args = process.argv.slice(2);
await main(new CommandProvider(engineLog(args.find((arg) => !arg.startsWith("-")))), args);
