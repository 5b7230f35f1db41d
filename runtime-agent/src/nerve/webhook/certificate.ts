/** The webhook's certificate: files that a kubelet swaps while the server runs. */
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { Log } from "../../shared/log.ts";

export interface CertificateFiles {
  /** PEM of the certificate and of those between it and its authority. */
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A certificate with the key that belongs to it, PEM, and when it is valid, Unix time in ms. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** @throws Error naming the file when one cannot be read, when one is no PEM, and when they do not belong together */
async function readCertificate({ certificateFile, keyFile }: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([readFile(certificateFile, "utf8"), readFile(keyFile, "utf8")]);
  const x509 = parsed(certificateFile, () => new X509Certificate(cert));
  const privateKey = parsed(keyFile, () => createPrivateKey(key));
  // While they are being swapped one by one, each is of another pair.
  if (!x509.checkPrivateKey(privateKey)) throw new Error(`${keyFile} is not the key of ${certificateFile}`);
  // Those between it and its authority are looked at as well.
  parsed(certificateFile, () => createSecureContext({ cert, key }));
  return { cert, key, fromMs: x509.validFromDate.getTime(), untilMs: x509.validToDate.getTime() };
}

/** OpenSSL's messages name no file. They may hold no part of it either. */
function parsed<T>(file: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new Error(`${file} is no PEM that can be used (${code})`);
  }
}

export interface CertificateWatch {
  current(): Certificate;
  /** Pairs taken over and refused since the start; the first is neither. */
  readonly counts: { readonly taken: number; readonly refused: number };
  /** Looks at the files now. Never rejects. */
  look(): Promise<void>;
  close(): void;
}

/**
 * Reads the files, then looks at them again every `everyMs`. By reading, not by a watch: a kubelet swaps a link two folders
 * up. What cannot be used is said once, and the last good pair kept.
 *
 * @param onChange is given each new pair
 * @throws as `readCertificate` does when the first pair cannot be used
 */
export async function watchCertificate(
  files: CertificateFiles,
  everyMs: number,
  log: Log,
  onChange: (certificate: Certificate) => void,
): Promise<CertificateWatch> {
  let current = await readCertificate(files);
  let said: string | undefined;
  let looking: Promise<void> | undefined;
  const counts = { taken: 0, refused: 0 };

  async function lookOnce(): Promise<void> {
    try {
      const next = await readCertificate(files);
      said = undefined;
      if (next.cert === current.cert && next.key === current.key) return;
      onChange(next);
      current = next;
      counts.taken += 1;
      log.notice("the webhook has a new certificate", { until: new Date(next.untilMs).toISOString() });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (why === said) return;
      said = why;
      counts.refused += 1;
      log.warning("the new certificate is refused, the running one kept", { why });
    }
  }

  const look = (): Promise<void> =>
    (looking ??= lookOnce().finally(() => {
      looking = undefined;
    }));
  const timer = setInterval(() => void look(), everyMs).unref();
  return { current: () => current, counts, look, close: () => clearInterval(timer) };
}
