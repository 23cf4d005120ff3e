/** When a git commit was made, by its object's text. Undefined for what is no commit, or has no time that a `Date` can hold. */
export function commitTime(object: Uint8Array): Date | undefined {
  const [headers = ''] = Buffer.from(object).toString('latin1').split('\n\n', 1);
  const seconds = /^committer .*> (-?\d+) [+-]\d{4}$/m.exec(headers)?.[1];
  const time = new Date(Number(seconds) * 1000);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
