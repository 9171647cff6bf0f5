/** Plays a short scene with three processes: ada and bob talk, cyd comes later and is told what was said, bob's process is killed. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "chat-room-"));
const store = `sqlite:${join(folder, "room.db")}`;
const members: Member[] = [];

class Member {
  readonly name: string;
  readonly process;
  readonly ended: Promise<unknown>;
  #text = "";
  readonly #waiting = new Set<() => void>();

  constructor(name: string) {
    this.name = name;
    this.process = spawn(process.execPath, [join(import.meta.dirname, "member.ts"), name, store], { stdio: ["pipe", "pipe", "inherit"] });
    this.process.stdout.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n")) if (line !== "") console.log(`${name.padEnd(4)}| ${line}`);
      this.#text += text;
      for (const look of this.#waiting) look();
    });
    this.ended = new Promise((resolve) => this.process.on("exit", resolve));
    members.push(this);
  }

  type(text: string): void {
    this.process.stdin.write(`${text}\n`);
  }

  /** Waits until it has printed this, anywhere in what it printed so far. */
  async sees(text: string): Promise<void> {
    const failed = this.ended.then(() => Promise.reject(new Error(`${this.name} ended before it had seen: ${text}`)));
    const seen = new Promise<void>((resolve) => {
      const look = () => {
        if (this.#text.includes(text)) resolve();
      };
      this.#waiting.add(look);
      look();
    });
    await Promise.race([seen, failed]);
  }
}

try {
  const ada = new Member("ada");
  await ada.sees("you are ada");
  const bob = new Member("bob");
  await Promise.all([bob.sees("you are bob"), ada.sees("bob is here")]);
  ada.type("good morning");
  await Promise.all([bob.sees("ada: good morning"), ada.sees("heard by bob")]);
  bob.type("good morning, ada");
  await ada.sees("bob: good morning, ada");

  const cyd = new Member("cyd");
  await Promise.all([cyd.sees("(before) ada: good morning"), cyd.sees("(before) bob: good morning, ada"), ada.sees("cyd is here")]);
  cyd.type("/whisper bob it is cold here");
  await bob.sees("(cyd whispers) it is cold here");

  bob.process.kill("SIGKILL");
  await Promise.all([ada.sees("bob is gone"), cyd.sees("bob is gone")]);
  ada.type("poor bob");
  await Promise.all([cyd.sees("ada: poor bob"), ada.sees("heard by cyd")]);
  for (const { process } of [ada, cyd]) process.stdin.end();
  await Promise.all([ada.ended, cyd.ended]);
} finally {
  for (const { process } of members) process.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
