import { KilnError } from '../../../base/errors.ts';
import { cutPair } from '../../../base/text/cut-pair.ts';
import type { SshSource } from '../../../client-services/ssh-service.ts';
import { parseBoolean } from './parse-values.ts';

/** `--ssh default`, `--ssh id=socket[,raw=true]` or `--ssh id=key,key`. */
export function parseSsh(text: string): SshSource {
  const [id, list] = cutPair(text) ?? [text, ''];
  const paths: string[] = [];
  let raw = false;
  for (const item of list.split(',').filter(Boolean)) {
    const [key, value] = cutPair(item) ?? [];
    if (key === 'raw' && value !== undefined) raw = parseBoolean(`--ssh ${text}: raw`, value);
    else paths.push(item);
  }
  if (raw && paths.length !== 1) {
    throw new KilnError('invalid_argument', `--ssh ${text}: raw=true needs exactly one socket`);
  }
  return { id, paths, raw };
}
