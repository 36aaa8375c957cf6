import { types } from "node:util";

/**
 * True when an array or plain object, known to be nothing but JSON, can never become anything else: frozen all the way
 * down, without accessors, proxies or a `toJSON`. It then stays true for ever.
 */
export function isDeepFrozen(value: object): boolean {
  if (!Object.isFrozen(value) || types.isProxy(value) || "toJSON" in value) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) if (!isFixed(value, String(index))) return false;
    return true;
  }
  for (const key in value) if (!isFixed(value, key)) return false;
  return true;
}

function isFixed(owner: object, key: string): boolean {
  const property = Object.getOwnPropertyDescriptor(owner, key);
  // Inherited by pollution: no member.
  if (property === undefined) return true;
  if (property.get !== undefined || property.set !== undefined) return false;
  const member: unknown = property.value;
  return typeof member !== "object" || member === null || isDeepFrozen(member);
}
