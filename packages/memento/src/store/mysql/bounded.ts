import { MementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";

/** How long an answer may be waited for. */
export interface Bound {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly url: string;
}

/**
 * Waits for an answer, for so long at most: then `giveUp` is called and STORE_UNREACHABLE thrown. The client bounds some of
 * its steps itself, but not the preparing of a statement, and what is under way on a connection that it destroys it forgets.
 */
export async function bounded<T>(answer: Promise<T>, { clock, timeoutMs, url }: Bound, giveUp: () => void): Promise<T> {
  let stop = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    stop = clock.every(timeoutMs, () => {
      stop();
      giveUp();
      reject(new MementoError("STORE_UNREACHABLE", `${url}: the server has not answered for ${timeoutMs} ms`));
    });
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    stop();
  }
}
