import process from "node:process";

/** Where a worker is to die: before or after its n-th call of store and sinks. */
export interface KillPoint {
  readonly call: number;
  readonly phase: "before" | "after";
}

/** Counts the calls of everything that it wraps, in one sequence, and dies by SIGKILL at the given one. */
export class CallCounter {
  readonly names: string[] = [];
  readonly #kill: KillPoint | null;

  constructor(kill: KillPoint | null) {
    this.#kill = kill;
  }

  /** Wraps an object's methods; what they give is passed on unchanged. */
  wrap<Wrapped extends object>(name: string, target: Wrapped): Wrapped {
    return new Proxy(target, {
      get: (object, property) => {
        const value: unknown = Reflect.get(object, property, object);
        if (typeof value !== "function" || typeof property === "symbol") return value;
        // A description does nothing to be interrupted in.
        if (property === "describe") return (): unknown => Reflect.apply(value, object, []) as unknown;
        return (...args: unknown[]): unknown =>
          this.#call(`${name}.${property}`, () => Reflect.apply(value, object, args) as unknown);
      },
    });
  }

  #call(name: string, call: () => unknown): unknown {
    this.names.push(name);
    const number = this.names.length;
    this.#dieAt(number, "before");
    const result = call();
    if (!(result instanceof Promise)) return result;
    return result.then((value: unknown) => {
      this.#dieAt(number, "after");
      return value;
    });
  }

  #dieAt(call: number, phase: KillPoint["phase"]): void {
    if (this.#kill?.call === call && this.#kill.phase === phase) process.kill(process.pid, "SIGKILL");
  }
}
