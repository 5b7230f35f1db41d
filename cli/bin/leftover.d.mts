/** Notes that process group `pid` works for us. */
export function noteChild(file: string, pid: number): void;
/** Ends the noted process group if it still runs, and forgets it. Returns its pid if it did. */
export function endLeftover(file: string): number | undefined;
