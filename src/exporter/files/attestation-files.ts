import path from 'node:path/posix';
import { KilnError } from '../../base/errors.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { AddedFile } from '../../file-sync/added-files.ts';
import { loadAttestations } from '../attestations/load-attestations.ts';
import type { StatementFiles } from '../attestations/statement-files.task.ts';
import type { ExportContext, PlatformResult } from '../exporter.ts';

export interface AttestationFileOptions {
  /** The files of the result; undefined is the empty tree. */
  readonly root: string | undefined;
  /** Before each name. */
  readonly prefix: string;
  /** The name of the platform, which files get that would else lie beside those of other platforms. */
  readonly platform: string | undefined;
  /** Seconds since 1970; undefined: now. */
  readonly epoch: number | undefined;
}

/** What is attested about a result as files beside those of the result: `provenance.json`. */
export async function attestationFiles(
  { attestations }: PlatformResult,
  { root, prefix, platform, epoch }: AttestationFileOptions,
  pool: ThreadPool,
  context: ExportContext,
): Promise<readonly AddedFile[]> {
  const chosen = attestations.filter(({ inlineOnly }) => !inlineOnly);
  if (chosen.length === 0) return [];
  const loaded = await loadAttestations(chosen, pool, context);
  const names = loaded.map((each) => fileName(prefix + path.basename(each.path), platform));
  const invalid = names.find((name, index) => /^\.{0,2}$/.test(name) || names.indexOf(name) !== index);
  if (invalid !== undefined) {
    throw new KilnError(
      'invalid_argument',
      `duplicate or empty attestation path name ${JSON.stringify(invalid)}`,
    );
  }
  const statements = await pool.run<StatementFiles, readonly Uint8Array[]>(
    new URL('../attestations/statement-files.task.ts', import.meta.url),
    { root, attestations: loaded },
    { signal: context.signal },
  );
  const mtime = BigInt(epoch ?? Math.floor(Date.now() / 1000)) * 1_000_000_000n;
  return statements.map((data, index) => ({ name: names[index]!, data, mtime }));
}

/** `provenance.linux_amd64.json`, as BuildKit names it. */
function fileName(name: string, platform: string | undefined): string {
  if (platform === undefined) return name;
  const dot = name.lastIndexOf('.');
  const [stem, extension] = dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot)];
  return `${stem}.${platform.replaceAll('/', '_')}${extension}`;
}

/** Reads the option `attestation-prefix`. Throws `invalid_argument`. */
export function parseAttestationPrefix(text = ''): string {
  if (!/[/\0]/.test(text)) return text;
  throw new KilnError('invalid_argument', `invalid attestation-prefix ${JSON.stringify(text)}`, {
    hint: 'it is the beginning of the names of files, and cannot hold a slash',
  });
}
