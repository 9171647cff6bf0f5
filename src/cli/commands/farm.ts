import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ArtifactSource, ChangeOptions, ChangeReport, Farm, FarmStatus, MemberOutcome } from "../../farm/index.ts";
import { shown, TribuneError } from "../../kernel/index.ts";
import { asMessenger, withMessenger } from "../messenger.ts";
import type { MessengerOptions } from "../messenger.ts";
import { wholeNumber, withJson } from "../options.ts";
import { safeText } from "../safe-text.ts";
import type { Shell } from "../shell.ts";
import { table } from "../table.ts";

interface FarmCommandOptions extends MessengerOptions {
  readonly json?: boolean;
}

interface ChangeCommandOptions extends FarmCommandOptions {
  readonly prepareMs?: number;
  readonly rolling?: number | "zone";
  readonly waveMs?: number;
}

interface DeployCommandOptions extends ChangeCommandOptions {
  readonly config?: string;
  readonly signWith?: string;
  readonly tar?: boolean;
}

const EXAMPLES = `
Examples:
  tribune farm deploy prices 1.4.0 ./dist
  tribune farm deploy prices 1.4.1 ./dist --rolling zone --config '{"port":8080}' --sign-with deploy-key.pem
  tribune farm status
  tribune farm rollback prices
  tribune farm undeploy prices

The command joins the group as an observer, gives the artifact to the members, and leaves when all have applied it. Ctrl-C calls off what is not decided.
Exit code 4: refused, as it is. Exit code 1: a member said no, or could not apply it.`;

/** `tribune farm`: deploys on all members, and shows what is deployed. */
export function farmCommand(program: Command, shell: Shell): void {
  const farm = program.command("farm").description("deploy artifacts on all members, or on none").addHelpText("after", EXAMPLES);
  const ask = (command: Command): Command => withMessenger(withJson(command)).addHelpText("after", EXAMPLES);
  const change = (command: Command) =>
    ask(command)
      .addOption(new Option("--prepare-ms <n>", "how long all members have to fetch, prepare and vote").argParser(wholeNumber(1)))
      .addOption(new Option("--rolling <by>", "in waves: so many members at a time, or 'zone' for one zone after the other").argParser(rollingBy))
      .addOption(new Option("--wave-ms <n>", "how long a wave may take until it is healthy").argParser(wholeNumber(1)));

  change(farm.command("deploy").description("deploy a file or a directory on all members").argument("<name>").argument("<version>").argument("<path>"))
    .option("--config <json>", "configuration for the members' handler")
    .option("--sign-with <file>", "sign it with this Ed25519 private key (PEM)")
    .option("--tar", "the file is a tar of the directory that is meant")
    .action(async (name: string, version: string, path: string, options: DeployCommandOptions) => {
      const artifact = await artifactAt(path, options.tar === true);
      const signWith = options.signWith === undefined ? undefined : await keyAt(options.signWith);
      const config = options.config === undefined ? null : jsonOf(options.config);
      await changeBy(shell, options, (by, signal) => by.deploy({ name, version, artifact, config, ...(signWith === undefined ? {} : { signWith }), ...changeOptions(options), signal }));
    });
  ask(farm.command("undeploy").description("remove it from all members").argument("<name>")).action((name: string, options: FarmCommandOptions) => changeBy(shell, options, (by, signal) => by.undeploy(name, { signal })));
  change(farm.command("rollback").description("go back to the version before, or to another earlier one").argument("<name>").argument("[version]")).action((name: string, version: string | undefined, options: ChangeCommandOptions) =>
    changeBy(shell, options, (by, signal) => by.rollback(name, { ...(version === undefined ? {} : { version }), ...changeOptions(options), signal })),
  );
  ask(farm.command("status").description("what is desired, and what each member has").argument("[name]")).action((name: string | undefined, options: FarmCommandOptions) =>
    asObserver(shell, options, async (by) => {
      const found = (await by.status()).filter((each) => name === undefined || each.name === name);
      if (name !== undefined && found.length === 0) throw new TribuneError("FARM_NOT_DEPLOYED", `there is nothing of the name ${name}`, { about: name, next: "see tribune farm status" });
      if (options.json === true) shell.printJson(found);
      else for (const line of found.length === 0 ? [shell.paint("dim", "nothing is deployed")] : found.flatMap((each) => showFarm(each, shell))) shell.print(line);
    }),
  );
}

/** Makes a change, tells on standard error how far members are, and fails where not all have applied it. */
async function changeBy(shell: Shell, options: FarmCommandOptions, work: (farm: Farm, signal: AbortSignal) => Promise<ChangeReport>): Promise<void> {
  await asObserver(shell, options, async (farm, signal) => {
    farm.on("progress", ({ node, name, version, phase, bytes, ofBytes }) => shell.note(safeText(`${node}: ${name} ${version} ${phase}${phase === "fetching" && ofBytes > 0 ? ` ${Math.floor((100 * bytes) / ofBytes)} % of ${ofBytes} bytes` : ""}`)));
    const report = await work(farm, signal);
    if (options.json === true) shell.printJson(report);
    else for (const line of [`${safeText(report.name)} ${safeText(report.version)}`, ...showMembers(report.members, shell)]) shell.print(line);
    if (report.ok) return;
    const [bad] = report.members.filter(({ state }) => state !== "applied");
    throw new TribuneError(bad?.code ?? "FARM_TIMEOUT", `${bad?.node ?? "a member"} has not applied it: ${bad?.why ?? "not in time"}`, { about: report.name, next: "it tries again by itself; see tribune farm status, or go back by tribune farm rollback" });
  });
}

/** Joins as an observer that gives artifacts, with a folder for them that goes afterwards. */
async function asObserver(shell: Shell, options: FarmCommandOptions, work: (farm: Farm, signal: AbortSignal) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "tribune-farm-"));
  try {
    await asMessenger(shell, options, { farm: { dir }, work: (cluster, signal) => work(cluster.farm, signal) });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function changeOptions({ prepareMs, rolling, waveMs }: ChangeCommandOptions): ChangeOptions {
  if (rolling === undefined && waveMs !== undefined) throw new TribuneError("INVALID_OPTIONS", "--wave-ms goes with --rolling", { next: "say how many members a wave has" });
  return {
    ...(prepareMs === undefined ? {} : { prepareMs }),
    ...(rolling === undefined ? {} : { rolling: { by: rolling, ...(waveMs === undefined ? {} : { waveMs }) } }),
  };
}

function rollingBy(text: string): number | "zone" {
  if (text === "zone") return text;
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text)) && Number(text) >= 1) return Number(text);
  throw new InvalidArgumentError("It must be a whole number, at least 1, or zone.");
}

async function artifactAt(path: string, isTar: boolean): Promise<ArtifactSource> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true && !isTar) return { directory: path };
  if (found?.isFile() === true) return isTar ? { tar: path } : { file: path };
  throw new TribuneError("FARM_ARTIFACT_INVALID", `${shown(path)} is no ${isTar ? "file" : "file and no directory"}`, { about: "artifact", next: "give the path of what is to be deployed" });
}

async function keyAt(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new TribuneError("INVALID_OPTIONS", `--sign-with cannot be read: ${(error as NodeJS.ErrnoException).code ?? "it failed"}`, { about: file, next: "name a file with an Ed25519 private key in PEM", cause: error });
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new TribuneError("INVALID_OPTIONS", `--config ${shown(text)} is not JSON`, { next: `give JSON, such as '{"port":8080}'` });
  }
}

function showFarm({ name, desired, earlier, change, last, members }: FarmStatus, shell: Shell): string[] {
  const is = desired === null ? shell.paint("yellow", "not deployed") : `${safeText(desired.version)}  ${shell.paint("dim", `${desired.kind}, ${desired.sizeBytes} bytes, ${desired.digest.slice(0, 12)}`)}`;
  return [
    `${shell.paint("bold", safeText(name))} ${is}`,
    ...(earlier.length === 0 ? [] : [shell.paint("dim", `  earlier: ${safeText(earlier.join(", "))}`)]),
    ...(change === null ? [] : [shell.paint("yellow", safeText(`  ${change.kind} of ${change.version} under way, asked for by ${change.by}: ${change.phase === "preparing" ? "votes are awaited" : `applied on ${change.admitted.join(", ")}`}`))]),
    ...(last?.result === "rolled-back" ? [safeText(`  ${last.kind} of ${last.version} was rolled back${last.node === null ? "" : ` because of ${last.node}`}: ${last.code ?? ""} ${last.why ?? ""}`)] : []),
    ...showMembers(members, shell),
  ];
}

function showMembers(members: readonly MemberOutcome[], shell: Shell): string[] {
  const paint = { applied: "green", failed: "red", pending: "yellow" } as const;
  return table(
    ["NODE", "STATE", "VERSION", "WHY"],
    members.map(({ node, state, version, code, why }) => [node, { text: state, paint: (text) => shell.paint(paint[state], text) }, version ?? "", code === null ? "" : `${code}: ${safeText(why ?? "")}`]),
  );
}
