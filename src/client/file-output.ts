import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';
import type { FileDestination } from './solve-request.ts';

/** The file of an output while it is being received. What is disposed without `commit` leaves an older file as it was. */
export interface FileOutput extends AsyncDisposable {
  open(): Promise<Writable>;
  /** What went wrong on this side, if anything did. */
  readonly failure: KilnError | undefined;
  /** Puts the complete file into its place. */
  commit(): Promise<void>;
}

/** Throws when the destination cannot be a file, before anything is built for it. */
export async function openFileOutput(destination: FileDestination): Promise<FileOutput> {
  switch (destination.kind) {
    case 'stdout':
      return streamOutput('standard output', async () => forwardTo(process.stdout));
    case 'path':
      return pathOutput(destination.path);
  }
}

async function pathOutput(path: string): Promise<FileOutput> {
  const existing = await stat(path).catch((error) => {
    if (errnoOf(error) !== 'ENOENT') throw asKilnError(error).wrap(`output ${path}`);
  });
  if (existing?.isDirectory()) throw new KilnError('invalid_argument', `the output ${path} is a directory`);
  // Devices and pipes are not replaced but written to.
  if (existing && !existing.isFile())
    return streamOutput(path, async () => createWriteStream(path, { flags: 'w' }));
  const parent = await stat(dirname(path)).catch((error) => {
    throw asKilnError(error).wrap(`the directory of the output ${path}`);
  });
  if (!parent.isDirectory()) throw new KilnError('invalid_argument', `${dirname(path)} is not a directory`);

  const temporary = `${path}.${process.pid}.part`;
  const output = streamOutput(path, async () => createWriteStream(temporary));
  return {
    open: () => output.open(),
    get failure() {
      return output.failure;
    },
    async commit() {
      await rename(temporary, path).catch((error) => {
        if (errnoOf(error) !== 'ENOENT') throw asKilnError(error).wrap(`cannot complete the output ${path}`);
        throw new KilnError('internal', `the build has ended without sending the output ${path}`);
      });
    },
    [Symbol.asyncDispose]: () => rm(temporary, { force: true }),
  };
}

function streamOutput(name: string, openStream: () => Promise<Writable>): FileOutput {
  let failure: KilnError | undefined;
  return {
    async open() {
      const stream = await openStream();
      stream.on('error', (error) => {
        failure ??=
          errnoOf(error) === 'EPIPE'
            ? new KilnError('unavailable', `${name} was closed before the output was complete`)
            : asKilnError(error).wrap(`cannot write the output to ${name}`);
      });
      return stream;
    },
    get failure() {
      return failure;
    },
    async commit() {},
    async [Symbol.asyncDispose]() {},
  };
}

/** A stream that can be ended without ending the one behind it. */
function forwardTo(target: Writable): Writable {
  return new Writable({
    write(chunk, _encoding, done) {
      target.write(chunk, (error) => done(error));
    },
  });
}
