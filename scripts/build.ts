/**
 * `npm run build`: dist/ from src/, and a look at whether package.json and dist/ agree. A package whose `exports` point
 * at nothing is found here, not by the first person who installs it.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

const ROOT = dirname(import.meta.dirname);
const DIST = join(ROOT, "dist");

/** Rooms without a subpath of their own, and why. */
const NOT_EXPORTED: Readonly<Record<string, string>> = {
  cli: "its door is the command in package.json's bin",
  dashboard: "its door is a command of the cli",
};

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;

rmSync(DIST, { recursive: true, force: true });
compile();
copyAssets();
const complaints = [...missingTargets(), ...roomsWithoutExport(), ...exportsWithoutRoom(), ...finishCommands()];
if (complaints.length > 0) {
  for (const complaint of complaints) console.error(`build: ${complaint}`);
  process.exit(1);
}

/** Ends this process with the compiler's exit code where it does not succeed. */
function compile(): void {
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const { status, error } = spawnSync(process.execPath, [tsc, "-p", join(ROOT, "tsconfig.build.json")], { cwd: ROOT, stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** What is neither code nor prose is read at run time (SQL, pages), and goes beside the code that reads it. */
function copyAssets(): void {
  for (const file of filesUnder("src")) {
    if (!/\.(ts|md)$/.test(file)) cpSync(join(ROOT, file), join(DIST, file.slice("src/".length)));
  }
}

function missingTargets(): string[] {
  return Object.entries(manifest.exports).flatMap(([subpath, target]) => {
    const files = typeof target === "string" ? [target] : Object.values(target);
    return files.filter((file) => !existsSync(join(ROOT, file))).map((file) => `"${subpath}" in the exports of package.json names ${file}, which the build did not make`);
  });
}

function roomsWithoutExport(): string[] {
  return rooms()
    .filter(({ name, subpath }) => manifest.exports[subpath] === undefined && NOT_EXPORTED[name] === undefined)
    .map(({ folder, subpath }) => `${folder} has an index.ts, but package.json has no export "${subpath}": add it, or say in scripts/build.ts why not`);
}

function exportsWithoutRoom(): string[] {
  const known = new Set([".", "./package.json", ...rooms().map(({ subpath }) => subpath)]);
  return Object.keys(manifest.exports)
    .filter((subpath) => !known.has(subpath))
    .map((subpath) => `package.json exports "${subpath}", but there is no room of that name in src`);
}

/** The folders under src that have a door: `./election` for src/election, `./sqlite` for src/store/sqlite. */
function rooms(): Array<{ folder: string; name: string; subpath: string }> {
  return ["src", "src/store"].flatMap((parent) =>
    readdirSync(join(ROOT, parent), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(ROOT, parent, entry.name, "index.ts")))
      .map(({ name }) => ({ folder: `${parent}/${name}`, name, subpath: `./${name}` })),
  );
}

/** Commands must be executable, and say by what: npm sees to both only when it installs. */
function finishCommands(): string[] {
  return Object.entries(manifest.bin).flatMap(([name, file]) => {
    const path = join(ROOT, file);
    if (!existsSync(path)) return [`the command ${name} in package.json is ${file}, which the build did not make`];
    chmodSync(path, 0o755);
    return readFileSync(path, "utf8").startsWith("#!/usr/bin/env node\n") ? [] : [`${file} is a command; its source must begin with "#!/usr/bin/env node"`];
  });
}

function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1));
}
