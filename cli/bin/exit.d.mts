/**
 * Option of Node without which a process may hang while it exits: a thread that compiles Sparkplug code waits for the
 * main thread to collect garbage, and the main thread for that thread to end (nodejs/node#54918; seen with 24.21).
 */
export const exitFlag: string;
/** The same for the process that runs already. */
export function exitForSure(): void;
