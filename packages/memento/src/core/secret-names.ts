/** What names a secret wherever it stands in a name; `pass` and `sig` only at a word's end, as in `dbPass`, for words like `passenger` begin so. */
const SECRET =
  /password|passphrase|passwd|pass(?!\p{L})|pswd|pwd|secret|token|credential|signature|sig(?!\p{L})|(?:api|private|access|account|shared|signing|encryption|master)_?key/u;
/** These are too short to be told from a part of another word. */
const SECRET_WORD = /(?<!\p{L})(?:pw|sas|creds?)(?!\p{L})/u;
/** What names a secret besides where an account is given, as in a URL: there is little else that is called so there. */
const SECRET_IN_ADDRESS = /pass|pw|key|sig|sas|auth|cred/u;
/** Parameters of addresses that are called so, and hold none. */
const NONE_IN_ADDRESS: ReadonlySet<string> = new Set(["authsource", "authmechanism", "sslkey"]);

/** True for the name of a value that may be a secret, however it is written: `db_pwd`, `accessKey`, `X-Signature`. */
export function isNamedLikeASecret(name: string): boolean {
  const words = name.replaceAll(/(?<=[\p{Ll}\d])(?=\p{Lu})|[^\p{L}\d]+/gu, "_").toLowerCase();
  return SECRET.test(words) || SECRET_WORD.test(words);
}

/** The same for a parameter of a URL or a connection string, where more names mean one: `key`, `sharedKeyName`, `auth`. */
export function isSecretParameter(name: string): boolean {
  const plain = name.trim().toLowerCase();
  if (NONE_IN_ADDRESS.has(plain)) return false;
  return isNamedLikeASecret(name) || SECRET_IN_ADDRESS.test(plain);
}
