/** The lab's own certificate, made once for each state folder. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";
import { writeFileAtomic } from "./store.ts";

export interface Certificate {
  key: string;
  cert: string;
  certFile: string;
}

export async function certificate(stateDir: string): Promise<Certificate> {
  const certFile = join(stateDir, "ca.pem");
  const keyFile = join(stateDir, "key.pem");
  if (!existsSync(certFile) || !existsSync(keyFile)) {
    const made = await generate([{ name: "commonName", value: "Hive lab" }], {
      keyType: "ec",
      curve: "P-256",
      algorithm: "sha256",
      notAfterDate: new Date(Date.now() + 3650 * 86_400_000),
      extensions: [
        { name: "basicConstraints", cA: true, critical: true },
        { name: "keyUsage", digitalSignature: true, keyCertSign: true, critical: true },
        { name: "extKeyUsage", serverAuth: true },
        {
          name: "subjectAltName",
          altNames: [
            { type: 2, value: "localhost" },
            { type: 2, value: "pve" },
            { type: 7, ip: "127.0.0.1" },
          ],
        },
      ],
    });
    writeFileAtomic(keyFile, made.private);
    writeFileAtomic(certFile, made.cert, 0o644);
  }
  return { key: readFileSync(keyFile, "utf8"), cert: readFileSync(certFile, "utf8"), certFile };
}
