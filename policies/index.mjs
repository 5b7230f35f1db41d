// Pulumi's policy host loads a pack's main file by `require`, where its own TypeScript loader claims `.ts` files and
// would compile and type check all of them. From an ES module Node loads them itself, by stripping the types.
import { flushCompileCache } from "node:module";
import "./index.ts";

// The engine kills this process when it is done, before Node would write its compile cache (NODE_COMPILE_CACHE).
flushCompileCache();
