/** A word as a shell takes it: quoted where it has to be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./#~-]+$/u.test(word) && !/^[#~]/u.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
