import type { Clock, Random } from "../core/ports.ts";

/** How often a save that builds on nothing goes behind what others have saved meanwhile, before it is CONFLICT. */
export const SAVE_ATTEMPTS_MAX = 20;

const PAUSE_MS_MAX = 250;

/** Waits for a random time, longer after each attempt: of two that race at full speed the slower one would come too late each time. */
export async function letOthersPass(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  attempt: number,
): Promise<void> {
  const [byte = 0] = random.bytes(1);
  await clock.sleep((Math.min(2 ** attempt, PAUSE_MS_MAX) * byte) / 256);
}
