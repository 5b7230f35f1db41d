export { ApiError } from "./types.ts";
export type { ApiContext, ApiReply, LocalApi, LocalApiOptions, Route } from "./types.ts";
export { startLocalApi } from "./server.ts";
export { callLocalApi } from "./client.ts";
export { tokenSha256 } from "./tokens.ts";
