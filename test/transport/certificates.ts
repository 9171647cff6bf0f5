import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CertificateSecurity } from "../../src/transport/index.ts";

/** What one member has. */
export type Certificates = CertificateSecurity;

/** An authority that signs certificates, made with openssl in a folder that is gone again when this returns; `undefined` where there is no openssl. */
export function makeCertificates(names: readonly string[]): { readonly ca: string; readonly of: ReadonlyMap<string, Certificates> } | undefined {
  const folder = mkdtempSync(join(tmpdir(), "tribune-certificates-"));
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  try {
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority");
    const ca = readFileSync(join(folder, "ca.pem"), "utf8");
    const of = new Map<string, Certificates>();
    for (const name of names) {
      openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "one.key", "-out", "one.csr", "-subj", `/CN=${name}`);
      openssl("x509", "-req", "-in", "one.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", "one.pem");
      of.set(name, { ca, cert: readFileSync(join(folder, "one.pem"), "utf8"), key: readFileSync(join(folder, "one.key"), "utf8") });
    }
    return { ca, of };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
