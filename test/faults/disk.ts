import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { mkdir, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const FILLER = "filler";

/** Why no file system can be mounted here; `undefined` if one can, which is tried: root in a container may not. */
export function mountsMissing(): string | undefined {
  if (process.platform !== "linux") return "a small file system is mounted as tmpfs, which is Linux's";
  if (process.getuid?.() !== 0) return "mounting a small file system needs root";
  const folder = mkdtempSync(join(tmpdir(), "tribune-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { stdio: "pipe" });
    execFileSync("umount", [folder], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return `mounting a small file system failed: ${(error as Error).message.trim().split("\n").at(-1)}`;
  } finally {
    rmdirSync(folder);
  }
}

/** A small file system of its own, in memory, which can be filled to the last byte. */
export class SmallDisk {
  readonly path: string;
  readonly #unmount = () => {
    try {
      execFileSync("umount", ["--lazy", this.path], { stdio: "ignore" });
    } catch {
      // It is not mounted any more.
    }
  };

  private constructor(path: string) {
    this.path = path;
    process.once("exit", this.#unmount);
  }

  static async mount(path: string, sizeMb: number): Promise<SmallDisk> {
    await mkdir(path, { recursive: true });
    await run("mount", ["-t", "tmpfs", "-o", `size=${sizeMb}m,mode=755`, "tmpfs", path]);
    return new SmallDisk(path);
  }

  /** Takes all room that is left. Answers how many bytes that were. */
  async fill(): Promise<number> {
    let taken = 0;
    // What was freed a moment ago is taken as well.
    for (let attempt = 0; attempt < 5; attempt++) {
      const { bavail, bsize } = await statfs(this.path);
      if (bavail === 0) break;
      await run("fallocate", ["--length", String(bavail * bsize), join(this.path, `${FILLER}${attempt}`)]).then(
        () => (taken += bavail * bsize),
        () => undefined, // somebody else has taken some of it
      );
    }
    return taken;
  }

  async free(): Promise<void> {
    for (let attempt = 0; attempt < 5; attempt++) await rm(join(this.path, `${FILLER}${attempt}`), { force: true });
  }

  async unmount(): Promise<void> {
    process.off("exit", this.#unmount);
    this.#unmount();
    await rm(this.path, { recursive: true, force: true });
  }
}
