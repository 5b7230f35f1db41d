import { availableParallelism } from "node:os";

/**
 * How this project is type-checked: by the native compiler (TypeScript 7). Each of its checkers works out the libraries'
 * types anew, so that more of them than cores (its own number is 4) only cost.
 * @returns the compiler's path below `node_modules`, and its arguments
 */
export const typesCommand: readonly [script: string, ...args: string[]] = [
  "typescript-native/bin/tsc",
  "--checkers",
  String(Math.min(4, availableParallelism())),
  "-p",
];
