import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CheckConfig, FencedRow, Violation } from "../../src/testing/history/index.ts";
import type { FaultKind, StoreKind } from "./catalogue.ts";

/** One fault that was done, on the history's clock. */
export interface FaultSpan {
  readonly kind: FaultKind;
  /** The nodes that it met; none where it met the store. */
  readonly targets: readonly string[];
  readonly fromMs: number;
  /** When it was undone. */
  toMs: number;
  /** When the group was whole again; `undefined` if it never was. */
  settledMs: number | undefined;
  /** The fault that was going on around it. */
  readonly within: FaultKind | undefined;
}

/** A stretch in which only what holds whatever clocks do is judged. */
export interface FencingWindow {
  readonly fromMs: number;
  toMs: number;
  readonly why: string;
}

/** What a run says of itself, beside its history: what it is judged and drawn by. */
export interface RunRecord {
  readonly storeKind: StoreKind;
  readonly seed: number;
  readonly world: string;
  readonly store: string;
  readonly crashDetection: string;
  readonly nodes: readonly string[];
  readonly elections: readonly string[];
  readonly config: CheckConfig;
  readonly spans: readonly FaultSpan[];
  readonly onlyFencing: readonly FencingWindow[];
  /** From the last fault to the moment at which all nodes were asked to stop. */
  readonly calm: { readonly fromMs: number; readonly toMs: number };
  readonly complaints: readonly Violation[];
  readonly leftOut: Readonly<Partial<Record<FaultKind, string>>>;
  readonly remarks: Readonly<Record<string, number>>;
  readonly tookMs: number;
}

/** The fenced table, as it was each time a server was lost, and as it is at the end. */
export type Tables = readonly (readonly FencedRow[])[];

const RECORD = "run.json";
const TABLES = "tables.json";

/** Puts both into the folder of the history. */
export function writeRecord(folder: string, record: RunRecord, tables: Tables): void {
  writeFileSync(join(folder, RECORD), JSON.stringify(record, undefined, 1));
  writeFileSync(join(folder, TABLES), JSON.stringify(tables));
}

export function readRecord(folder: string): { readonly record: RunRecord; readonly tables: Tables } {
  return { record: JSON.parse(readFileSync(join(folder, RECORD), "utf8")) as RunRecord, tables: JSON.parse(readFileSync(join(folder, TABLES), "utf8")) as Tables };
}
