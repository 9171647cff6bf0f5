import { COORDINATOR_OFFICE, cuts, outages, pauses } from "../../src/testing/history/index.ts";
import type { HistoryEvent, Span } from "../../src/testing/history/index.ts";
import type { RunRecord } from "./record.ts";

/** One colour for each election, the coordinator's last; told apart also by those who see red and green alike. */
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

/** How wide a run is drawn: so many pixels for a second, fewer where it would become too wide. */
const PER_SECOND = 16;
const WIDEST = 12_000;

const NAME_EVERY = 1_200;

const LEFT = 64;
const RIGHT = 24;
const BAR = 9;
const LANE_GAP = 12;
const LABEL_ROW = 15;
const LABEL_ROWS = 5;
/** About how wide a letter of a label is. */
const LETTER = 6.1;
/** Two samples of one belief that are further apart are two stretches of it. */
const SAMPLES_APART_MS = 300;

/**
 * A run as a picture (SVG): a lane for each node, in it a bar for each election while that node believed to lead it; where its process was gone, stood still or was cut off; and the faults as spans across
 * all lanes, each with its name.
 */
export function pictureOf(events: readonly HistoryEvent[], record: RunRecord): string {
  const { nodes, elections, spans } = record;
  const offices = [...elections, COORDINATOR_OFFICE];
  const fromMs = events[0]?.t ?? 0;
  const toMs = Math.max(fromMs + 1, events.at(-1)?.t ?? 0);
  const scale = Math.min(PER_SECOND / 1_000, WIDEST / (toMs - fromMs));
  const x = (ms: number) => Number((LEFT + (Math.min(Math.max(ms, fromMs), toMs) - fromMs) * scale).toFixed(1));
  const laneHeight = offices.length * BAR + LANE_GAP;
  const top = 58 + LABEL_ROWS * LABEL_ROW;
  const bottom = top + nodes.length * laneHeight;
  const width = Math.max(x(toMs) + RIGHT, 860);
  const height = bottom + 44;
  const rect = (span: Span, y: number, h: number, attributes: string, title: string) =>
    `<rect x="${x(span.fromMs)}" y="${y}" width="${Math.max(1, x(span.toMs) - x(span.fromMs)).toFixed(1)}" height="${h}" ${attributes}><title>${escaped(title)}</title></rect>`;
  const seconds = (ms: number) => `${((ms - fromMs) / 1_000).toFixed(2)} s`;
  const stretch = (span: Span) => `${seconds(span.fromMs)} to ${seconds(span.toMs)}`;
  const parts: string[] = [];

  // Faults, behind everything.
  const rowEnds: number[] = Array.from({ length: LABEL_ROWS }, () => 0);
  for (const span of spans) {
    const isInner = span.within !== undefined;
    parts.push(rect({ fromMs: span.fromMs, toMs: span.toMs }, top - 6, bottom - top + 6, `fill="${isInner ? "#c8553d" : "#f2b5a7"}" fill-opacity="${isInner ? 0.25 : 0.35}"`, `${span.kind}: ${stretch({ fromMs: span.fromMs, toMs: span.toMs })}${span.targets.length === 0 ? "" : `; ${span.targets.join(", ")}`}`));
    const label = span.targets.length === 1 ? `${span.kind} ${span.targets[0]}` : span.kind;
    const at = x(span.fromMs);
    const free = rowEnds.findIndex((end) => end <= at);
    const row = free === -1 ? rowEnds.indexOf(Math.min(...rowEnds)) : free;
    rowEnds[row] = at + label.length * LETTER + 10;
    const y = 52 + row * LABEL_ROW;
    parts.push(`<line x1="${at}" y1="${y + 4}" x2="${at}" y2="${top - 6}" stroke="#c8553d" stroke-width="0.7"/>`, `<text x="${at + 3}" y="${y + 10}" class="fault">${escaped(label)}</text>`);
  }
  for (const span of outages(events, toMs)) parts.push(rect(span, bottom - 2, 5, `fill="#333"`, `the store could not be used: ${stretch(span)}`));

  // Lanes.
  for (const [lane, node] of nodes.entries()) {
    const y = top + lane * laneHeight;
    const mine = events.filter((event) => event.node === node);
    parts.push(`<text x="${LEFT - 10}" y="${y + (offices.length * BAR) / 2 + 4}" class="node">${escaped(node)}</text>`);
    // Once more where the lane's beginning is out of sight.
    for (let at = LEFT + NAME_EVERY; at < x(toMs); at += NAME_EVERY) parts.push(`<text x="${at}" y="${y - 3}" class="again">${escaped(node)}</text>`);
    for (const [index] of offices.entries()) parts.push(`<line x1="${LEFT}" x2="${x(toMs)}" y1="${y + index * BAR + BAR / 2}" y2="${y + index * BAR + BAR / 2}" stroke="#ddd" stroke-width="0.6"/>`);
    for (const span of absences(mine, fromMs, toMs)) parts.push(rect(span, y - 2, offices.length * BAR + 4, `fill="#9a9a9a" fill-opacity="0.55"`, `${node} did not run: ${stretch(span)}`));
    for (const process of new Set(mine.map((event) => event.process))) {
      for (const span of cuts(mine, process, toMs)) parts.push(rect(span, y - 2, offices.length * BAR + 4, `fill="url(#cut)"`, `${process} could not reach the store, or badly: ${stretch(span)}`));
      for (const span of pauses(mine, process, toMs)) parts.push(rect(span, y - 2, offices.length * BAR + 4, `fill="url(#stopped)"`, `${process} stood still: ${stretch(span)}`));
    }
    for (const belief of beliefs(mine)) {
      const index = offices.indexOf(belief.election);
      if (index >= 0) parts.push(rect(belief, y + index * BAR + 1, BAR - 2, `fill="${colourOf(index)}"`, `${belief.process} believed to lead ${belief.election} with token ${belief.token}: ${stretch(belief)}`));
    }
  }

  // The axis.
  const stepS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((step) => step * 1_000 * scale >= 70) ?? 600;
  for (let second = 0; second * 1_000 <= toMs - fromMs; second += stepS) {
    const at = x(fromMs + second * 1_000);
    parts.push(`<line x1="${at}" y1="${bottom + 4}" x2="${at}" y2="${bottom + 10}" stroke="#555"/>`, `<text x="${at}" y="${bottom + 22}" class="axis">${second} s</text>`);
  }

  const legend = offices.map((office, index) => ({ office, at: LEFT + 4 + offices.slice(0, index).reduce((sum, other) => sum + other.length * LETTER + 34, 0), colour: colourOf(index) }));
  const legendEnd = Math.max(...legend.map(({ office, at }) => at + office.length * LETTER + 34));
  const signs = [
    { words: "not running", fill: "#9a9a9a" },
    { words: "stopped", fill: "url(#stopped)" },
    { words: "cut off", fill: "url(#cut)" },
    { words: "fault", fill: "#f2b5a7" },
    { words: "store away (below)", fill: "#333" },
  ];
  const signParts = signs.map(({ words, fill }, index) => {
    const at = legendEnd + signs.slice(0, index).reduce((sum, other) => sum + other.words.length * LETTER + 34, 0);
    return `<rect x="${at}" y="29" width="14" height="9" fill="${fill}" stroke="#999" stroke-width="0.4"/><text x="${at + 18}" y="38" class="legend">${words}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width.toFixed(0)}" height="${height}" viewBox="0 0 ${width.toFixed(0)} ${height}" font-family="Helvetica, Arial, sans-serif">`,
    `<style>.node{font-size:13px;text-anchor:end;fill:#222}.again{font-size:9px;fill:#999}.fault{font-size:10.5px;fill:#8c2f1b}.axis{font-size:10px;text-anchor:middle;fill:#555}.legend{font-size:11px;fill:#222}.title{font-size:13px;font-weight:bold;fill:#222}</style>`,
    `<defs><pattern id="stopped" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="5" height="5" fill="#fff" fill-opacity="0.4"/><rect width="2" height="5" fill="#555"/></pattern>`,
    `<pattern id="cut" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#fff" fill-opacity="0.2"/><circle cx="3" cy="3" r="1.4" fill="#6a3d9a"/></pattern></defs>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="${LEFT}" y="18" class="title">${escaped(`${record.store}, ${record.world}, seed ${record.seed}`)}</text>`,
    ...legend.map(({ office, at, colour }) => `<rect x="${at - 4}" y="29" width="14" height="9" fill="${colour}"/><text x="${at + 14}" y="38" class="legend">${escaped(office)}</text>`),
    ...signParts,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

interface Belief {
  readonly process: string;
  readonly election: string;
  readonly token: number;
  readonly fromMs: number;
  toMs: number;
}

/** The stretches in which samples of one belief follow each other. */
function beliefs(events: readonly HistoryEvent[]): Belief[] {
  const all: Belief[] = [];
  const latest = new Map<string, Belief>();
  for (const event of events) {
    if (event.kind !== "believes") continue;
    const key = `${event.process} ${event.election} ${event.token}`;
    const belief = latest.get(key);
    if (belief !== undefined && event.t - belief.toMs <= SAMPLES_APART_MS) {
      belief.toMs = event.t;
      continue;
    }
    const fresh = { process: event.process, election: event.election, token: event.token, fromMs: event.t, toMs: event.t };
    latest.set(key, fresh);
    all.push(fresh);
  }
  return all;
}

/** When no process of a node ran, from the first one's end on. */
function absences(events: readonly HistoryEvent[], fromMs: number, toMs: number): Span[] {
  const spans: Span[] = [];
  let goneMs: number | undefined = fromMs;
  for (const event of events) {
    if (event.kind === "started" && goneMs !== undefined) {
      spans.push({ fromMs: goneMs, toMs: event.t });
      goneMs = undefined;
    } else if ((event.kind === "killed" || event.kind === "exited") && goneMs === undefined) {
      goneMs = event.t;
    }
  }
  return goneMs === undefined ? spans : [...spans, { fromMs: goneMs, toMs }];
}

function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? "#000";
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
