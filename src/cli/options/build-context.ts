import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';
import { looksLikeArchive } from '../../base/looks-like-archive.ts';
import { readBounded } from '../../base/read-bounded.ts';
import { type Uploads, uploadUrl } from '../../client-services/upload-service.ts';

/** Where a build's files come from, in the Dockerfile frontend's words. Disposing removes what was made for it. */
export interface BuildContext extends AsyncDisposable {
  readonly options: ReadonlyMap<string, string>;
  readonly locals: ReadonlyMap<string, string>;
  readonly uploads: Uploads;
}

/** What a PATH argument can be besides a directory: something the engine fetches itself. */
const remoteForm = /^(https?:\/\/|git:\/\/|ssh:\/\/|git@|github\.com\/)/;

/** Bytes of a Dockerfile that are read from a pipe. */
const maximumDockerfile = 16 << 20;
/** How many bytes are read to tell an archive from a Dockerfile. */
const peekBytes = 1024;

export function isRemoteContext(path: string): boolean {
  return remoteForm.test(path);
}

/**
 * The context `path` (a directory, the address of a repository or archive, or `-` for an archive or a Dockerfile on standard
 * input) with the Dockerfile `file` (`-` for standard input; `Dockerfile` in the context by default). For a context that is not
 * a directory, `file` is in it, unless it is an absolute path here.
 */
export async function openBuildContext(
  path: string,
  file: string | undefined,
  stdin: Readable,
): Promise<BuildContext> {
  if (path === '-') return await contextFromStdin(file, stdin);
  const remote = isRemoteContext(path);
  if (!remote) await checkDirectory(path);
  const options = new Map<string, string>(remote ? [['context', path]] : []);
  const locals = new Map<string, string>(remote ? [] : [['context', path]]);
  if (file === '-' || (file !== undefined && (await isPipe(file)))) {
    const dockerfile = file === '-' ? await readDockerfile(stdin) : await readPipedDockerfile(file);
    return temporaryContext(dockerfile, (root) => ({
      options: new Map([...options, ['filename', 'Dockerfile'], ['dockerfilekey', 'dockerfile']]),
      locals: new Map([...locals, ['dockerfile', join(root, 'dockerfile')]]),
    }));
  }
  if (remote) {
    if (file !== undefined) options.set('filename', isAbsolute(file) ? basename(file) : file);
    if (file !== undefined && isAbsolute(file)) {
      options.set('dockerfilekey', 'dockerfile');
      locals.set('dockerfile', dirname(file));
    }
    return { options, locals, ...nothingElse };
  }
  const dockerfile = file ?? join(path, 'Dockerfile');
  options.set('filename', basename(dockerfile));
  locals.set('dockerfile', dirname(dockerfile));
  await checkDockerfile(dockerfile, path, file);
  return { options, locals, ...nothingElse };
}

async function readPipedDockerfile(file: string): Promise<Buffer> {
  const dockerfile = await readBounded(file, maximumDockerfile + 1);
  if (dockerfile.length <= maximumDockerfile) return dockerfile;
  throw new KilnError(
    'invalid_argument',
    `the Dockerfile from ${file} has more than ${maximumDockerfile >> 20} MiB`,
    { hint: 'write it to a file, if it is one' },
  );
}

const nothingElse = { uploads: new Map(), async [Symbol.asyncDispose]() {} };

async function contextFromStdin(file: string | undefined, stdin: Readable): Promise<BuildContext> {
  if (file === '-') {
    throw new KilnError('invalid_argument', 'standard input cannot be the context and the Dockerfile', {
      hint: 'give the Dockerfile on standard input with --file - and a directory as PATH',
    });
  }
  const { start, whole } = await peek(stdin);
  if (looksLikeArchive(start)) {
    const id = randomUUID();
    return {
      options: new Map([
        ['context', uploadUrl(id)],
        ...(file === undefined ? [] : [['filename', file] as const]),
      ]),
      locals: new Map(),
      uploads: new Map([[id, whole]]),
      async [Symbol.asyncDispose]() {
        // Its reader has given up: the stream must not keep the process alive.
        stdin.destroy();
      },
    };
  }
  if (file !== undefined) {
    throw new KilnError('invalid_argument', 'standard input is no archive that --file could be in', {
      hint: 'give a tar archive, or leave out --file for a Dockerfile on standard input',
    });
  }
  const dockerfile = await readDockerfile(whole);
  return temporaryContext(dockerfile, (root) => ({
    options: new Map([['filename', 'Dockerfile']]),
    locals: new Map([
      ['context', join(root, 'context')],
      ['dockerfile', join(root, 'dockerfile')],
    ]),
  }));
}

/** As much of a stream as tells what it is, and all of it, to be read once. */
async function peek(
  stream: Readable,
): Promise<{ readonly start: Buffer; readonly whole: AsyncIterable<Uint8Array> }> {
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  while (start.length < peekBytes) {
    const { done, value } = await chunks.next();
    if (done) break;
    start = Buffer.concat([start, value]);
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield start;
    yield* { [Symbol.asyncIterator]: () => chunks };
  }
  return { start, whole: whole() };
}

/** What a shell gives for `<(command)`. */
async function isPipe(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.isFIFO() ?? false;
}

async function readDockerfile(stdin: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const data = await buffer(stdin);
  if (data.length === 0) throw new KilnError('invalid_argument', 'the Dockerfile on standard input is empty');
  return data;
}

async function temporaryContext(
  dockerfile: Buffer,
  describe: (root: string) => Pick<BuildContext, 'options' | 'locals'>,
): Promise<BuildContext> {
  const root = await mkdtemp(join(tmpdir(), 'kiln-context-'));
  const remove = () => rm(root, { recursive: true, force: true });
  try {
    await mkdir(join(root, 'context'));
    await mkdir(join(root, 'dockerfile'));
    await writeFile(join(root, 'dockerfile', 'Dockerfile'), dockerfile);
    return { ...describe(root), uploads: new Map(), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Throws `not_found` or `invalid_argument`. */
export async function checkDirectory(path: string): Promise<void> {
  const found = await stat(path).catch((error) => {
    if (errnoOf(error) !== 'ENOENT') throw asKilnError(error).wrap(`context ${path}`);
    throw new KilnError('not_found', `the context directory ${path} does not exist`);
  });
  if (!found.isDirectory()) throw new KilnError('invalid_argument', `the context ${path} is not a directory`);
}

async function checkDockerfile(dockerfile: string, context: string, file: string | undefined): Promise<void> {
  try {
    await stat(dockerfile);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw asKilnError(error).wrap(`Dockerfile ${dockerfile}`);
    // The frontend tries the name in lower case itself.
    if (
      basename(dockerfile) === 'Dockerfile' &&
      (await stat(join(dirname(dockerfile), 'dockerfile')).catch(() => undefined))
    ) {
      return;
    }
    const inContext = file !== undefined && (await stat(join(context, file)).catch(() => undefined));
    throw new KilnError('not_found', `the Dockerfile ${dockerfile} does not exist`, {
      hint: inContext
        ? `--file is relative to the current directory: --file ${join(context, file)}`
        : 'name it with --file',
    });
  }
}
