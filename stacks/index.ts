/** What `pulumi up --stack NAME` runs: the program named like the stack, its outputs as the stack's outputs. */
import * as pulumi from "@pulumi/pulumi";
import { runStack } from "./programs.ts";

export default await runStack(pulumi.getStack());
