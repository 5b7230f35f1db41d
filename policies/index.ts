import { PolicyPack } from "@pulumi/policy";
import { rules } from "./rules/index.ts";

// Starts a server: nothing else may import this file. Tests import `rules/index.ts`.
new PolicyPack("pulumi-hive", { policies: [...rules], enforcementLevel: "mandatory" });
