import type { ConnectionOptions } from "node:tls";

import type { BaseOptions } from "@platformatic/kafka";

import { MementoError } from "../../core/errors.ts";

/** How an account is shown to the brokers. */
export interface KafkaSasl {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER";
  readonly username?: string;
  readonly password?: string;
  /** For OAUTHBEARER. */
  readonly token?: string;
}

/** Where the brokers are, and how they are spoken to. */
export interface KafkaConnection {
  /** `host:port` of one broker or more; the others are found through them. */
  readonly brokers: string | readonly string[];
  /** Secrets belong into a credential of the pipeline, and come from there. */
  readonly sasl?: KafkaSasl;
  /** True: TLS as the system trusts it; or what Node's TLS takes (`ca`, `cert`, `key`, ...). Default false. */
  readonly tls?: boolean | ConnectionOptions;
  /** How the brokers' logs name this client; default `memento`. */
  readonly clientId?: string;
  /** How long brokers that do not answer are waited for, before STORE_UNREACHABLE; default 30,000. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 30_000;
const RETRY_MS_MAX = 1_000;
const RETRIES_TO_MAX = 7;

/** The addresses, split at commas and checked; INVALID_ARGUMENT. */
export function brokersOf({ brokers }: Pick<KafkaConnection, "brokers">): string[] {
  const list = [brokers]
    .flat()
    .flatMap((text) => text.split(","))
    .map((text) => text.trim());
  for (const text of list) {
    if (/^[^\s:/@]+:\d{1,5}$|^\[[0-9a-f:]+\]:\d{1,5}$/iu.test(text)) continue;
    // What is no address may hold a password: it is not repeated.
    throw new MementoError("INVALID_ARGUMENT", "A broker is given as host:port; brokers holds something else");
  }
  return list;
}

/** What every client of the library is made with. */
export function clientOptions(connection: KafkaConnection): BaseOptions {
  const { clientId = "memento", timeoutMs = TIMEOUT_MS, sasl, tls = false } = connection;
  return {
    clientId,
    bootstrapBrokers: brokersOf(connection),
    // From 10 ms on, doubled up to a second: a transaction that must wait for the one before it waits no longer than that one takes.
    retries: RETRIES_TO_MAX + Math.ceil(timeoutMs / RETRY_MS_MAX),
    retryDelay: (_client, _operation, attempt) => Math.min(10 * 2 ** attempt, RETRY_MS_MAX),
    connectTimeout: Math.min(timeoutMs, 5_000),
    autocreateTopics: false,
    ...(sasl === undefined ? {} : { sasl: { ...sasl } }),
    ...(tls === false ? {} : { tls: tls === true ? {} : tls }),
  };
}
