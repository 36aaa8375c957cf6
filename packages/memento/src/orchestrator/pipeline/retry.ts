import { isMementoError, MementoError, type ErrorCode } from "../../core/errors.ts";
import type { Random } from "../../core/ports.ts";

/** How a stage that fails is tried again. */
export interface RetryOptions {
  /** All attempts, the first one among them; from 1 on. */
  readonly attempts: number;
  /** The wait before the second attempt; default 1,000 ms. */
  readonly initialMs?: number;
  /** How much longer each further wait is; default 2. */
  readonly factor?: number;
  /** The longest wait; default 60,000 ms. */
  readonly maxMs?: number;
  /** True: each wait is between half and all of that length, at random, so that many do not come back at once. Default true. */
  readonly jitter?: boolean;
  /**
   * Says which errors are worth another attempt. By default those of Memento that may succeed later as they are, and all that
   * the stage's own code throws.
   */
  readonly retryable?: (error: unknown) => boolean;
}

/** The same, with its defaults filled in. */
export type RetryPolicy = Required<RetryOptions>;

/** The attempts of a stage that failed, as a memento keeps them. */
export interface AttemptsRecord {
  readonly failed: number;
  /** ISO 8601, UTC: not tried again before. */
  readonly notBefore: string;
  readonly error: string;
}

/** Fills in the defaults. INVALID_PIPELINE. */
export function retryPolicy(stage: string, options: RetryOptions): RetryPolicy {
  const { attempts, initialMs = 1_000, factor = 2, maxMs = 60_000, jitter = true, retryable = mayPass } = options;
  const numbers = { attempts, initialMs, factor, maxMs };
  for (const [name, value] of Object.entries(numbers)) {
    const min = name === "attempts" || name === "factor" ? 1 : 0;
    if (Number.isFinite(value) && value >= min && (name !== "attempts" || Number.isInteger(value))) continue;
    throw new MementoError("INVALID_PIPELINE", `Stage ${stage}: retry.${name} is ${value}, and is at least ${min}`);
  }
  return { attempts, initialMs, factor, maxMs, jitter, retryable };
}

/** How long to wait after so many failed attempts. */
export function retryDelayMs(policy: RetryPolicy, failed: number, random: Random): number {
  // After many attempts the factor's power is Infinity, which times 0 is no number.
  const grown = policy.initialMs === 0 ? 0 : policy.initialMs * policy.factor ** (failed - 1);
  const whole = Math.min(policy.maxMs, grown);
  if (!policy.jitter) return whole;
  const [high = 0, low = 0] = random.bytes(2);
  return Math.round(whole / 2 + (whole / 2) * ((high * 256 + low) / 65_535));
}

/** What no attempt can mend: the timeline is somebody else's, or the definition is wrong. */
const NEVER: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["FENCED", "CONFLICT", "INVALID_PIPELINE", "STATE_CONFLICT"]);

/** True for what must end the stage whatever its policy says. */
export function isFinal(error: unknown): boolean {
  return isMementoError(error) && NEVER.has(error.code);
}

function mayPass(error: unknown): boolean {
  return isMementoError(error) ? error.retryable : true;
}
