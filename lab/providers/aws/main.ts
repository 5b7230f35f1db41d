// Entry of pulumi-resource-aws: the engine starts it with its own address and reads the port from standard output.
import { main } from "@pulumi/pulumi/provider/server.js";
import { Lightsail, settingsFrom } from "./client.ts";
import { AwsProvider } from "./provider.ts";

await main(new AwsProvider(() => new Lightsail(settingsFrom(process.env))), process.argv.slice(2));
