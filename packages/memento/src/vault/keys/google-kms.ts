import { loadPeer } from "../../store/optional-peer.ts";
import { unopened, unusable, type KmsClient } from "./kms-ring.ts";

/** The part of `KeyManagementServiceClient` of `@google-cloud/kms` that is used. */
export interface GoogleKmsCalls {
  encrypt(request: {
    name: string;
    plaintext: Uint8Array;
    additionalAuthenticatedData: Uint8Array;
  }): Promise<readonly [{ readonly ciphertext?: Uint8Array | string | null }, ...unknown[]]>;
  decrypt(request: {
    name: string;
    ciphertext: Uint8Array;
    additionalAuthenticatedData: Uint8Array;
  }): Promise<readonly [{ readonly plaintext?: Uint8Array | string | null }, ...unknown[]]>;
}

/** A symmetric key (ENCRYPT_DECRYPT) of Google Cloud KMS. */
export interface GoogleKmsOptions {
  /** `projects/P/locations/L/keyRings/R/cryptoKeys/K`. */
  readonly name: string;
  /** A `KeyManagementServiceClient` of `@google-cloud/kms`; by default one is made, with the default credentials of the machine. */
  readonly client?: GoogleKmsCalls;
  /** How long a call may take. Default a minute. */
  readonly answerMsMax?: number;
}

/** A key of Google Cloud KMS, by the official client. `bound` is the additional authenticated data. PEER_MISSING. */
export function googleKms({ name, client, answerMsMax }: GoogleKmsOptions): KmsClient {
  const id = `gcp-kms:${name}`;
  let calls: Promise<GoogleKmsCalls> | null = client === undefined ? null : Promise.resolve(client);
  const kms = async (): Promise<GoogleKmsCalls> => await (calls ??= connect());
  return {
    id,
    service: "Google Cloud KMS",
    answerMsMax,
    wrap: async (key, bound) => {
      const [{ ciphertext }] = await (
        await kms()
      ).encrypt({ name, plaintext: key, additionalAuthenticatedData: Buffer.from(bound, "utf8") });
      return bytesOf(ciphertext);
    },
    unwrap: async (wrapped, bound) => {
      try {
        const [{ plaintext }] = await (
          await kms()
        ).decrypt({ name, ciphertext: wrapped, additionalAuthenticatedData: Buffer.from(bound, "utf8") });
        return bytesOf(plaintext);
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        if (code === INVALID_ARGUMENT) throw unopened(id);
        if (code === NOT_FOUND || code === FAILED_PRECONDITION) throw unusable(id, "it is not there, or not enabled");
        throw error;
      }
    },
  };
}

/** Status codes of gRPC. */
const INVALID_ARGUMENT = 3;
const NOT_FOUND = 5;
const FAILED_PRECONDITION = 9;

/** The client gives bytes over gRPC and base64 over its HTTP fallback. */
const bytesOf = (value: Uint8Array | string | null | undefined): Uint8Array =>
  typeof value === "string" ? Buffer.from(value, "base64") : (value ?? new Uint8Array());

async function connect(): Promise<GoogleKmsCalls> {
  const { KeyManagementServiceClient } = await loadPeer<{ KeyManagementServiceClient: new () => GoogleKmsCalls }>(
    "@google-cloud/kms",
    ">=4 <7",
    "Google Cloud KMS",
  );
  return new KeyManagementServiceClient();
}
