const mask = 'xxxxx';
const separator = '://';
/** What follows the `@` of an image that is named by digest: `oci-layout://store@sha256:…` has no user. */
const digestForm = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,}$/i;

/**
 * The text with the user names and passwords of all URLs in it made unrecognizable: `https://xxxxx:xxxxx@host/path`. What stands between
 * `://` and the last `@` before a slash, a question mark, a number sign or white space counts as a user.
 */
export function withoutCredentials(text: string): string {
  let start = text.indexOf(separator);
  if (start < 0 || !text.includes('@', start)) return text;
  let result = '';
  let done = 0;
  while (start >= 0) {
    const from = start + separator.length;
    const end = authorityEnd(text, from);
    const authority = text.slice(from, end);
    const at = authority.lastIndexOf('@');
    if (at >= 0 && !digestForm.test(authority.slice(at + 1))) {
      const user = authority.slice(0, at);
      const colon = user.indexOf(':');
      const name = colon < 0 ? user : user.slice(0, colon);
      result += text.slice(done, from) + (name && mask) + (colon < 0 ? '' : `:${mask}`);
      done = from + at;
    }
    start = text.indexOf(separator, Math.max(from, end - 1));
  }
  return result + text.slice(done);
}

function authorityEnd(text: string, from: number): number {
  const ending = /[/?#\s]/g;
  ending.lastIndex = from;
  return ending.exec(text)?.index ?? text.length;
}
