/** When a git commit was made, by its object's text. Undefined for what is no commit. */
export function commitTime(object: Uint8Array): Date | undefined {
  const [headers = ''] = Buffer.from(object).toString('latin1').split('\n\n', 1);
  const seconds = /^committer .*> (-?\d+) [+-]\d{4}$/m.exec(headers)?.[1];
  return seconds === undefined ? undefined : new Date(Number(seconds) * 1000);
}
