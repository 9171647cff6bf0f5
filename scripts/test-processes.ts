import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const LOOK_EVERY_MS = 2_000;

/** How much longer than the limit a process may take that ends itself. */
const GRACE_MS = 15_000;

/**
 * Knows the processes of test files (`file-limit.ts` announces them), and kills one that does not end by itself after its limit: one
 * whose event loop is blocked, or that hangs in Node's own clean-up.
 */
export class TestProcesses {
  /** Set in the environment of the test files. */
  readonly env: Readonly<Record<string, string>>;
  readonly #folder = mkdtempSync(join(tmpdir(), "tribune-test-processes-"));
  readonly #ended = new Set<string>();
  readonly #limitMs: number;
  readonly #timer: NodeJS.Timeout;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
    this.env = { TRIBUNE_TEST_PROCESSES: this.#folder, TRIBUNE_TEST_FILE_LIMIT_MS: String(limitMs) };
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** To be told when a file's process is gone: its number may then be another's. */
  ended(file: string): void {
    this.#ended.add(file);
  }

  #look(): void {
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      const file = readFileSync(path, "utf8");
      if (this.#ended.has(file) || Date.now() - statSync(path).mtimeMs < this.#limitMs + GRACE_MS) continue;
      process.stderr.write(`${file} did not end when its time was up: killed.\n`);
      this.#ended.add(file);
      process.kill(Number(name), "SIGKILL");
    }
  }

  close(): void {
    clearInterval(this.#timer);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
