import net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { formatAddress, parseAddress, socketOptions } from '../../api/address.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { CommandContext } from '../command-context.ts';

/** `kiln dial-stdio`: standard input and output become a connection to the daemon, for tunnels such as SSH. Ends when the daemon closes it. */
export async function dialStdio(context: CommandContext): Promise<void> {
  const { engine, stdin, stdout, signal } = context;
  if (engine.kind !== 'daemon') {
    throw new KilnError('invalid_argument', 'dial-stdio needs a daemon', {
      hint: 'name one with --addr, $KILN_HOST or $BUILDKIT_HOST',
    });
  }
  const address = parseAddress(engine.address);
  const socket = net.connect({ ...socketOptions(address), allowHalfOpen: true });
  const sending = pipeline(stdin, socket, { signal });
  sending.catch(() => {});
  try {
    await pipeline(socket, stdout, { signal, end: false });
  } catch (error) {
    throw asKilnError(error).wrap(`connection to ${formatAddress(address)}`);
  } finally {
    stdin.destroy();
  }
}
