import { posix } from 'node:path';

/** For a file that nothing gives a name. */
const defaultName = 'download';

/**
 * The name of a downloaded file: the wanted one, else that in the server's `Content-Disposition` (RFC 6266), else the last part of
 * the URL's path. It is always one path element, and never `.` or `..`.
 */
export function downloadName(url: URL, wanted: string | undefined, disposition: string | undefined): string {
  if (wanted !== undefined) return safeName(wanted);
  const said = dispositionName(disposition ?? '');
  if (said !== undefined && said !== '' && !said.endsWith('/')) return safeName(said);
  return safeName(decoded(url.pathname));
}

/** `text` as the name of a file: its last part, or a name for what has none. */
export function safeName(text: string): string {
  const name = posix.basename(text.trim());
  return name === '' || name === '.' || name === '..' || /\p{Cc}/u.test(name) ? defaultName : name;
}

/** The parameter `filename*` (RFC 8187), which counts before `filename`. */
function dispositionName(header: string): string | undefined {
  const parameters = new Map<string, string>();
  for (const [, name, quoted, token] of header.matchAll(
    /;\s*([\w*]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]+))/g,
  )) {
    parameters.set(name!.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? token!);
  }
  const [, charset, encoded] = /^([^']*)'[^']*'(.*)$/.exec(parameters.get('filename*') ?? '') ?? [];
  const extended = /^(utf-8|us-ascii)$/i.test(charset ?? '') ? decodedOrUndefined(encoded!) : undefined;
  return extended ?? parameters.get('filename');
}

function decoded(text: string): string {
  return decodedOrUndefined(text) ?? text;
}

function decodedOrUndefined(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
