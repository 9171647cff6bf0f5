import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const ROOT = dirname(dirname(import.meta.dirname));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
}

export const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;

/** What users can write behind `import`: "tribune", "tribune/sqlite". */
export const subpaths = Object.keys(manifest.exports).map((subpath) => manifest.name + subpath.slice(1));

export interface Packed {
  readonly tarball: string;
  readonly files: readonly { readonly path: string; readonly size: number; readonly mode: number }[];
}

/** Packs what would be published. Of the dist/ that is there: building anew would pull it away from under other tests. */
export async function pack(folder: string, source = ROOT): Promise<Packed> {
  if (!existsSync(join(ROOT, "dist/index.js"))) throw new Error("there is no dist/: run 'npm run build' first, or the tests by 'npm test'");
  mkdirSync(folder, { recursive: true });
  const { stdout } = await npm(["pack", source, "--json", "--ignore-scripts", "--pack-destination", folder], folder);
  const [packed] = JSON.parse(stdout) as [{ readonly filename: string; readonly files: Packed["files"] }];
  return { tarball: join(folder, packed.filename), files: packed.files };
}

/**
 * Installs tarballs into an empty project, without a network: whatever else the package would pull in makes it fail. The one
 * dependency is handed in as a tarball as well.
 */
export async function install(folder: string, tarballs: readonly string[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  await npm(["install", "--offline", "--no-audit", "--no-fund", ...tarballs], folder);
}

export async function npm(args: readonly string[], cwd: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  // Those are for the npm that runs the tests, and would tell this one that it works there.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(?:package|lifecycle|config_(?:local_prefix|prefix|dry_run|json))/.test(name)));
  return await run("npm", args, { cwd, env, maxBuffer: 2 ** 26 });
}
