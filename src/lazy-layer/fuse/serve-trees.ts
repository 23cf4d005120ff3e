import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { errnoOf } from '../../base/errors.ts';
import { answerFuse, mountFuse, openFuse, pollDescriptors, readNow, sendNow } from './fuse-device.ts';
import { failure, opcode, parseRequest, requestSize } from './fuse-messages.ts';
import type { FromServer, ToServer } from './serving-messages.ts';
import { TreeServer, type TreeServerCalls } from './tree-server.ts';

type Server = Pick<TreeServer, 'handle' | 'answer'> & Disposable;

interface Served {
  readonly mount: number;
  readonly server: Server;
}

const input = 0;
const output = 1;
/** Milliseconds between two tries to send what the other end has no room for. */
const sendInterval = 2;

/**
 * Serves all mounts of lazy layers, as it is told by its standard input, until that ends. It never waits for anything but the kernel: what has to be
 * fetched is fetched by others. `parent`: the process that tells it.
 */
export function serveTrees(parent: number): void {
  const connections = new Map<number, Served>();
  const buffer = Buffer.alloc(requestSize);
  let unsent = Buffer.alloc(0);
  const tell = (message: FromServer) => {
    unsent = Buffer.concat([unsent, Buffer.from(`${JSON.stringify(message)}\n`)]);
  };
  const end = (connection: number, { mount, server }: Served) => {
    connections.delete(connection);
    server[Symbol.dispose]();
    closeSync(connection);
    tell({ kind: 'ended', mount });
  };
  const serve = ({ mount, directory, target }: Extract<ToServer, { kind: 'serve' }>) => {
    let connection: number | undefined;
    try {
      const opened = openFuse();
      connection = opened;
      mountFuse(opened, target);
      const server = serverOf(directory, parent, {
        send: (bytes) => answerFuse(opened, bytes),
        want: (bytes) => tell({ kind: 'wanted', mount, bytes }),
        interrupted: (unique) => tell({ kind: 'interrupted', mount, unique }),
      });
      connections.set(opened, { mount, server });
      tell({ kind: 'serving', mount });
    } catch (error) {
      if (connection !== undefined) closeSync(connection);
      tell({ kind: 'refused', mount, message: (error as Error).message, errno: errnoOf(error) });
    }
  };
  const obey = (command: ToServer) => {
    if (command.kind === 'serve') {
      serve(command);
      return;
    }
    const [found] = [...connections].filter(([, { mount }]) => mount === command.mount);
    if (!found) return;
    const [connection, served] = found;
    switch (command.kind) {
      case 'end':
        end(connection, served);
        return;
      case 'answer':
        served.server.answer(command.unique, command.errno);
        return;
      default:
        command satisfies never;
    }
  };
  let pending = '';
  for (;;) {
    unsent = unsent.subarray(sendNow(output, unsent));
    const timeout = unsent.length > 0 ? sendInterval : -1;
    for (const ready of pollDescriptors([input, ...connections.keys()], timeout)) {
      if (ready === input) {
        const size = readNow(input, buffer);
        if (size === 0) return;
        pending += buffer.toString('latin1', 0, size);
        const lines = pending.split('\n');
        pending = lines.pop()!;
        for (const line of lines) obey(JSON.parse(Buffer.from(line, 'latin1').toString()) as ToServer);
        continue;
      }
      const served = connections.get(ready);
      if (!served) continue;
      let size: number;
      try {
        size = readNow(ready, buffer);
      } catch {
        // ENODEV: it was unmounted.
        end(ready, served);
        continue;
      }
      if (size > 0) served.server.handle(parseRequest(buffer));
    }
  }
}

/** A mount that nobody serves would keep all waiting who look at it: of a layer that is not whole each question has an answer, too. */
function serverOf(directory: string, parent: number, calls: TreeServerCalls): Server {
  try {
    return new TreeServer(directory, parent, calls);
  } catch {
    return {
      handle: ({ unique, opcode: code }) => {
        if (![opcode.forget, opcode.batchForget, opcode.interrupt].some((silent) => silent === code)) {
          calls.send(failure(unique, constants.errno.EIO));
        }
      },
      answer: () => {},
      [Symbol.dispose]: () => {},
    };
  }
}
