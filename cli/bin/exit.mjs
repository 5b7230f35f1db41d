// Plain JavaScript on Node >= 20, like everything that runs before the set-up.
import v8 from "node:v8";

export const exitFlag = "--no-concurrent-sparkplug";

export function exitForSure() {
  v8.setFlagsFromString(exitFlag);
}
