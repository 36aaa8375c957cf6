import { isMementoError, MementoError } from "../../core/errors.ts";
import type { KeyRing } from "./key-ring.ts";

/** Several rings as one: the first wraps, all of them unwrap. KEY_MISSING when there is none; KEY_WRONG names what each said. */
export function combinedKeyRing(rings: readonly KeyRing[]): KeyRing {
  const [first] = rings;
  if (first === undefined) throw new MementoError("KEY_MISSING", "The key ring is empty");
  if (rings.length === 1) return first;
  return {
    keys: () => rings.flatMap((ring) => ring.keys?.() ?? []),
    withCurrent: (id) => {
      for (const ring of rings) {
        const chosen = ring.withCurrent?.(id) ?? null;
        if (chosen !== null) return combinedKeyRing([chosen, ...rings.filter((other) => other !== ring)]);
      }
      return null;
    },
    holds: async (id) => {
      for (const ring of rings) if ((await ring.holds?.(id)) ?? true) return true;
      return false;
    },
    isCurrent: async (id) => (await first.isCurrent?.(id)) ?? true,
    wrap: async (key, bound) => await first.wrap(key, bound),
    unwrap: async (key, bound) => {
      const said: string[] = [];
      for (const ring of rings) {
        try {
          return await ring.unwrap(key, bound);
        } catch (error) {
          if (!isMementoError(error, "KEY_WRONG")) throw error;
          said.push(error.message);
        }
      }
      throw new MementoError(
        "KEY_WRONG",
        `None of ${rings.length} sources of keys opens what ${key.ring} wrapped: ${said.join("; ")}`,
      );
    },
  };
}
