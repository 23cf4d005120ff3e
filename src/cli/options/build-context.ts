import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';

/** Where a build's files come from, in the Dockerfile frontend's words. Disposing removes what was made for it. */
export interface BuildContext extends AsyncDisposable {
  readonly options: ReadonlyMap<string, string>;
  readonly locals: ReadonlyMap<string, string>;
}

/** What a PATH argument can be besides a directory: something the engine fetches itself. */
const remoteForm = /^(https?:\/\/|git:\/\/|ssh:\/\/|git@|github\.com\/)/;

export function isRemoteContext(path: string): boolean {
  return remoteForm.test(path);
}

/**
 * The context `path` (a directory, the address of a repository or archive, or `-` for a Dockerfile on standard input)
 * with the Dockerfile `file` (`-` for standard input; `Dockerfile` in the context by default).
 */
export async function openBuildContext(
  path: string,
  file: string | undefined,
  stdin: NodeJS.ReadableStream,
): Promise<BuildContext> {
  if (path === '-') {
    if (file !== undefined) {
      throw new KilnError('invalid_argument', 'a context on standard input cannot be used with --file', {
        hint: 'give the Dockerfile on standard input with --file - and a directory as PATH',
      });
    }
    const dockerfile = await readDockerfile(stdin);
    return temporaryContext(dockerfile, (root) => ({
      options: new Map([['filename', 'Dockerfile']]),
      locals: new Map([
        ['context', join(root, 'context')],
        ['dockerfile', join(root, 'dockerfile')],
      ]),
    }));
  }
  const remote = isRemoteContext(path);
  if (!remote) await checkDirectory(path);
  const options = new Map<string, string>(remote ? [['context', path]] : []);
  const locals = new Map<string, string>(remote ? [] : [['context', path]]);
  if (file === '-') {
    const dockerfile = await readDockerfile(stdin);
    return temporaryContext(dockerfile, (root) => ({
      options: new Map([...options, ['filename', 'Dockerfile'], ['dockerfilekey', 'dockerfile']]),
      locals: new Map([...locals, ['dockerfile', join(root, 'dockerfile')]]),
    }));
  }
  if (remote) {
    if (file !== undefined) options.set('filename', file);
    return { options, locals, async [Symbol.asyncDispose]() {} };
  }
  const dockerfile = file ?? join(path, 'Dockerfile');
  options.set('filename', basename(dockerfile));
  locals.set('dockerfile', dirname(dockerfile));
  await checkDockerfile(dockerfile, path, file);
  return { options, locals, async [Symbol.asyncDispose]() {} };
}

async function readDockerfile(stdin: NodeJS.ReadableStream): Promise<Buffer> {
  const data = await buffer(stdin);
  const isTar = data.length > 262 && data.subarray(257, 262).toString('latin1') === 'ustar';
  const isCompressed = data[0] === 0x1f && data[1] === 0x8b;
  if (isTar || isCompressed) {
    throw new KilnError('unimplemented', 'an archive on standard input is not supported as a context', {
      hint: 'unpack it and give the directory as PATH',
    });
  }
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
    return { ...describe(root), [Symbol.asyncDispose]: remove };
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
