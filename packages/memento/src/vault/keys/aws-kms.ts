import { loadPeer } from "../../store/optional-peer.ts";
import { unopened, unusable, type KmsClient } from "./kms-ring.ts";

/** The part of `KMS` of `@aws-sdk/client-kms` that is used. */
export interface AwsKmsCalls {
  encrypt(
    input: { KeyId: string; Plaintext: Uint8Array; EncryptionContext: Record<string, string> },
    options: { abortSignal: AbortSignal },
  ): Promise<{ readonly CiphertextBlob?: Uint8Array | undefined }>;
  decrypt(
    input: { KeyId: string; CiphertextBlob: Uint8Array; EncryptionContext: Record<string, string> },
    options: { abortSignal: AbortSignal },
  ): Promise<{ readonly Plaintext?: Uint8Array | undefined }>;
}

/** A symmetric key of AWS KMS. */
export interface AwsKmsOptions {
  /** The key's ARN or id. An alias works as long as it is not moved to another key. */
  readonly keyId: string;
  readonly region?: string;
  /** Another address than AWS's own. */
  readonly endpoint?: string;
  /** A `KMS` object of `@aws-sdk/client-kms`; by default one is made, with the SDK's own chain of credentials. */
  readonly client?: AwsKmsCalls;
  /** How long a call may take. Default a minute. */
  readonly answerMsMax?: number;
}

/** A key of AWS KMS, by the official client. `bound` is the encryption context, which KMS authenticates. PEER_MISSING. */
export function awsKms({ keyId, region, endpoint, client, answerMsMax }: AwsKmsOptions): KmsClient {
  const id = `aws-kms:${keyId}`;
  let calls: Promise<AwsKmsCalls> | null = client === undefined ? null : Promise.resolve(client);
  const kms = async (): Promise<AwsKmsCalls> => await (calls ??= connect(region, endpoint));
  return {
    id,
    service: "AWS KMS",
    answerMsMax,
    wrap: async (key, bound, abortSignal) => {
      const input = { KeyId: keyId, Plaintext: key, EncryptionContext: { memento: bound } };
      const { CiphertextBlob } = await (await kms()).encrypt(input, { abortSignal });
      return CiphertextBlob ?? new Uint8Array();
    },
    unwrap: async (wrapped, bound, abortSignal) => {
      try {
        const input = { KeyId: keyId, CiphertextBlob: wrapped, EncryptionContext: { memento: bound } };
        const { Plaintext } = await (await kms()).decrypt(input, { abortSignal });
        return Plaintext ?? new Uint8Array();
      } catch (error) {
        const name = error instanceof Error ? error.name : "";
        if (name === "InvalidCiphertextException") throw unopened(id);
        if (UNUSABLE.has(name)) throw unusable(id, name);
        throw error;
      }
    },
  };
}

const UNUSABLE = new Set([
  "IncorrectKeyException",
  "NotFoundException",
  "DisabledException",
  "KMSInvalidStateException",
]);

async function connect(region: string | undefined, endpoint: string | undefined): Promise<AwsKmsCalls> {
  type Options = { region?: string; endpoint?: string };
  const { KMS } = await loadPeer<{ KMS: new (options: Options) => AwsKmsCalls }>(
    "@aws-sdk/client-kms",
    "^3.0.0",
    "AWS KMS",
  );
  return new KMS({ ...(region === undefined ? {} : { region }), ...(endpoint === undefined ? {} : { endpoint }) });
}
