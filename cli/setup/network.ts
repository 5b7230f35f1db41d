// Is an address worth trying? A closed network must cost seconds, not the minutes of a download's own timeouts.

export type Probe = (url: string) => Promise<string | undefined>;

/** Milliseconds to wait for the first answer. */
const patienceMs = 4_000;
const answers = new Map<string, Promise<string | undefined>>();

async function ask(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { method: "HEAD", redirect: "follow", signal: AbortSignal.timeout(patienceMs) });
    return response.ok ? undefined : `${new URL(url).host} answered ${response.status}`;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    return `${new URL(url).host} cannot be reached (${code === "23" || /Timeout/.test(code) ? `no answer in ${patienceMs / 1000} s` : code})`;
  }
}

/** Why `url` cannot be fetched, or undefined when it can. Asked once a process. */
export const probe: Probe = (url) => {
  const known = answers.get(url);
  if (known) return known;
  const answer = ask(url);
  answers.set(url, answer);
  return answer;
};
