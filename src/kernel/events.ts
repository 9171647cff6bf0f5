/** What went wrong in a listener is reported here; it never reaches the emitter or the other listeners. */
export type ListenerErrorHandler = (error: unknown, event: string) => void;

/**
 * Ordered events with isolated listeners. `emit` runs the listeners at once, in the order they were added. An event
 * emitted by a listener waits until the current one has reached everybody, so that all listeners see one order. A
 * listener that throws (or whose promise rejects) is reported, and the next one is called all the same.
 */
export class Events<Map extends object> {
  readonly #listeners = new Map<keyof Map, Set<(payload: never) => unknown>>();
  readonly #onListenerError: ListenerErrorHandler;
  readonly #queue: Array<() => void> = [];
  #draining = false;

  constructor(onListenerError: ListenerErrorHandler) {
    this.#onListenerError = onListenerError;
  }

  /** Adds a listener; the returned function removes it. Adding the same function twice counts once. */
  on<Name extends keyof Map>(name: Name, listener: (payload: Map[Name]) => unknown): () => void {
    let set = this.#listeners.get(name);
    if (set === undefined) this.#listeners.set(name, (set = new Set()));
    set.add(listener);
    return () => this.off(name, listener);
  }

  off<Name extends keyof Map>(name: Name, listener: (payload: Map[Name]) => unknown): void {
    this.#listeners.get(name)?.delete(listener);
  }

  emit<Name extends keyof Map>(name: Name, payload: Map[Name]): void {
    this.#queue.push(() => this.#deliver(name, payload));
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
    } finally {
      this.#draining = false;
    }
  }

  #deliver<Name extends keyof Map>(name: Name, payload: Map[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])] as Array<(payload: Map[Name]) => unknown>) {
      try {
        const result = listener(payload);
        if (result instanceof Promise) result.catch((error: unknown) => this.#report(error, name));
      } catch (error) {
        this.#report(error, name);
      }
    }
  }

  #report(error: unknown, name: keyof Map): void {
    try {
      this.#onListenerError(error, String(name));
    } catch {
      // A handler of errors that itself throws has nobody left to tell.
    }
  }
}
