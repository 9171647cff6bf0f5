/** What the answers of a probe come to so far. */
export interface Fitness {
  /** `undefined` before the first answer. */
  readonly fit: boolean | undefined;
  /** How many answers in a row have said otherwise. */
  readonly against: number;
}

/** Nothing is known yet: who has a probe does not contend before it has answered. */
export const UNKNOWN_FITNESS: Fitness = { fit: undefined, against: 0 };

/** So many answers in a row change the verdict: one that fails by accident costs no term, and one that works by accident wins none. */
const ANSWERS_TO_CHANGE = 2;

/** The fitness after one more answer. The first one decides by itself. */
export function afterAnswer({ fit, against }: Fitness, passed: boolean): Fitness {
  if (fit === undefined || fit === passed) return { fit: passed, against: 0 };
  return against + 1 >= ANSWERS_TO_CHANGE ? { fit: passed, against: 0 } : { fit, against: against + 1 };
}
