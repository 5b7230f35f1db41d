// The text of units: sections and keys, with the rules of systemd.syntax(7); specifiers of systemd.unit(5).

/** Settings of a unit: its file and then its drop-ins, later lines after earlier ones. */
export class UnitText {
  readonly #lines = new Map<string, string[]>();

  constructor(texts: readonly string[]) {
    for (const text of texts) this.#add(text);
  }

  /** All values of a setting that lists; an empty one begins the list anew. */
  list(section: string, key: string): string[] {
    const values = this.#lines.get(`${section}.${key}`) ?? [];
    return values.slice(values.lastIndexOf("") + 1);
  }

  /** The last value of a setting; undefined where it is not set, or set to nothing. */
  last(section: string, key: string): string | undefined {
    const value = this.#lines.get(`${section}.${key}`)?.at(-1);
    return value === "" ? undefined : value;
  }

  #add(text: string): void {
    let section = "";
    let pending = "";
    for (const raw of text.split("\n")) {
      const line = raw.trim();
      // A comment between two halves of a continued line is left out, and the line goes on behind it.
      if (/^[#;]/.test(line) || (line === "" && pending === "")) continue;
      if (line.endsWith("\\")) {
        pending += `${line.slice(0, -1)} `;
        continue;
      }
      const whole = pending + line;
      pending = "";
      const header = /^\[(.+)\]$/.exec(whole)?.[1];
      if (header !== undefined) {
        section = header;
        continue;
      }
      const cut = whole.indexOf("=");
      if (cut <= 0) continue;
      const name = `${section}.${whole.slice(0, cut).trim()}`;
      this.#lines.set(name, [...(this.#lines.get(name) ?? []), whole.slice(cut + 1).trim()]);
    }
  }
}

/** `name@instance.service` in its parts; without instance where there is none. */
export function nameParts(unit: string): { prefix: string; instance: string; type: string } {
  const [, prefix = unit, , instance = "", type = ""] = /^([^@]*)(@(.*))?\.([a-z]+)$/.exec(unit) ?? [];
  return { prefix, instance, type };
}

/** Undoes the escaping of unit names: `-` stands for `/`, `\xHH` for a byte (systemd.unit(5), "STRING ESCAPING"). */
export function unescapeName(text: string): string {
  const bytes = text
    .replaceAll("-", "/")
    .replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Specifiers for a unit of a system's own manager. */
export function specifiersOf(unit: string, hostName: string): ReadonlyMap<string, string> {
  const { prefix, instance } = nameParts(unit);
  const lastPart = prefix.slice(prefix.lastIndexOf("-") + 1);
  return new Map([
    ...([
      ["n", unit],
      ["N", unit.replace(/\.[a-z]+$/, "")],
      ["p", prefix],
      ["P", unescapeName(prefix)],
      ["i", instance],
      ["I", unescapeName(instance)],
      ["j", lastPart],
      ["J", unescapeName(lastPart)],
    ] as const),
    ...([
      ["H", hostName],
      ["l", hostName.split(".")[0] ?? hostName],
      ["u", "root"],
      ["U", "0"],
      ["g", "root"],
      ["G", "0"],
      ["h", "/root"],
      ["s", "/bin/bash"],
    ] as const),
    ...([
      ["t", "/run"],
      ["S", "/var/lib"],
      ["C", "/var/cache"],
      ["L", "/var/log"],
      ["E", "/etc"],
      ["T", "/tmp"],
      ["V", "/var/tmp"],
      ["%", "%"],
    ] as const),
  ]);
}

/** Replaces specifiers; one that is not known stays as it is written. */
export function expand(text: string, specifiers: ReadonlyMap<string, string>): string {
  return text.replaceAll(/%(.)/g, (whole, letter: string) => specifiers.get(letter) ?? whole);
}
