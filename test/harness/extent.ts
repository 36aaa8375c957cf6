import process from "node:process";

import { requiresEverything } from "./engines.ts";

/**
 * How far a test goes that could go on for hours (rounds, rows, every how many-th call): `plain` in an `npm test` that is to be
 * over in minutes, `all` where everything is required, and whatever `variable` says where it is set.
 */
export function extent({ plain, all, variable }: { plain: number; all: number; variable?: string }): number {
  const wanted = variable === undefined ? undefined : process.env[variable];
  if (wanted !== undefined) return Number(wanted);
  return requiresEverything() ? all : plain;
}
