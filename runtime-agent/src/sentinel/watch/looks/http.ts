import type { Finding } from "../core/watchdog.ts";
import { exchange, wordsOf } from "../exchange.ts";

export interface HttpLook {
  readonly url: string;
  /** @default 200 to 299 */
  readonly status?: readonly number[] | undefined;
  /** The first MiB of the answer must hold it. */
  readonly text?: string | undefined;
  /** PEM. @default Node's own list of authorities */
  readonly ca?: string | undefined;
  readonly deadlineMs: number;
  readonly stop?: AbortSignal | undefined;
}

/** Asks for a page: the status and the text decide. */
export async function lookHttp(look: HttpLook): Promise<Finding> {
  const { url, deadlineMs, ca, text, stop } = look;
  try {
    const answer = await exchange({ url, method: "GET", deadlineMs, ca, stop, headers: { accept: "*/*" } });
    const { status } = answer;
    const said = `HTTP ${String(status)}`;
    const wanted = look.status?.includes(status) ?? (status >= 200 && status < 300);
    if (!wanted) return { ok: false, detail: said };
    if (text !== undefined && !answer.text.includes(text))
      return { ok: false, detail: `${said}, without the text that it must hold` };
    return { ok: true, detail: said };
  } catch (error) {
    return { ok: false, detail: wordsOf(error) };
  }
}
