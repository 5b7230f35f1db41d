// Words of a setting: quoting and C escapes of systemd.syntax(7), command lines of systemd.service(5), environment files
// of systemd.exec(5).

const escapes: Readonly<Record<string, string>> = {
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", s: " ", "\\": "\\", '"': '"', "'": "'" },
};

/** Words split at white space; quotes hold words together. Undefined where a quote is not closed. */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (char === "\\") {
      const [taken, meaning] = escapeAt(text, at);
      word = (word ?? "") + meaning;
      at += taken - 1;
    } else if (quote !== "") {
      if (char === quote) quote = "";
      else word = (word ?? "") + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + char;
  }
  if (quote !== "") return undefined;
  return word === undefined ? words : [...words, word];
}

/** How many characters the escape at `at` takes, and what it means; an unknown one is kept as it is. */
function escapeAt(text: string, at: number): [number, string] {
  const next = text.charAt(at + 1);
  const simple = Object.hasOwn(escapes, next) ? escapes[next] : undefined;
  if (simple !== undefined) return [2, simple];
  const coded = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))/.exec(text.slice(at, at + 10));
  if (coded === null) return [Math.min(2, text.length - at), text.slice(at, at + 2)];
  const [whole, hex, short, long, octal] = coded;
  const code = octal === undefined ? Number.parseInt(hex ?? short ?? long ?? "", 16) : Number.parseInt(octal, 8);
  return [whole.length, code > 0x10ffff ? whole : String.fromCodePoint(code)];
}

/** One command of `Exec…=`. */
export interface CommandLine {
  readonly path: string;
  /** Words behind the program, variables not yet replaced. */
  readonly args: readonly string[];
  /** Prefix `-`: a failure counts as success. */
  readonly ignoreFailure: boolean;
  /** Prefix `:`: `$` is left alone. */
  readonly literal: boolean;
}

/** Commands of one value; `;` alone divides them. Undefined where it cannot be read. */
export function commandLines(value: string): CommandLine[] | undefined {
  const words = splitWords(value);
  if (words === undefined) return undefined;
  const commands: CommandLine[] = [];
  let current: string[] = [];
  for (const word of [...words, ";"]) {
    if (word !== ";") {
      current.push(word === "\\;" ? ";" : word);
      continue;
    }
    const [first, ...args] = current;
    current = [];
    if (first === undefined) continue;
    const [, prefix = "", path = ""] = /^([-@:+!]*)(.*)$/s.exec(first) ?? [];
    if (path === "") return undefined;
    // With `@` the second word is what the program is told as its own name, which nothing here shows.
    const rest = prefix.includes("@") ? args.slice(1) : args;
    commands.push({ path, args: rest, ignoreFailure: prefix.includes("-"), literal: prefix.includes(":") });
  }
  return commands;
}

/** Variables in arguments: `${NAME}` within a word, `$NAME` as a word of its own split at white space, `$$` for `$`. */
export function withVariables(command: CommandLine, environment: Readonly<Record<string, string>>): string[] {
  if (command.literal) return [...command.args];
  const valueOf = (name: string): string => environment[name] ?? "";
  return command.args.flatMap((word) => {
    const alone = /^\$([A-Za-z_]\w*)$/.exec(word)?.[1];
    if (alone !== undefined) return splitWords(valueOf(alone)) ?? [];
    return [
      word.replaceAll(/\$\$|\$\{([A-Za-z_]\w*)\}/g, (whole, name?: string) =>
        whole === "$$" ? "$" : valueOf(name ?? ""),
      ),
    ];
  });
}

/** `NAME=value` words of `Environment=`. */
export function assignments(value: string): [string, string][] {
  return (splitWords(value) ?? []).flatMap((word): [string, string][] => {
    const [, name, text = ""] = /^([A-Za-z_]\w*)=(.*)$/s.exec(word) ?? [];
    return name === undefined ? [] : [[name, text]];
  });
}

/**
 * An environment file: a line `NAME=value` each, comments by `#` or `;`, quotes as in a shell without expansion, lines
 * joined by a backslash.
 */
export function environmentFile(text: string): [string, string][] {
  const found: [string, string][] = [];
  const line =
    /[ \t]*(?:[#;][^\n]*|([A-Za-z_]\w*)[ \t]*=[ \t]*((?:"(?:\\[\s\S]|[^"\\])*"|'[^']*'|\\[\s\S]|[^\\\n"'])*)|[^\n]*)(?:\n|$)/y;
  while (line.lastIndex < text.length) {
    const [, name, raw = ""] = line.exec(text) ?? [];
    if (name !== undefined) found.push([name, unquoted(raw.trimEnd())]);
  }
  return found;
}

function unquoted(raw: string): string {
  const part = /"((?:\\[\s\S]|[^"\\])*)"|'([^']*)'|\\([\s\S])|([^\\"']+)/g;
  return [...raw.matchAll(part)]
    .map(([, double, single, escaped, bare]) => {
      if (double !== undefined)
        return double.replaceAll(/\\([\s\S])/g, (whole, char: string) =>
          char === "\n" ? "" : /["\\`$]/.test(char) ? char : whole,
        );
      return single ?? (escaped === "\n" ? "" : escaped) ?? bare ?? "";
    })
    .join("");
}
