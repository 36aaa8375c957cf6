import { MementoError } from "../../core/errors.ts";
import { damaged } from "./failure.ts";
import type { Keys } from "./keys.ts";
import type { Argument, Link } from "./link.ts";
import type { Script } from "./lua/script.ts";

/** What a script answered: how it went, and what it gives. */
export interface Answer {
  readonly outcome: string;
  readonly rest: readonly unknown[];
}

/** The scripts of one store that was made: each demands that the store is still the same one. */
export class StoreCalls {
  readonly keys: Keys;
  readonly link: Link;
  readonly #id: string;
  readonly #where: string;
  /** About the number of the next commit: near enough for its bucket, nearly always. */
  #next = 1;

  constructor(link: Link, keys: Keys, id: string, where: string) {
    this.link = link;
    this.keys = keys;
    this.#id = id;
    this.#where = where;
  }

  /** Calls a script that changes nothing; the store's own key comes first by itself. */
  async read(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Answer> {
    return this.#answer(await this.link.read(script, [this.keys.store, ...keys], [this.#id, ...args]));
  }

  /** Calls a script that changes something. DAMAGED when the log's counter was changed. */
  async write(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Answer> {
    return this.#answer(await this.link.write(script, [this.keys.store, ...keys], [this.#id, ...args]));
  }

  /** Calls a script that adds a commit to the log; the bucket that takes it comes right after the store's own key. */
  async log(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Answer> {
    for (;;) {
      const answer = await this.write(script, [this.keys.log(this.#next), ...keys], args);
      if (answer.outcome !== "elsewhere") return answer;
      this.#next = Number(answer.rest[0]) + 1;
    }
  }

  #answer(reply: readonly unknown[]): Answer {
    const [outcome, ...rest] = reply;
    switch (String(outcome)) {
      case "none":
        throw new MementoError("NOT_A_STORE", `${this.#where} does not hold the store any more that was opened here`);
      case "taken":
        throw damaged(
          `Commit ${Number(rest[0]) + 1} is there already, and should be the next one: the log's counter was changed`,
        );
      default:
        return { outcome: String(outcome), rest };
    }
  }
}
