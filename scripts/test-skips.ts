import { relative } from "node:path";
import { ACCEPTED_SKIPS } from "./accepted-skips.ts";

/** What the runner's events say about a test, as far as it is used here. */
export interface TestData {
  readonly name: string;
  /** Where the test is registered, which may be a suite that many files share. */
  readonly file?: string;
  /** The file that the runner was given. */
  readonly entryFile?: string;
  readonly testId: number;
  readonly parentId: number | undefined;
  readonly skip?: string | boolean;
  readonly todo?: string | boolean;
}

interface Skip {
  readonly file: string;
  readonly title: string;
  readonly reason: string;
}

/** Gathers what was skipped, and says it so that nobody overlooks it. */
export class Skips {
  readonly #root: string;
  readonly #parents = new Map<string, TestData>();
  readonly #skips: Skip[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  /** To be told of each test that begins: a skip is named with the suites that it is in. */
  began(test: TestData): void {
    this.#parents.set(keyOf(test, test.testId), test);
  }

  /** To be told of each test that has ended. */
  ended(test: TestData): void {
    const reason = test.skip ?? test.todo;
    if (reason === undefined || reason === false) return;
    const said = reason === true || reason === "" ? "no reason given" : reason;
    const file = test.entryFile ?? test.file;
    this.#skips.push({ file: file === undefined ? "?" : relative(this.#root, file), title: this.#titleOf(test), reason: test.skip === undefined ? `to do: ${said}` : said });
  }

  #titleOf(test: TestData): string {
    const names = [test.name];
    for (let parent = this.#parentOf(test); parent !== undefined; parent = this.#parentOf(parent)) names.unshift(parent.name);
    return names.join(" › ");
  }

  #parentOf(test: TestData): TestData | undefined {
    return test.parentId === undefined ? undefined : this.#parents.get(keyOf(test, test.parentId));
  }

  /** How many were skipped for want of something. */
  get lacking(): number {
    return this.#skips.filter((skip) => !isAccepted(skip)).length;
  }

  /** A list by reason; nothing if nothing was skipped. */
  describe(options: { readonly areFailures: boolean }): string {
    const lacking = this.#skips.filter((skip) => !isAccepted(skip));
    const heading = options.areFailures ? "SKIPPED, which TRIBUNE_TEST_REQUIRE=all makes a failure" : "SKIPPED, not tested here";
    return section("not applicable, here as everywhere (scripts/accepted-skips.ts says why)", this.#skips.filter(isAccepted)) + section(heading, lacking);
  }
}

function keyOf(test: TestData, id: number): string {
  return `${test.entryFile ?? test.file ?? ""} ${id}`;
}

function isAccepted({ file, reason }: Skip): boolean {
  return ACCEPTED_SKIPS.some((accepted) => accepted.where.test(file) && accepted.reason.test(reason));
}

function section(heading: string, some: readonly Skip[]): string {
  if (some.length === 0) return "";
  const lines = [...Map.groupBy(some, ({ reason }) => reason)].flatMap(([reason, those]) => [`  ${reason}`, ...those.map(({ file, title }) => `    ${file}: ${title}`)]);
  return `\n${heading}: ${some.length}\n${lines.join("\n")}\n\n`;
}
